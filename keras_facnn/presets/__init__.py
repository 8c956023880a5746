from keras_facnn.presets.config import arguments
from keras_facnn.presets.load import BundledPresets
from keras_facnn.presets.load import load_preset
from keras_facnn.presets.provenance import Provenance
from keras_facnn.presets.record import check_metadata
from keras_facnn.presets.save import save_preset
from keras_facnn.presets.upload import upload_preset

__all__ = [
    "BundledPresets",
    "Provenance",
    "arguments",
    "check_metadata",
    "load_preset",
    "save_preset",
    "upload_preset",
]
