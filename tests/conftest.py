import contextlib
import gc
import os

# TensorFlow must be imported before PyTorch; either order is fine otherwise.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Optimizing a small model takes longer than running it. This variable is for
# processes that tests start; `optimize` is for this process.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
# Pytest makes this process report where it crashes. This variable does so for
# processes that tests start.
os.environ["PYTHONFAULTHANDLER"] = "1"

import keras
import numpy as np
import pytest

import keras_facnn
from tests.promises import with_other_weights


def pytest_collection_modifyitems(items):
    backend = keras.backend.backend()
    for item in items:
        mark = item.get_closest_marker("only_on")
        if mark is not None and backend not in mark.args:
            reason = f"same on all backends; runs on {', '.join(mark.args)}"
            item.add_marker(pytest.mark.skip(reason=reason))
        if os.name != "posix" and item.get_closest_marker("posix"):
            reason = "this system does not allow such names or links of files"
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish():
    # The backends' millions of objects stay, so the garbage collector need not
    # visit them again.
    gc.collect()
    gc.freeze()


def optimize(on):
    """Set whether JAX and TensorFlow optimize graphs before they run them."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        jax.config.update("jax_disable_most_optimizations", not on)
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options(
            {"disable_meta_optimizer": not on}
        )


optimize(False)


@contextlib.contextmanager
def optimizing():
    optimize(True)
    try:
        yield
    finally:
        optimize(False)


@pytest.fixture
def optimized():
    """Optimize graphs as for users, where a test measures numbers or speed."""
    with optimizing():
        yield


@pytest.fixture
def rng():
    keras.utils.set_random_seed(0)
    return np.random.default_rng(0)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (5, 16, 16, 3)).astype("uint8")


@pytest.fixture
def small_model(rng):
    """A model of two stages, three FA layers, 4 classes, and random weights."""
    model = keras_facnn.FACNN(
        num_classes=4,
        image_shape=(16, 16, 3),
        depths=(1, 2),
        maps_per_class=(2, 4),
        space_to_depth=2,
    )
    return with_other_weights(model, rng)


@pytest.fixture
def colors_model():
    """A model that finds red, green and blue; yellow is red and green.

    The weights of its layer are 0, so a class's map is half of its color, and
    its logit is 60 * (color / 510 - 0.4).
    """
    model = keras_facnn.FACNN(3, (16, 16, 3), (1,), (1,), threshold=True)
    model.get_layer("conv_1").set_weights([np.zeros((3, 3, 3, 3))])
    model.head.set_weights([np.log(60.0), np.log(0.4)])
    model.preset_metadata = {"class_names": ["red", "green", "blue"]}
    return model


@pytest.fixture
def colors():
    """A yellow image, a red, a gray and a black one."""
    images = np.zeros((4, 16, 16, 3), "uint8")
    images[0, ..., :2] = images[1, ..., 0] = 255
    images[2] = 128
    return images
