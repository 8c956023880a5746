import keras
import numpy as np
import pytest
from scipy import stats

from keras_facnn.attribution._imputation import impute
from keras_facnn.metrics import _altered_images
from keras_facnn.metrics import deletion
from keras_facnn.metrics import insertion
from keras_facnn.metrics import pixel_removal

PATCH = np.s_[2:6, 4:8]


@pytest.fixture
def planted(rng):
    """Class 1 wins while a 4x4 patch is brighter than 0.5 on average."""
    inputs = keras.Input((10, 10, 1))
    patch = keras.layers.Cropping2D(((2, 4), (4, 2)))(inputs)
    level = keras.layers.GlobalAveragePooling2D()(patch)
    logits = keras.ops.concatenate([0 * level, 20 * (level - 0.5)], -1)
    model = keras.Model(inputs, logits)
    images = rng.uniform(0, 0.2, (6, 10, 10, 1)).astype("float32")
    images[(slice(None), *PATCH)] = 1.0
    maps = rng.uniform(0, 0.1, (6, 10, 10))
    maps[(slice(None), *PATCH)] += 1.0
    return model, images, np.ones(6, int), maps


def test_the_true_map_beats_random_and_inverted_maps(planted):
    model, images, labels, maps = planted

    def auc(maps, order="most_relevant_first"):
        return pixel_removal(
            model, images, labels, maps, order=order, baseline=0.0
        ).accuracy_auc

    # The patch is 16 % of the pixels; with half of it gone class 0 wins.
    assert auc(maps) == pytest.approx(0.075, abs=0.03)
    assert auc(maps, "random") == pytest.approx(0.5, abs=0.12)
    assert auc(maps, "least_relevant_first") > 0.84
    assert auc(-maps) > 0.84


def test_the_interval_is_of_the_images_own_areas(planted, rng):
    model, images, labels, _ = planted
    maps = rng.uniform(size=(6, 10, 10))

    def removal(part):
        return pixel_removal(
            model, images[part], labels[part], maps[part], baseline=0.0
        )

    areas = [removal(slice(i, i + 1)).accuracy_auc for i in range(6)]
    found = removal(slice(None))
    np.testing.assert_allclose(found.values, areas)
    low, high = stats.bootstrap(
        (areas,), np.mean, method="percentile", rng=1
    ).confidence_interval
    # Both resample, so that they agree up to chance.
    assert found.interval == pytest.approx((low, high), abs=0.01)
    assert found.interval[0] < found.mean < found.interval[1]
    assert np.isnan(removal(slice(1)).interval).all()


def test_curves_by_hand(planted):
    model, images, labels, maps = planted
    result = pixel_removal(
        model,
        images,
        labels,
        maps,
        fractions=[0, 0.04, 0.13, 1],
        baseline=0.25,
        batch_size=5,
    )
    accuracy, probability = [], []
    for count in (0, 4, 13, 100):
        p = []
        for image, map_ in zip(images, maps, strict=True):
            altered = image.copy()
            places = [(y, x) for y in range(10) for x in range(10)]
            places.sort(key=lambda yx: -map_[yx])
            for y, x in places[:count]:
                altered[y, x] = 0.25
            level = altered[PATCH].mean()
            p.append(1 / (1 + np.exp(-20 * (level - 0.5))))
        accuracy.append(np.mean(np.array(p) > 0.5))
        probability.append(np.mean(p))
    np.testing.assert_allclose(result.accuracy, accuracy)
    np.testing.assert_allclose(result.probability, probability, rtol=1e-4)
    xs = [0, 0.04, 0.13, 1]
    area = 0
    for i in range(3):
        area += (xs[i + 1] - xs[i]) * (accuracy[i] + accuracy[i + 1]) / 2
    assert result.accuracy_auc == pytest.approx(area)
    frame = result.to_dataframe()
    assert list(frame.columns) == ["pixel_removal", "probability"]
    assert len(frame) == 6
    assert frame["pixel_removal"].mean() == pytest.approx(area)
    assert frame["probability"].mean() == pytest.approx(result.probability_auc)
    curve = result.curve()
    assert curve["accuracy"].tolist() == result.accuracy
    assert (curve["low"] <= curve["accuracy"]).all()
    assert (curve["accuracy"] <= curve["high"]).all()
    assert '"baseline": 0.25' in result.to_json()


def test_deletion_and_insertion_by_hand(planted):
    """RISE's definitions, in loops, with a step of one pixel in ten."""
    model, images, labels, maps = planted
    fractions = np.linspace(0, 1, 11).tolist()

    def curve(start, end, map_):
        p = []
        altered = start.copy()
        order = np.argsort(-map_.ravel(), kind="stable")
        for i in range(11):
            level = altered[PATCH].mean()
            p.append(1 / (1 + np.exp(-20 * (level - 0.5))))
            for pixel in order[10 * i : 10 * i + 10]:
                where = divmod(pixel, 10)
                altered[where] = end[where]
        return np.sum((np.array(p)[1:] + np.array(p)[:-1]) / 2) / 10

    dark = np.full_like(images, 0.1)
    for metric, starts, ends in (
        (deletion, images, dark),
        (insertion, dark, images),
    ):
        result = metric(
            model, images, labels, maps, fractions=fractions, baseline=0.1
        )
        expected = [
            curve(*three) for three in zip(starts, ends, maps, strict=True)
        ]
        np.testing.assert_allclose(result.values, expected, rtol=1e-4)
        assert result.auc == pytest.approx(np.mean(expected), rel=1e-4)


def test_road_solves_the_equations_of_its_neighbors(rng):
    """Noise 0: each missing pixel is the weighted mean of its neighbors."""
    image = rng.uniform(size=(6, 7, 2)).astype("float32")
    pixels = rng.permutation(42)[:30]
    filled = impute(image, pixels, 0.0, rng)
    missing = np.zeros(42, bool)
    missing[pixels] = True
    missing = missing.reshape(6, 7)
    np.testing.assert_array_equal(filled[~missing], image[~missing])
    for y, x in np.argwhere(missing):
        total = weights = 0
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                v, u = y + dy, x + dx
                if (dy or dx) and 0 <= v < 6 and 0 <= u < 7:
                    weight = 1 / 12 if dy and dx else 1 / 6
                    total = total + weight * filled[v, u]
                    weights += weight
        np.testing.assert_allclose(filled[y, x], total / weights, rtol=1e-4)


def test_road_runs_over_all_fractions(planted):
    model, images, labels, maps = planted
    result = pixel_removal(model, images, labels, maps, baseline="road")
    assert result.accuracy[0] == 1
    assert np.isfinite(result.probability).all()


def test_holds_a_few_altered_images_at_once(planted, monkeypatch):
    model, images, labels, maps = planted
    sizes = []
    predict = _altered_images.compiled_scores_function(model)

    def counted(x):
        sizes.append(len(x))
        return predict(x)

    monkeypatch.setattr(
        _altered_images, "compiled_scores_function", lambda model: counted
    )
    pixel_removal(model, images, labels, maps, batch_size=7)
    assert max(sizes) == 7
    assert sum(sizes) == 21 * 6


def test_ties_are_reported_and_keep_their_order(planted):
    model, images, labels, maps = planted
    coarse = np.round(maps)
    result = pixel_removal(model, images, labels, coarse)
    assert result.ties == pytest.approx(98 / 99)
    assert pixel_removal(model, images, labels, maps).ties == 0
    for metric in (deletion, insertion):
        assert metric(model, images, labels, coarse).ties == result.ties
        assert metric(model, images, labels, maps).ties == 0


@pytest.mark.parametrize("metric", [pixel_removal, deletion, insertion])
def test_images_of_constant_maps_are_left_out_and_counted(planted, metric):
    model, images, labels, maps = planted
    some = maps.copy()
    some[1], some[4] = 0, 7
    found = metric(model, images, labels, some)
    kept = [0, 2, 3, 5]
    kept_only = metric(model, images[kept], labels[kept], maps[kept])
    assert (found.undefined, kept_only.undefined) == (2, 0)
    np.testing.assert_allclose(found.probability, kept_only.probability)
    assert found.count == 6
    assert np.isnan(found.values).tolist() == [i not in kept for i in range(6)]
    np.testing.assert_allclose(found.values[kept], kept_only.values)
    assert found.mean == pytest.approx(kept_only.mean)


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"maps": np.zeros((6, 10, 10))},
            "must not all be constant.*6 constant",
        ),
        ({"maps": np.full((6, 10, 10), np.nan)}, "`maps` must be finite"),
        (
            {"maps": np.zeros((5, 10, 10))},
            r"`maps` must have shape \(6, h, w\)",
        ),
        ({"labels": [1, 2]}, "`labels` must be 6 integers from 0 to 1"),
        ({"labels": [0, 1, 2, 0, 1, 0]}, "`labels` must be 6 integers"),
        ({"order": "best"}, "`order` must be one of"),
        ({"fractions": [0, 0.5]}, "`fractions` must increase from 0 to 1"),
        ({"fractions": [0, np.nan, 1]}, "`fractions` must increase"),
        ({"fractions": "01"}, "`fractions` must be an array of real numbers"),
        ({"baseline": "black"}, "`baseline` must be"),
        ({"baseline": "0"}, "`baseline` must be"),
        ({"baseline": True}, "`baseline` must be"),
        ({"baseline": None}, "`baseline` must be"),
        ({"baseline": 1e39}, "`baseline` must be"),
        ({"baseline": np.nan}, "`baseline` must be finite"),
        ({"baseline": [np.inf]}, "`baseline` must be finite"),
        ({"baseline": "road", "noise": -1}, "`noise` must be"),
        ({"baseline": "road", "noise": np.nan}, "`noise` must be"),
        ({"seed": -1}, "`seed` must be an integer"),
        ({"seed": 1.5}, "`seed` must be an integer"),
        ({"seed": None}, "`seed` must be an integer"),
        ({"batch_size": 10**30}, "`batch_size` must be"),
        ({"batch_size": 2.0}, "`batch_size` must be"),
        ({"maps": "maps"}, "`maps` must be an array of real numbers"),
        ({"maps": np.zeros((6, 4, 0))}, "`maps` must have shape"),
        ({"maps": 1j * np.ones((6, 4, 4))}, "`maps` must be.*complex"),
        (
            {"maps": np.ma.masked_equal(np.eye(4)[None].repeat(6, 0), 1)},
            "`maps` must be.*masked",
        ),
    ],
)
def test_refuses_bad_arguments(planted, changes, message):
    model, images, labels, maps = planted
    arguments = {"labels": labels, "maps": maps, **changes}
    with pytest.raises(ValueError, match=message):
        pixel_removal(model, images, **arguments)


@pytest.mark.parametrize(
    "order, first", [("most_relevant_first", 5), ("least_relevant_first", 0)]
)
def test_of_equal_values_the_earlier_goes_first(monkeypatch, order, first):
    """One peak, at pixel 5 of 16; the others are equal."""
    inputs = keras.Input((4, 4, 1))
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, outputs)
    seen = []

    def predict(x):
        seen.append(x)
        return keras.ops.zeros((len(x), 2))

    monkeypatch.setattr(
        _altered_images, "compiled_scores_function", lambda model: predict
    )
    map_ = np.zeros((1, 4, 4))
    map_[0, 1, 1] = 1
    pixel_removal(
        model,
        np.ones((1, 4, 4, 1)),
        [0],
        map_,
        order=order,
        fractions=[0, 1 / 16, 1],
        baseline=0,
    )
    _, changed, _ = np.concatenate(seen)[..., 0].reshape(3, 16)
    assert np.flatnonzero(changed == 0).tolist() == [first]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int8", "bool"])
def test_integer_maps_are_removed_in_the_order_of_floats(planted, dtype):
    model, images, labels, maps = planted
    low, high = (-128, 127) if dtype == "int8" else (0, 200)
    whole = np.where(maps > 0.5, high, low).astype(dtype)
    for order in ("most_relevant_first", "least_relevant_first"):
        expected, received = (
            pixel_removal(model, images, labels, m, order=order, baseline=0.0)
            for m in (whole.astype("float64"), whole)
        )
        np.testing.assert_allclose(received.accuracy, expected.accuracy)
    assert deletion(model, images, labels, whole).auc < 0.2


def test_outputs_that_are_probabilities_are_taken_as_they_are(planted):
    model, images, labels, maps = planted
    soft = keras.Sequential([model, keras.layers.Softmax()])
    for metric in (deletion, insertion, pixel_removal):
        expected, received = (
            metric(m, images, labels, maps).probability for m in (model, soft)
        )
        np.testing.assert_allclose(received, expected, rtol=1e-5)
    wrong = deletion(soft, images, labels, maps, from_logits=True)
    assert wrong.probability[0] < 0.8 < expected[0]


def test_one_output_gives_no_probability(planted):
    model, images, labels, maps = planted
    one = keras.Sequential([model, keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="`model` must have at least two"):
        deletion(one, images, 0 * labels, maps)


@pytest.mark.parametrize("metric", [pixel_removal, deletion, insertion])
@pytest.mark.parametrize("value", ["no", 1, 0.0])
def test_from_logits_is_true_or_false(planted, metric, value):
    model, images, labels, maps = planted
    with pytest.raises(ValueError, match="`from_logits` must be True or Fal"):
        metric(model, images, labels, maps, from_logits=value)
