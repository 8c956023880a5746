"""Reading explanations off a graph of FA layers."""
