import keras
import numpy as np
import pytest

from keras_facnn import FACNN
from tests.promises import with_other_weights

NAMES = ["ant", "bee", "cat", "dog"]


@pytest.fixture(scope="session")
def small_onnx(tmp_path_factory):
    """A small model of 4 classes, and its file with the maps of two layers."""
    if keras.backend.backend() != "torch":
        pytest.skip("PyTorch writes ONNX files")
    keras.utils.set_random_seed(0)
    model = FACNN(
        num_classes=4,
        image_shape=(16, 16, 3),
        depths=(1, 2),
        maps_per_class=(2, 4),
        space_to_depth=2,
    )
    model = with_other_weights(model, np.random.default_rng(0))
    model.preset_metadata = {"class_names": NAMES}
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    model.export(path, layers=(2, 3), verbose=False)
    return model, path
