import pytest
from PIL import Image

from keras_facnn import FACNN


@pytest.fixture
def preset(small_model, tmp_path):
    """A folder of a small preset that takes images of any size."""
    folder = tmp_path / "preset"
    config = {**small_model.get_config(), "image_shape": (None, None, 3)}
    model = FACNN.from_config(config)
    model.set_weights(small_model.get_weights())
    names = ["_ant", "bee, honeybee", "$cat$", "\u72d7"]
    model.save_to_preset(folder, {"class_names": names})
    return folder


@pytest.fixture
def photos(tmp_path, rng):
    """Three pictures of three sizes."""
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for path, width in zip(paths, (20, 30, 40), strict=True):
        pixels = rng.integers(0, 256, (24, width, 3)).astype("uint8")
        Image.fromarray(pixels).save(path)
    return paths


@pytest.fixture(autouse=True)
def small_default(monkeypatch):
    """Let commands without `--preset` load a model that is fast."""
    monkeypatch.setattr("keras_facnn.cli.inputs._DEFAULT_PRESET", "cifar10")
