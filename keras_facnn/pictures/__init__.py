"""Read pictures from files, and folders of pictures with labels."""

from keras_facnn.pictures.image_folder import ImageFolder
from keras_facnn.pictures.image_folder import load_folder
from keras_facnn.pictures.mask_folder import load_regions
from keras_facnn.pictures.reading import load_images
from keras_facnn.pictures.reading import read_picture

__all__ = [
    "ImageFolder",
    "load_folder",
    "load_images",
    "load_regions",
    "read_picture",
]
