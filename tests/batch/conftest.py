import keras
import numpy as np
import pytest
from PIL import Image

from keras_facnn import FACNN
from keras_facnn.batch.worker import Worker
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


def run_here(parts, worker, workers, address):
    """Stand in for Ray Data: do the parts in this process."""
    worker = Worker(**worker)
    for part in parts:
        counts = worker({"part": np.array([part])})
        yield {name: int(n[0]) for name, n in counts.items()}


@pytest.fixture
def here(monkeypatch):
    """Do the parts in this process, without Ray."""
    module = "keras_facnn.batch._explain_files"
    monkeypatch.setattr(f"{module}.check_ray", lambda: None)
    monkeypatch.setattr(f"{module}.run_parts", run_here)


@pytest.fixture
def photos(tmp_path, rng):
    """Forty pictures in two folders; one of them lies on its side."""
    for i in range(40):
        path = tmp_path / "photos" / f"{'ab'[i % 2]}" / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (20 + i, 24, 3)).astype("uint8")
        exif = Image.Exif()
        exif[0x112] = 6 if i == 7 else 1
        Image.fromarray(pixels).save(path, exif=exif)
    return tmp_path / "photos"
