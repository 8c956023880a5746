"""One file that runs without Keras: logits and class maps as one graph."""
