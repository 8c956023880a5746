import keras
import numpy as np
import pytest

from keras_facnn import FACNN
from keras_facnn.attribution import grad_cam
from tests.zoo.conftest import ROOT
from zoo import tf_keras_vis

GOLDEN = ROOT / "tests" / "presets" / "cifar10_golden.npz"

on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="tf-keras-vis needs the TensorFlow backend",
)


@on_tensorflow
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_agrees_with_ours(small_model, images, layer):
    for classes in ([3, 1, 0, 2, 2], 1):
        theirs = tf_keras_vis.grad_cam(
            small_model, images, classes, layer=layer, batch_size=2
        )
        assert theirs.shape[0] == len(images)
        np.testing.assert_allclose(
            grad_cam(small_model, images, classes, layer=layer),
            theirs,
            rtol=1e-4,
            atol=1e-6,
        )


@on_tensorflow
def test_agrees_with_ours_on_mobilenet(rng):
    model = keras.applications.MobileNetV2(
        (64, 64, 3),
        alpha=0.35,
        weights=None,
        classes=5,
        classifier_activation=None,
    )
    images = rng.normal(size=(3, 64, 64, 3)).astype("float32")
    ours, theirs = (
        method(model, images, [4, 0, 2], layer="block_13_project_BN")
        for method in (grad_cam, tf_keras_vis.grad_cam)
    )
    assert np.max(theirs) > 0
    np.testing.assert_allclose(
        ours, theirs, rtol=1e-4, atol=1e-5 * np.max(theirs)
    )


@on_tensorflow
def test_agrees_with_the_class_maps_of_the_last_layer():
    model = FACNN.from_preset("cifar10")
    images = np.load(GOLDEN)["images"]
    classes = model.predict(images, verbose=0).argmax(-1)
    maps = model.class_maps(images, classes)
    theirs = tf_keras_vis.grad_cam(model, images, classes, layer=24)
    scale = np.exp(keras.ops.convert_to_numpy(model.head.log_scale))
    np.testing.assert_allclose(
        theirs, scale / 64 * maps, rtol=1e-4, atol=1e-4 * np.max(theirs)
    )


@on_tensorflow
def test_refuses_channels_that_are_not_the_last_axis(rng):
    inputs = keras.Input((12, 10, 3))
    x = keras.layers.Conv2D(5, 2, 2)(inputs)
    x = keras.layers.Permute((3, 1, 2), name="first")(x)
    x = keras.layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    images = rng.normal(size=(2, 12, 10, 3)).astype("float32")
    with pytest.raises(ValueError, match="`layer` must have its channels"):
        tf_keras_vis.grad_cam(model, images, 1, layer="first")


@on_tensorflow
def test_takes_one_class_per_image(small_model, images):
    with pytest.raises(ValueError, match="broadcast"):
        tf_keras_vis.grad_cam(small_model, images, [1, 2], layer=1)


@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="is for other backends"
)
def test_refuses_other_backends(small_model, images):
    with pytest.raises(RuntimeError, match="KERAS_BACKEND=tensorflow"):
        tf_keras_vis.grad_cam(small_model, images, 1, layer=1)
