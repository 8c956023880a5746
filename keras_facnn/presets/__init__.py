from keras_facnn.presets.config import arguments
from keras_facnn.presets.hub import Repository
from keras_facnn.presets.load import BundledPresets
from keras_facnn.presets.load import load_preset
from keras_facnn.presets.record import check_metadata
from keras_facnn.presets.save import record_of_copies
from keras_facnn.presets.save import save_preset

__all__ = [
    "BundledPresets",
    "Repository",
    "arguments",
    "check_metadata",
    "load_preset",
    "record_of_copies",
    "save_preset",
]
