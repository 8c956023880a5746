import keras
import numpy as np
import pytest

import keras_facnn
from keras_facnn import metrics

LABELS = [3, 0, 1, 1, 2]
METRICS = [
    metrics.faithfulness_correlation,
    metrics.faithfulness_estimate,
    metrics.sensitivity_n,
]


@pytest.fixture
def maps(rng):
    return rng.normal(size=(5, 8, 10))


@pytest.mark.parametrize("metric", METRICS)
def test_the_terms_of_a_linear_model_are_faithful(metric, pictures, rng):
    """A score that is a sum over pixels falls by the sum over removed ones."""
    inputs = keras.Input((8, 10, 1))
    dense = keras.layers.Dense(4)
    model = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
    weights = dense.get_weights()[0].T[LABELS].reshape(pictures.shape)
    for baseline in (0.0, 0.3):
        terms = (weights * (pictures - baseline))[..., 0]
        result = metric(
            model, pictures, LABELS, terms, sets=20, baseline=baseline
        )
        np.testing.assert_allclose(result.values, 1, rtol=1e-4)
        result = metric(
            model, pictures, LABELS, 7 - terms, sets=20, baseline=baseline
        )
        assert (np.array(result.values) < -0.99).all()
    assert result.undefined in (0, [0] * 6)


def reference(model, labels, maps, altered):
    """Correlations in loops, of the images that a metric has altered."""
    scores = keras.ops.convert_to_numpy(model(altered))
    count = len(altered) // len(maps)
    values = []
    for index, (label, map_) in enumerate(zip(labels, maps, strict=True)):
        image, *rest = altered[index * count : (index + 1) * count]
        whole, *others = scores[index * count : (index + 1) * count, label]
        sums = [map_[(image != other).any(-1)].sum() for other in rest]
        falls = [whole - other for other in others]
        values.append(np.corrcoef(sums, falls)[0, 1])
    return values


@pytest.mark.parametrize("metric", METRICS[:2])
def test_correlations_by_hand(metric, curved, pictures, maps, altered):
    result = metric(curved, pictures, LABELS, maps, sets=12, batch_size=7)
    assert len(altered) == 5 * 13
    expected = reference(curved, LABELS, maps, np.stack(altered))
    np.testing.assert_allclose(result.values, expected, rtol=1e-3)
    assert np.ptp(expected) > 0.1
    assert result.settings["sets"] == 12


def test_sets_are_random_and_of_the_size_asked_for(
    curved, pictures, maps, altered
):
    metrics.faithfulness_correlation(
        curved, pictures, LABELS, maps, fraction=0.3, sets=9
    )
    removed = (np.stack(altered).reshape(5, 10, 80) == 0)[:, 1:]
    assert (removed.sum(-1) == 24).all()
    # Other sets for each image.
    assert len(np.unique(removed.reshape(45, 80), axis=0)) == 45


def test_the_estimate_cuts_the_order_of_a_map_into_sets(
    curved, pictures, maps, altered
):
    metrics.faithfulness_estimate(curved, pictures, LABELS, maps, sets=20)
    removed = (np.stack(altered).reshape(5, 21, 80) == 0)[:, 1:]
    order = np.argsort(-maps.reshape(5, 80), axis=1).reshape(5, 20, 4)
    for row, sets in zip(removed, order, strict=True):
        for found, expected in zip(row, sets, strict=True):
            assert set(np.flatnonzero(found)) == set(expected)


def test_a_column_per_size_is_a_correlation_of_its_own(curved, pictures, maps):
    fractions = (0.05, 0.5)
    result = metrics.sensitivity_n(
        curved, pictures, LABELS, maps, fractions=fractions, sets=10, seed=3
    )
    assert result.columns == fractions
    for fraction, column in zip(fractions, result.values.T, strict=True):
        one = metrics.faithfulness_correlation(
            curved, pictures, LABELS, maps, fraction=fraction, sets=10, seed=3
        )
        np.testing.assert_allclose(column, one.values, rtol=1e-4)
    other = metrics.faithfulness_correlation(
        curved, pictures, LABELS, maps, fraction=0.5, sets=10
    )
    assert not np.allclose(other.values, one.values)


@pytest.mark.parametrize("metric", METRICS)
def test_constant_maps_are_left_out_and_change_no_other(
    metric, curved, pictures, maps
):
    some = maps.copy()
    some[0], some[3] = 0, 7
    kept = [1, 2, 4]
    found = metric(curved, pictures, LABELS, some, sets=10).values
    whole = metric(curved, pictures, LABELS, maps, sets=10).values
    assert np.isnan(found[[0, 3]]).all()
    np.testing.assert_allclose(found[kept], whole[kept], rtol=1e-4)
    with pytest.raises(ValueError, match="must not all be constant.*5 const"):
        metric(curved, pictures, LABELS, 0 * maps, sets=10)


def test_maps_are_resized_and_their_scale_does_not_matter(
    curved, pictures, rng
):
    coarse = rng.normal(size=(5, 4, 5))
    fine = keras_facnn.resize_maps(coarse, (8, 10)).astype("float64")
    for metric in METRICS:
        values = [
            metric(curved, pictures, LABELS, m, sets=10).values
            for m in (coarse, 3 * fine)
        ]
        np.testing.assert_allclose(*values, rtol=1e-4)


def test_ties_are_reported(curved, pictures, maps):
    result = metrics.faithfulness_estimate(
        curved, pictures, LABELS, np.sign(maps), sets=10
    )
    assert result.ties == pytest.approx(78 / 79)


def test_scores_are_probabilities_on_demand(curved, pictures, maps):
    soft = keras.Sequential([curved, keras.layers.Softmax()])
    for metric in METRICS:
        logits, asked, given = (
            metric(*case, pictures, LABELS, maps, sets=10, **options).values
            for case, options in (
                ([curved], {}),
                ([curved], {"probabilities": True}),
                ([soft], {}),
            )
        )
        np.testing.assert_allclose(asked, given, rtol=1e-3)
        assert not np.allclose(logits, asked, atol=0.01)


def test_a_model_of_one_output_will_do(curved, pictures, maps):
    one = keras.Sequential([curved, keras.layers.Dense(1)])
    for metric in METRICS:
        result = metric(one, pictures, [0] * 5, maps, sets=10)
        assert np.isfinite(result.values).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "changes, message",
    [
        ({"maps": np.zeros((4, 8, 10))}, r"`maps` must have shape \(5, h, w\)"),
        ({"labels": [4] * 5}, "`labels` must be 5 integers from 0 to 3"),
        ({"sets": 1}, "`sets` must be an integer, 2 to"),
        ({"baseline": "road"}, "`baseline` must be"),
        ({"probabilities": 1}, "`probabilities` must be True or False"),
        ({"batch_size": 0}, "`batch_size` must be"),
        ({"verbose": "yes"}, "`verbose` must be"),
    ],
)
def test_refuses_bad_arguments(
    metric, changes, message, curved, pictures, maps
):
    arguments = {"labels": LABELS, "maps": maps, **changes}
    with pytest.raises(ValueError, match=message):
        metric(curved, pictures, **arguments)


@pytest.mark.parametrize(
    "metric, changes, message",
    [
        (METRICS[0], {"fraction": 1.0}, "`fraction` must be a finite number"),
        (METRICS[0], {"seed": -1}, "`seed` must be an integer"),
        (METRICS[1], {"sets": 81}, "`sets` must be an integer, 2 to 80"),
        (METRICS[2], {"fractions": []}, "`fractions` must be a non-empty"),
        (METRICS[2], {"fractions": [0.0]}, "`fractions` must be a finite"),
        (METRICS[2], {"fractions": 0.5}, "`fractions` must be a non-empty"),
    ],
)
def test_refuses_bad_sets(metric, changes, message, curved, pictures, maps):
    with pytest.raises(ValueError, match=message):
        metric(curved, pictures, LABELS, maps, **changes)
