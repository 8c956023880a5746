"""Read the graph of any functional Keras model."""
