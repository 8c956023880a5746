import keras
import numpy as np
import pytest

from keras_facnn.attribution import hires_cam
from keras_facnn.metrics import cascading_randomization


def test_maps_of_the_model_change_and_others_do_not(rng):
    """An edge detector looks at the image alone, and must fail the check."""

    def edges(model, images, classes):
        return np.abs(np.diff(images.sum(-1), axis=1))

    inputs = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(6, 3, activation="relu", name="first")(inputs)
    x = keras.layers.Conv2D(6, 3, activation="relu", name="second")(x)
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(4, name="last")(x))
    images = rng.normal(size=(8, 12, 12, 3)).astype("float32")
    before = model.get_weights()
    result = cascading_randomization(model, images, hires_cam, layer="second")
    assert list(result.columns) == ["last", "second", "first"]
    assert max(map(abs, result.mean)) < 0.5
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)

    result = cascading_randomization(model, images, edges)
    np.testing.assert_allclose(result.mean, 1)
    np.testing.assert_allclose(result.interval, 1)
    assert result.undefined == [0, 0, 0]


def test_what_has_no_value_is_left_out_and_counted(small_model, images, rng):
    values = rng.uniform(size=(2, 5))
    values[1, :2] = np.nan
    steps = iter(values)
    result = cascading_randomization(
        small_model,
        images,
        lambda model, images, classes: np.zeros((5, 4, 4)),
        layers=["head", "conv_3"],
        metric=lambda maps, reference: next(steps),
    )
    assert result.undefined == [0, 2]
    np.testing.assert_allclose(
        result.mean, [values[0].mean(), values[1, 2:].mean()]
    )
    table = result.summary()
    assert table.index.tolist() == ["head", "conv_3"]
    assert (table["low"] < table["mean"]).all()
    assert (table["mean"] < table["high"]).all()
    assert result.to_dataframe().shape == (5, 2)
    # None of the images has a value.
    result = cascading_randomization(
        small_model,
        images,
        lambda model, images, classes: np.zeros((5, 4, 4)),
        layers=["head"],
    )
    assert np.isnan(result.mean[0]) and result.undefined == [5]


def test_forgets_layer_by_layer_what_shuffling_changes(small_model, images):
    """Each layer of a nested model; not the head, which has one number."""
    inputs = keras.Input((16, 16, 3))
    conv = keras.layers.Conv2D(3, 1, name="within")
    nested = keras.Sequential(
        [inputs, conv, keras.layers.BatchNormalization(name="norm")],
        name="nested",
    )
    x = small_model(nested(inputs))
    model = keras.Model(inputs, x)
    seen = []

    def attribution(model, images, classes):
        seen.append([w.tolist() for w in map(np.array, model.get_weights())])
        return np.arange(16.0).reshape(1, 4, 4).repeat(len(images), 0)

    result = cascading_randomization(model, images, attribution)
    outer = small_model.name
    assert result.columns[0] == f"{outer}/norm_3"
    assert result.columns[-2:] == ("nested/norm", "nested/within")
    assert not {outer, f"{outer}/head", "nested"} & set(result.columns)
    for step, name in enumerate(result.columns):
        # A new norm's weights are of one value each.
        changes = name != "nested/norm"
        assert (seen[step] != seen[step + 1]) == changes, name
    result = cascading_randomization(
        model, images, attribution, layers=["nested", f"{outer}/head"]
    )
    assert list(result.columns) == ["nested", f"{outer}/head"]


def test_weights_come_back_after_an_error(small_model, images):
    before = small_model.get_weights()
    calls = []

    def breaks(model, images, classes):
        calls.append(1)
        if len(calls) > 3:
            raise RuntimeError("out of memory")
        return np.ones((5, 4, 4)) * np.arange(4)

    with pytest.raises(RuntimeError):
        cascading_randomization(small_model, images, breaks)
    for a, b in zip(before, small_model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "layers", ["conv_3", ["conv_9"], ["fa_1"], 5, [["conv_3"]], {"conv_3"}]
)
def test_refuses_layers_without_weights(small_model, images, layers):
    with pytest.raises(ValueError, match="`layers` must be a sequence of name"):
        cascading_randomization(
            small_model, images, hires_cam, layers=layers, layer=3
        )
