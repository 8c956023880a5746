from keras_facnn.presets.preset import bundled_presets
from keras_facnn.presets.preset import load_preset
from keras_facnn.presets.preset import save_preset

__all__ = ["bundled_presets", "load_preset", "save_preset"]
