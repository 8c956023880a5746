"""Explain any number of pictures into Parquet files, on Ray Data."""

from keras_facnn.batch._explain_files import explain_files

__all__ = ["explain_files"]
