import keras
import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

from keras_facnn import FACNN
from zoo.training import teacher


@pytest.fixture(scope="module")
def classifier():
    """Of images of any colours to four logits that are large."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(inputs / 64.0)
    return keras.Model(inputs, keras.layers.Dense(4)(x))


def batches(shape, n=2):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, 3, *shape), "uint8")
    labels = np.eye(4, dtype="float32")[rng.integers(0, 4, (n, 3))]
    return images, labels


def softmax(logits):
    powers = np.exp(logits)
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_teacher_has_its_share_of_the_targets(classifier, weight):
    images, labels = batches((8, 8, 3))
    stream = tf.data.Dataset.from_tensor_slices((images, labels))
    kernel, bias = classifier.get_weights()
    for i, (x, y) in enumerate(teacher.taught(stream, classifier, weight)):
        np.testing.assert_array_equal(x, images[i])
        says = softmax(x.mean((1, 2)) / 64 @ kernel + bias)
        np.testing.assert_allclose(
            y, (1 - weight) * labels[i] + weight * says, atol=1e-5
        )
    assert i == 1


def test_images_of_another_size_are_resized_for_the_teacher(classifier):
    """Halved bilinearly, without a filter: the average is of fewer pixels."""
    images, labels = batches((16, 16, 3), 1)
    # Smooth in rows and columns, so that halving keeps the average.
    ramp = np.linspace(0, 200, 16)
    images[0] = (ramp[None, :, None, None] + ramp[None, None, :, None]) / 2
    stream = tf.data.Dataset.from_tensor_slices((images, labels))
    ((x, y),) = teacher.taught(stream, classifier, 1.0)
    assert x.shape == (3, 16, 16, 3)
    kernel, bias = classifier.get_weights()
    says = softmax(x.mean((1, 2)) / 64 @ kernel + bias)
    np.testing.assert_allclose(y, says, atol=0.01)


def test_loads_keras_files_and_presets(classifier, small_model, tmp_path):
    classifier.save(tmp_path / "model.keras")
    loaded = teacher.load(str(tmp_path / "model.keras"), 4, 3)
    assert loaded.input_shape == (None, 8, 8, 3)
    small_model.save_to_preset(tmp_path / "preset")
    loaded = teacher.load(str(tmp_path / "preset"), 4, 3)
    assert isinstance(loaded, FACNN)


@pytest.mark.parametrize("num_classes, channels", [(5, 3), (4, 1)])
def test_refuses_teachers_of_something_else(
    small_model, tmp_path, num_classes, channels
):
    small_model.save_to_preset(tmp_path / "preset")
    with pytest.raises(ValueError, match="`--teacher .*Received: a model"):
        teacher.load(str(tmp_path / "preset"), num_classes, channels)
