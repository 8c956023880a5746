from keras_facnn.presets.load import bundled_presets
from keras_facnn.presets.load import load_preset
from keras_facnn.presets.save import save_preset

__all__ = ["bundled_presets", "load_preset", "save_preset"]
