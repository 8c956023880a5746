"""Presets: trained models as folders that are checked before they are used."""

from keras_facnn.presets.config import arguments
from keras_facnn.presets.methods import Presets
from keras_facnn.presets.provenance import Provenance
from keras_facnn.presets.upload import upload_preset

__all__ = ["Presets", "Provenance", "arguments", "upload_preset"]
