"""Train a classifier of one's own photographs, from a trained backbone."""

from keras_facnn.transfer._train import train

__all__ = ["train"]
