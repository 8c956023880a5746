"""Write a model as one file that runs without Keras: one file per format."""
