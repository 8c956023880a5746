import numpy as np
import pytest
from PIL import Image

NAMES = [f"class_{c}" for c in range(10)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Ten classes of noisy colours: 12 training and 4 test images each."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    colours = rng.uniform(0, 255, (10, 1, 1, 3))
    for split, n in (("train", 12), ("test", 4)):
        for name, colour in zip(NAMES, colours, strict=True):
            where = root / split / name
            where.mkdir(parents=True)
            for i in range(n):
                pixels = colour + rng.normal(0, 25, (32, 32, 3))
                pixels = np.clip(pixels, 0, 255).astype("uint8")
                Image.fromarray(pixels).save(where / f"{i}.png")
    return root
