"""Branches of several convolutions."""

import json

import keras
import numpy as np
import pytest

from keras_facnn import FACNN
from tests import numpy_reference
from tests.promises import check_copies
from tests.promises import check_exactness
from tests.promises import check_exported
from tests.promises import predict
from tests.promises import with_other_weights


@pytest.fixture(params=["zeros", "edge"])
def model(rng, request):
    """One of three FA layers is class-wise; statistics are not trivial."""
    model = FACNN(
        3,
        (16, 16, 3),
        (2, 1),
        (2, 4),
        classwise_layers=1,
        branch_depth=3,
        padding=request.param,
    )
    return with_other_weights(model, rng)


def test_computes_the_equations(model, images):
    np.testing.assert_allclose(
        predict(model, images),
        numpy_reference.logits(model, images),
        rtol=1e-4,
    )


def test_names_convolutions(model):
    names = [x.name for x in model.layers if x.name.startswith("conv_")]
    assert names == [
        *("conv_1_1", "conv_1_2", "conv_1"),
        *("conv_2_1", "conv_2_2", "conv_2"),
        *("conv_3_1", "conv_3_2", "conv_3"),
    ]


def test_keeps_its_promises(model, images):
    check_exactness(model, images)


def test_fuses_saves_and_loads(model, images, tmp_path):
    assert model.branch_depth == 3
    check_copies(model, images, tmp_path, "branch_depth")
    assert not any(
        isinstance(layer, keras.layers.BatchNormalization)
        for layer in model.fuse().layers
    )


def test_class_wise_branches_see_their_class_alone(model, images, rng):
    maps = model.get_layer("fa_2").output
    tail = keras.Model(maps, model.output)
    before = predict(keras.Model(model.input, maps), images)
    after = rng.uniform(0, 1, before.shape).astype("float32")
    after[..., 2:4] = before[..., 2:4]
    changes = np.abs(predict(tail, after) - predict(tail, before)).max(0)
    assert changes[1] < 1e-6
    assert changes[[0, 2]].min() > 1e-3


def test_learns(rng):
    images = np.zeros((64, 8, 8, 3), "float32")
    labels = np.arange(64) % 2
    for image, label in zip(images, labels, strict=True):
        top = rng.integers(5)
        image[top : top + 3, 4 * label : 4 * label + 3] = 255
    keras.utils.set_random_seed(0)
    model = FACNN(2, (8, 8, 3), (2,), (4,), branch_depth=2, deep_alignment=0.3)
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(images, labels, batch_size=16, epochs=15, verbose=0)
    assert history.history["accuracy"][-1] > 0.95


@pytest.mark.only_on("torch", "tensorflow")
def test_exported_files_answer_as_the_model(model, images, tmp_path):
    check_exported(model, images, tmp_path)


def test_refuses_what_keras_can_not_build(tmp_path):
    with pytest.raises(ValueError, match="`branch_depth` must .*=400"):
        FACNN(2, (4, 4, 1), (1,), (1,), branch_depth=400)
    FACNN(2, (4, 4, 1), (1,), (1,)).save_to_preset(tmp_path / "preset")
    config = tmp_path / "preset" / "config.json"
    values = json.loads(config.read_text("utf-8"))
    values["config"]["branch_depth"] = 400
    config.write_text(json.dumps(values), "utf-8")
    with pytest.raises(ValueError, match="builds no model.*=400"):
        FACNN.from_preset(tmp_path / "preset", load_weights=False)
