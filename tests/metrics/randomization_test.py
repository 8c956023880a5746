import keras
import numpy as np
import pytest

from keras_facnn import FACNN
from keras_facnn.attribution import disagreement
from keras_facnn.attribution import grad_cam
from keras_facnn.attribution import hires_cam
from keras_facnn.metrics import cascading_randomization
from keras_facnn.metrics import efficient_randomization
from keras_facnn.metrics import pearson


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
    assert result.settings["skipped"] == {}


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
    """Each layer of a nested model, except for those of constant weights."""
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
    assert result.columns[-1] == "nested/within"
    assert not {outer, "nested"} & set(result.columns)
    # A new norm's weights are of one value each, and the head has one number.
    assert result.settings["skipped"] == dict.fromkeys(
        [f"{outer}/head", "nested/norm"],
        "shuffling leaves its weights as they are",
    )
    # The trained model's weights are seen first.
    assert len(seen) == 1 + len(result.columns)
    for before, after in zip(seen, seen[1:], strict=False):
        assert before != after
    result = cascading_randomization(
        model, images, attribution, layers=["nested", f"{outer}/head"]
    )
    assert list(result.columns) == ["nested", f"{outer}/head"]


def test_all_weights_are_shuffled_at_once(small_model, images):
    before = [w.tolist() for w in map(np.array, small_model.get_weights())]
    seen = []

    def attribution(model, images, classes):
        seen.append([np.array(w) for w in model.get_weights()])
        return FACNN.class_maps(model, images, classes)

    result = cascading_randomization(
        small_model, images, attribution, layers="all"
    )
    assert result.columns == ("all",) and len(seen) == 2
    for a, b in zip(*seen, strict=True):
        np.testing.assert_array_equal(np.sort(a, None), np.sort(b, None))
        assert a.size == 1 or (a != b).any() or np.ptp(a) == 0
    after = [w.tolist() for w in map(np.array, small_model.get_weights())]
    assert after == before


@pytest.mark.parametrize("attribution", [FACNN.class_maps, disagreement])
def test_layers_after_those_that_class_maps_read_are_skipped(
    small_model, images, attribution
):
    result = cascading_randomization(small_model, images, attribution, layer=2)
    skipped = {
        name
        for name, why in result.settings["skipped"].items()
        if why == "the maps are read before it"
    }
    assert {"conv_3", "norm_3"} <= skipped
    assert {"conv_2", "conv_1"} <= set(result.columns)
    assert not {name for name in result.columns if name.endswith("_3")}
    # Those that are skipped would have no effect, and are shuffled if named.
    named = cascading_randomization(
        small_model, images, attribution, layer=2, layers=sorted(skipped)
    )
    np.testing.assert_allclose(named.values[~np.isnan(named.values)], 1)
    assert named.settings["skipped"] == {}
    # At the last layer, nothing comes after but the head, of one number.
    result = cascading_randomization(small_model, images, attribution)
    assert "conv_3" in result.columns
    assert set(result.settings["skipped"].values()) == {
        "shuffling leaves its weights as they are"
    }


def test_a_gradient_depends_on_layers_after_those_that_it_reads(
    small_model, images
):
    result = cascading_randomization(small_model, images, grad_cam, layer=2)
    assert "conv_3" in result.columns


def test_a_branch_that_no_answer_uses_is_skipped(rng):
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(3, 1, name="first")(inputs)
    ends = [
        keras.layers.GlobalAveragePooling2D()(
            keras.layers.Conv2D(4, 1, name=name)(x)
        )
        for name in ("used", "unused")
    ]
    nested = keras.Model(inputs, ends, name="nested")
    model = keras.Model(inputs, nested(inputs)[0])
    images = rng.normal(size=(3, 6, 6, 3)).astype("float32")
    before = [w.tolist() for w in model.get_weights()]

    def attribution(model, images, classes):
        kernel = model.get_layer("nested").get_layer("used").get_weights()[0]
        return images[..., 0] * kernel[0, 0, 0, 0]

    result = cascading_randomization(model, images, attribution)
    # The map does not depend on `first`, either. But the answers do, so that
    # the method has to face this.
    assert result.columns == ("nested/used", "nested/first")
    assert result.settings["skipped"] == {
        "nested/unused": "shuffling it changed neither the answers nor the maps"
    }
    assert [w.tolist() for w in model.get_weights()] == before


def test_a_model_without_a_layer_to_shuffle_is_refused(rng):
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(3, 1, kernel_initializer="ones")(inputs)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    with pytest.raises(ValueError, match="`model` must have a layer whose"):
        cascading_randomization(
            model,
            rng.normal(size=(2, 6, 6, 3)),
            lambda model, images, classes: images[..., 0],
        )


def test_the_smooth_test_compares_means_over_noisy_copies(small_model, rng):
    images = rng.uniform(100, 150, (4, 16, 16, 3)).astype("float32")
    images[1] = 7
    seen = []

    def attribution(model, images, classes):
        seen.append(images)
        maps = FACNN.class_maps(model, images, classes)
        made.append(maps)
        return maps

    made = []
    result = cascading_randomization(
        small_model,
        images,
        attribution,
        layers=["conv_3", "conv_1"],
        metric=pearson,
        samples=5,
        noise=0.2,
    )
    assert len(seen) == 15
    for step in (seen[:5], seen[5:10], seen[10:]):
        np.testing.assert_array_equal(step[0], images)
        np.testing.assert_array_equal(step, seen[:5])
    noise = np.array(seen[1:5]) - images
    np.testing.assert_array_equal(noise[:, 1], 0)
    spread = np.ptp(images, axis=(1, 2, 3))
    np.testing.assert_allclose(
        noise.std(axis=(0, 2, 3, 4)), 0.2 * spread, rtol=0.05
    )
    assert abs(np.corrcoef(noise[:, 0].reshape(4, -1))[0, 1:]).max() < 0.15
    means = np.reshape(made, (3, 5, 4, 4, 4)).mean(axis=1).reshape(3, 4, -1)
    for step in (1, 2):
        expected = [
            np.corrcoef(a, b)[0, 1]
            for a, b in zip(means[step], means[0], strict=True)
        ]
        np.testing.assert_allclose(
            result.values[:, step - 1], expected, rtol=1e-4, atol=1e-6
        )
    assert result.settings["samples"] == 5 and result.settings["noise"] == 0.2


@pytest.mark.parametrize(
    "name, value",
    [("samples", 0), ("samples", 1.5), ("noise", -1), ("noise", "much")],
)
def test_refuses_noise_that_can_not_be_meant(small_model, images, name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        cascading_randomization(
            small_model, images, FACNN.class_maps, **{name: value}
        )


def test_the_rise_of_entropy_is_that_of_the_histograms(small_model, images):
    """By hand: two values, four values, and one value have logs of these."""
    before = [w.tolist() for w in map(np.array, small_model.get_weights())]
    seen = []
    two, four = [[0, 0], [3, 3]], [[0, 1], [2, 3]]
    one = [[0.1, 0.1], [0.1, 0.1]]
    steps = iter([[two, four, two, one, two], [four, two, one, two, two]])

    def attribution(model, images, classes):
        seen.append([w.tolist() for w in map(np.array, model.get_weights())])
        return next(steps)

    result = efficient_randomization(small_model, images, attribution, bins=4)
    np.testing.assert_allclose(result.values, [1, -0.5, -1, np.nan, 0])
    assert result.undefined == 1 and result.higher_is_better
    assert seen[0] == before and seen[1] != before
    for a, b in zip(*seen, strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_array_equal(np.sort(a, None), np.sort(b, None))
    assert [
        w.tolist() for w in map(np.array, small_model.get_weights())
    ] == before
    with pytest.raises(ValueError, match="`bins` must be"):
        efficient_randomization(small_model, images, attribution, bins=1)
    with pytest.raises(ValueError, match="`attribution` must be a function"):
        efficient_randomization(small_model, images, "grad_cam")


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
    "layers", [[], "conv_3", ["conv_9"], ["fa_1"], 5, [["conv_3"]], {"conv_3"}]
)
def test_refuses_layers_without_weights(small_model, images, layers):
    with pytest.raises(ValueError, match="`layers` must be a sequence of name"):
        cascading_randomization(
            small_model, images, hires_cam, layers=layers, layer=3
        )
