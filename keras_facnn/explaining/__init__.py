"""What a graph of FA layers says of its decisions."""
