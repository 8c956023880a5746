"""What any functional Keras model says of its layers."""
