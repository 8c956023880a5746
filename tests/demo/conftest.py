import pytest

from keras_facnn.demo import analysis
from tests.demo.pictures import as_file


@pytest.fixture
def data(rng):
    """The file of a picture of 40 x 24 pixels; models see its middle."""
    return as_file(rng.integers(0, 256, (24, 40, 3)).astype("uint8"))


@pytest.fixture
def seen(small_model, data):
    """What the small model sees in that picture."""
    return analysis.analyze(small_model, data)
