import json

import numpy as np
import pytest
from scipy import stats

from keras_facnn.metrics import PixelRemoval
from keras_facnn.metrics import Result
from keras_facnn.metrics import SimilarityByLayer
from keras_facnn.metrics import compare

pytestmark = pytest.mark.only_on("torch")


def result(values, **changes):
    return Result(values=values, metric="mine", **changes)


@pytest.mark.parametrize("count", [3, 30, 5000])
def test_the_interval_is_the_bootstrap_of_scipy(rng, count):
    values = rng.gamma(1.0, size=count)
    expected = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20000, rng=1
    ).confidence_interval
    found = result(values).interval
    width = expected.high - expected.low
    # Each resamples by chance.
    assert found == pytest.approx(tuple(expected), abs=0.08 * width)
    assert found == result(values).interval


def test_what_has_no_value_is_left_out(rng):
    values = rng.normal(size=20)
    some = np.concatenate([values, [np.nan] * 4])
    found = result(some)
    assert (found.count, found.undefined) == (24, 4)
    assert found.mean == pytest.approx(values.mean())
    assert found.interval == result(values).interval
    assert "of 20 images" in str(found)


@pytest.mark.parametrize("values", [[], [np.nan, np.nan], [0.5]])
def test_too_few_images_have_no_interval(values):
    found = result(values)
    assert np.isnan(found.interval).all()
    assert found.undefined == np.isnan(values).sum()
    assert np.isnan(found.mean) == (values != [0.5])


def test_columns_have_means_of_their_own(rng):
    values = rng.normal(size=(9, 2))
    values[3, 1] = np.nan
    columns = result(values, columns=("a", "b"))
    np.testing.assert_allclose(columns.mean, np.nanmean(values, axis=0))
    assert columns.undefined == [0, 1]
    assert columns.summary().index.tolist() == ["a", "b"]
    assert columns.to_dataframe()["b"].isna().sum() == 1
    # Without columns, the value of an image is the mean of its row.
    rows = result(values)
    assert rows.mean == pytest.approx(np.nanmean(values, axis=1).mean())
    assert rows.undefined == 0


@pytest.mark.parametrize(
    "values, columns", [(0.5, ()), (np.ones((2, 3)), ("a",)), ([1.0], ("a",))]
)
def test_refuses_values_of_another_shape(values, columns):
    with pytest.raises(ValueError, match="`values` must have shape.*Received"):
        result(values, columns=columns)


def test_json_holds_all_that_makes_a_result():
    made = PixelRemoval(
        values=[0.5, np.nan],
        metric="pixel_removal",
        fractions=[0, 1],
        hits=[[1, 0], [np.nan, np.nan]],
        probabilities=[[0.9, 0.1], [np.nan, np.nan]],
    )
    stored = json.loads(made.to_json())
    assert stored["accuracy"] == [1, 0]
    assert stored["versions"]["numpy"] == np.__version__
    again = PixelRemoval.from_json(made.to_json())
    np.testing.assert_array_equal(again.hits, made.hits)
    np.testing.assert_array_equal(again.values, [0.5, np.nan])
    assert again.to_json() == made.to_json()


def test_a_result_of_controls_comes_back_from_json(rng):
    own, other = rng.uniform(size=(2, 5, 2))
    common = {"metric": "similarity_by_layer", "columns": (1, 2)}
    made = SimilarityByLayer(
        values=own, controls={"o": Result(values=other, **common)}, **common
    )
    again = SimilarityByLayer.from_json(made.to_json())
    np.testing.assert_array_equal(again.controls["o"].values, other)
    assert again.columns == (1, 2)
    assert again.controls["o"].interval == made.controls["o"].interval


@pytest.mark.parametrize("text", ["[]", "{}", '{"values": [1]}'])
def test_refuses_json_of_no_result(text):
    with pytest.raises(ValueError, match="`text` must be what `to_json`"):
        Result.from_json(text)


def test_compares_the_same_images(rng):
    """Intervals of the means overlap; image by image, they differ."""
    hard = rng.normal(size=60)
    gap = rng.normal(0.3, 0.2, size=60)
    named = {"a": result(hard + gap), "b": result(hard), "c": result(-hard)}
    assert named["a"].interval[0] < named["b"].interval[1]
    found = compare(named)
    ab, ac, bc = found.rows
    assert (ab["first"], ab["second"]) == ("a", "b")
    assert ab["difference"] == pytest.approx(gap.mean())
    assert 0 < ab["low"] < gap.mean() < ab["high"]
    tested = stats.wilcoxon(gap, zero_method="pratt")
    assert ab["p"] == pytest.approx(tested.pvalue)
    positive = stats.wilcoxon(gap, alternative="greater").statistic
    total = 60 * 61 / 2
    assert ab["effect"] == pytest.approx(2 * positive / total - 1)
    # Holm's correction by hand.
    p = sorted([(r["p"], i) for i, r in enumerate(found.rows)])
    expected, largest = [0.0] * 3, 0.0
    for rank, (value, i) in enumerate(p):
        largest = max(largest, min(1, (3 - rank) * value))
        expected[i] = largest
    assert [r["p_holm"] for r in found.rows] == pytest.approx(expected)
    assert found.to_dataframe().shape == (3, 9)
    assert len(json.loads(found.to_json())["rows"]) == 3
    assert ac["p"] != bc["p"]


def test_methods_may_differ_in_what_makes_their_maps():
    def of(order, name):
        settings = {"order": order, "seed": 0, "attribution": name}
        return Result(values=[1.0, 2.0], metric="m", settings=settings)

    assert compare({"a": of("random", "x"), "b": of("most", "y")}).rows


def test_pairs_of_images_without_a_value_are_left_out(rng):
    a, b = rng.normal(size=(2, 10))
    a[0], b[1] = np.nan, np.nan
    row = compare({"a": result(a), "b": result(b)}).rows[0]
    assert row["images"] == 8
    assert row["difference"] == pytest.approx((a - b)[2:].mean())
    same = compare({"a": result(a), "b": result(a)}).rows[0]
    assert (same["difference"], same["p"], same["effect"]) == (0, 1, 0)


@pytest.mark.parametrize(
    "results, message",
    [
        ({"a": result([1.0])}, "at least two"),
        ([result([1.0]), result([1.0])], "at least two"),
        ({"a": result([1.0]), "b": [1.0]}, "at least two"),
        (
            {"a": result([1.0]), "b": result([1.0, 2.0])},
            "same images. Received: 'a' of mine on 1 images, 'b'",
        ),
        (
            {"a": result([1.0]), "b": Result(values=[1.0], metric="other")},
            "of one metric",
        ),
        (
            {"a": result([[1.0]], columns=("x",)), "b": result([1.0])},
            "one value per image",
        ),
        (
            {
                "a": Result(values=[1.0], metric="m", settings={"baseline": 0}),
                "b": Result(values=[1.0], metric="m", settings={"baseline": 1}),
            },
            "different values of 'baseline', {'a': 0, 'b': 1}",
        ),
    ],
)
def test_refuses_what_can_not_be_compared(results, message):
    with pytest.raises(ValueError, match=message):
        compare(results)
