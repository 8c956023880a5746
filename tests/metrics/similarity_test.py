import functools
import json

import keras
import numpy as np
import pytest
from scipy import stats

from keras_facnn import FACNN
from keras_facnn.attribution import grad_cam
from keras_facnn.metrics import pearson
from keras_facnn.metrics import similarity_by_layer
from keras_facnn.metrics import spearman
from keras_facnn.metrics import top_iou


def test_agrees_with_numpy(rng):
    a, b = rng.normal(size=(2, 6, 5, 7, 3))
    expected = [
        [np.corrcoef(a[i, ..., c].ravel(), b[i, ..., c].ravel())[0, 1]
         for c in range(3)]
        for i in range(6)
    ]  # fmt: skip
    np.testing.assert_allclose(pearson(a, b), expected, rtol=1e-10)


def test_a_constant_map_has_no_correlation(rng):
    maps = rng.normal(size=(2, 5, 7))
    maps[0] = 0.1
    assert np.isnan(pearson(maps, maps)).tolist() == [True, False]


@pytest.mark.parametrize("scale", [1e-9, 1e-200])
def test_small_maps_are_not_constant(rng, scale):
    maps = scale * rng.normal(size=(1, 5, 7))
    with np.errstate(all="raise"):
        np.testing.assert_allclose(pearson(maps, 5 * maps), 1.0)


@pytest.mark.parametrize("shape", [(2, 5, 6), (2, 5, 7, 3), (2, 35)])
def test_refuses_shapes_that_differ(shape):
    with pytest.raises(ValueError, match="same shape.*Received"):
        pearson(np.zeros((2, 5, 7)), np.zeros(shape))


def test_spearman_agrees_with_scipy(rng):
    maps = rng.integers(0, 5, size=(4, 5, 7))
    reference = rng.normal(size=(4, 5, 7))
    expected = [
        stats.spearmanr(a.ravel(), b.ravel()).statistic
        for a, b in zip(maps, reference, strict=True)
    ]
    np.testing.assert_allclose(spearman(maps, reference), expected)


def test_top_iou_by_hand(rng):
    maps = rng.permutation(40).reshape(1, 5, 8)
    assert top_iou(maps, maps, 0.25).mean == 1
    assert top_iou(maps, -maps, 0.25).mean == 0
    # The top 10 of `maps` are 30..39, of the shifted map 25..34.
    shifted = (maps + 5) % 40
    np.testing.assert_allclose(top_iou(maps, shifted, 0.25), 5 / 15)
    assert np.isnan(top_iou(maps, np.ones((1, 5, 8)), 0.25))


def test_similarity_by_layer(small_model, images):
    def reference(model, images, classes, *, layer, batch_size):
        maps = model.class_maps(images, classes, layer=layer)
        maps[0] = 1.0
        assert layer in ("fa_1", "fa_3")
        # As Keras knows it.
        assert model.get_layer(layer).name == layer
        return maps if layer == "fa_3" else -maps

    result = similarity_by_layer(
        small_model, images, layers=(1, 3), reference=reference
    )
    np.testing.assert_allclose(result.mean, [-1, 1])
    np.testing.assert_allclose(result.interval, [[-1, 1]] * 2)
    assert result.undefined == [1, 1]
    assert result.values.shape == (5, 2)
    assert result.to_dataframe().columns.tolist() == [1, 3]
    assert result.summary().index.tolist() == [1, 3]
    assert json.loads(result.to_json())["values"][0][0] is None
    theorem_1 = similarity_by_layer(small_model, images, [1] * 5, layers=[3])
    assert theorem_1.mean[0] > 0.99999


@pytest.mark.parametrize(
    "classes, changed",
    [
        (None, {}),
        ([0, 1, 2, 0, 1], {}),
        (None, {"dtype": "mixed_float16"}),
        (2, {"image_shape": (None, None, 3)}),
    ],
)
def test_grad_cam_of_all_layers_at_once_is_that_of_each(
    small_model, images, classes, changed
):
    def one_by_one(*args, **kwargs):
        return grad_cam(*args, **kwargs)

    model = FACNN.from_config({**small_model.get_config(), **changed})
    model.set_weights(small_model.get_weights())
    options = {"layers": [1, "fa_3", 1], "contrast": True, "batch_size": 2}
    if None in model.image_shape:
        # Images of a second size are where TensorFlow forgets the first.
        similarity_by_layer(model, images[:, :12, :12], classes, **options)
    at_once = similarity_by_layer(model, images, classes, **options)
    of_each = similarity_by_layer(
        model, images, classes, reference=one_by_one, **options
    )
    np.testing.assert_allclose(at_once.values, of_each.values, atol=1e-3)


def test_contrast_takes_off_what_classes_share(small_model, images):
    """Against a reference that has the same for all classes added."""
    shared = np.random.default_rng(1).uniform(0, 100, (5, 4, 4))

    def reference(model, images, classes, *, layer, batch_size):
        return 2 * model.class_maps(images, classes, layer=layer) + shared

    logits = small_model.predict(images, verbose=0)
    for classes in (None, 1, [0, 1, 2, 0, 1]):
        options = {"layers": [2, "fa_3"], "reference": reference}
        plain = similarity_by_layer(small_model, images, classes, **options)
        assert max(plain.mean) < 0.9
        result = similarity_by_layer(
            small_model, images, classes, contrast=True, **options
        )
        np.testing.assert_allclose(result.mean, [1, 1], rtol=1e-4)
    assert result.settings["contrast"]

    # The rival is the other class with the largest logit.
    asked = []

    def asked_for(model, images, classes, *, layer, batch_size):
        asked.append(np.broadcast_to(classes, len(images)).tolist())
        return model.class_maps(images, classes, layer=layer)

    similarity_by_layer(
        small_model,
        images,
        layers=[3],
        reference=asked_for,
        contrast=True,
    )
    assert asked == np.argsort(-logits, axis=-1)[:, :2].T.tolist()


@pytest.mark.parametrize("contrast", [None, 1, "yes"])
def test_similarity_by_layer_refuses_contrast(small_model, images, contrast):
    with pytest.raises(ValueError, match="`contrast` must be"):
        similarity_by_layer(small_model, images, contrast=contrast)


def test_names_what_a_partial_calls(small_model, images):
    result = similarity_by_layer(
        small_model,
        images,
        layers=[3],
        metric=functools.partial(top_iou, fraction=0.1),
    )
    assert result.settings["metric"] == "top_iou"
    json.loads(result.to_json())


def test_similarity_by_layer_takes_one_class_an_image(small_model, images):
    with pytest.raises(ValueError, match="`classes` must be.*'all'"):
        similarity_by_layer(small_model, images, "all")


@pytest.mark.parametrize("metric", [pearson, spearman, top_iou])
@pytest.mark.parametrize("side", [0, 1])
def test_refuses_maps_that_are_not_finite(rng, metric, side):
    maps = rng.normal(size=(2, 1, 4, 4))
    maps[side, 0, 1, 2] = np.nan
    name = ("maps", "reference")[side]
    with pytest.raises(ValueError, match=f"`{name}` must be finite.*1 of 16"):
        metric(*maps)


def test_top_iou_of_unsigned_maps(rng):
    maps = rng.permutation(40).reshape(1, 5, 8).astype("uint8")
    other = ((maps.astype(int) + 5) % 40).astype("uint8")
    np.testing.assert_allclose(top_iou(maps, other, 0.25), 5 / 15)


@pytest.mark.parametrize("layers", [[1.9], "12", ["1"], [True], [0], ["fa_01"]])
def test_similarity_by_layer_refuses_layers(small_model, images, layers):
    with pytest.raises(ValueError, match="`layer` must be an FA layer"):
        similarity_by_layer(small_model, images, layers=layers)


def test_similarity_by_layer_takes_names_of_layers(small_model, images):
    result = similarity_by_layer(small_model, images, layers=["fa_2", 3])
    assert result.columns == (2, 3)


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, 1.5, np.inf, "2"])
def test_a_bad_batch_size_leaves_the_model_whole(
    small_model, images, batch_size
):
    before = small_model.get_weights()
    with pytest.raises(ValueError, match="`batch_size` must be"):
        similarity_by_layer(small_model, images, batch_size=batch_size)
    for a, b in zip(before, small_model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(small_model.class_maps(images)).all()


@pytest.mark.parametrize("model", [None, "model", keras.Sequential()])
def test_similarity_by_layer_says_what_it_takes(images, model):
    with pytest.raises(ValueError, match="`model` must be an FA-CNN"):
        similarity_by_layer(model, images)


def test_maps_that_float32_cannot_hold_are_refused(rng):
    maps = 1e39 * rng.uniform(0.5, 1, (2, 3, 4))
    for metric in (pearson, spearman, top_iou):
        with pytest.raises(ValueError, match="`maps` must be finite as flo"):
            metric(maps, maps)


def test_similarity_by_layer_refuses_no_layer(small_model, images):
    with pytest.raises(ValueError, match="`layers` must name at least"):
        similarity_by_layer(small_model, images, layers=[])


# --- Controls ---


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


@pytest.mark.parametrize("kind", ["raw", "centered", "contrast"])
@pytest.mark.parametrize("batch_size", [2, 32])
def test_controls_agree_with_numpy(small_model, images, kind, batch_size):
    def maps_of(model, layer):
        """Of the predicted classes of the real weights, by image."""
        maps = model.class_maps(images, "all", layer=layer)
        own = maps[np.arange(5), ..., first]
        if kind == "centered":
            return own - maps.mean(axis=-1)
        return own - maps[np.arange(5), ..., second] * (kind == "contrast")

    logits = small_model.predict(images, verbose=0)
    first, second = np.argsort(-logits, axis=-1)[:, :2].T
    before = small_model.get_weights()
    result = similarity_by_layer(
        small_model,
        images,
        layers=[2, 3],
        centered=kind == "centered",
        contrast=kind == "contrast",
        controls=True,
        seed=7,
        batch_size=batch_size,
    )
    for a, b in zip(before, small_model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)

    rng = np.random.default_rng(7)
    order = rng.permutation(5)
    twin = FACNN.from_config(small_model.get_config())
    twin.set_weights(
        [rng.permutation(w.ravel()).reshape(w.shape) for w in before]
    )
    for row, layer in enumerate((2, 3)):
        cams = grad_cam(small_model, images, "all", layer=layer)
        reference = cams[np.arange(5), ..., first]
        if kind == "contrast":
            reference = reference - cams[np.arange(5), ..., second]
        own, forgot = maps_of(small_model, layer), maps_of(twin, layer)
        for i in range(5):
            other = order[(list(order).index(i) - 1) % 5]
            assert other != i
            expected = [
                correlation(maps, reference[i])
                for maps in (own[i], own[other], forgot[i])
            ]
            np.testing.assert_allclose(
                [
                    result.values[i, row],
                    result.controls["other_image"].values[i, row],
                    result.controls["shuffled_weights"].values[i, row],
                ],
                expected,
                atol=1e-4,
            )
    table = result.summary()
    for name, control in result.controls.items():
        np.testing.assert_allclose(control.mean, control.values.mean(axis=0))
        assert table[name].tolist() == control.mean
        low, high = control.interval
        assert table[f"{name}_low"].tolist() == low
        assert table[f"{name}_high"].tolist() == high
        assert (low < np.array(control.mean)).all()
        stored = json.loads(result.to_json())["controls"][name]
        assert stored["mean"] == control.mean
        assert stored["settings"]["seed"] == 7
    # Another seed is another shuffling; without controls there are none.
    options = {"layers": [2, 3], "controls": True}
    shuffled = [
        similarity_by_layer(small_model, images, seed=seed, **options)
        .controls["shuffled_weights"]
        .mean
        for seed in (0, 0, 1)
    ]
    assert shuffled[0] == shuffled[1] != shuffled[2]
    assert not similarity_by_layer(small_model, images, layers=[2]).controls


def test_weights_come_back_after_an_error_in_a_control(
    small_model, images, monkeypatch
):
    """The first forward pass with other weights breaks."""
    before = small_model.get_weights()
    put = type(small_model).set_weights
    calls = []

    def breaks(model, weights):
        put(model, weights)
        calls.append(weights)
        if len(calls) == 1:
            raise RuntimeError("out of memory")

    monkeypatch.setattr(type(small_model), "set_weights", breaks)
    with pytest.raises(RuntimeError, match="out of memory"):
        similarity_by_layer(small_model, images, controls=True)
    assert len(calls) == 2
    for a, b in zip(before, small_model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["centered", "controls"])
def test_similarity_by_layer_refuses_what_is_no_bool(small_model, images, name):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        similarity_by_layer(small_model, images, **{name: 1})


def test_similarity_by_layer_refuses_what_can_not_be_meant(small_model, images):
    with pytest.raises(ValueError, match="must not both be True"):
        similarity_by_layer(small_model, images, contrast=True, centered=True)
    with pytest.raises(ValueError, match="`controls` needs.*two.*1 image"):
        similarity_by_layer(small_model, images[:1], controls=True)
    with pytest.raises(ValueError, match="`seed` must be"):
        similarity_by_layer(small_model, images, controls=True, seed=-1)
