import keras
import numpy as np
import pytest

import keras_facnn
from keras_facnn.metrics import infidelity

LABELS = [3, 0, 1, 1, 2]


@pytest.fixture
def maps(rng):
    return rng.normal(size=(5, 8, 10))


def test_the_terms_of_a_linear_model_have_none(pictures, altered):
    inputs = keras.Input((8, 10, 1))
    dense = keras.layers.Dense(4)
    model = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
    weights = dense.get_weights()[0].T[LABELS].reshape(pictures.shape)
    terms = (weights * pictures)[..., 0]

    def values(maps, normalize):
        return infidelity(
            model,
            pictures,
            LABELS,
            maps,
            size=3,
            squares=9,
            normalize=normalize,
        ).values

    np.testing.assert_allclose(values(terms, False), 0, atol=1e-10)
    removed = np.stack(altered).reshape(5, 10, 80)[:, 1:] == 0
    falls = (removed * terms.reshape(5, 1, 80)).sum(-1)
    # A map 3 times as large predicts falls 3 times as large.
    np.testing.assert_allclose(
        values(3 * terms, False), (4 * falls**2).mean(1), rtol=1e-4
    )
    np.testing.assert_allclose(values(-3 * terms, True), 0, atol=1e-10)
    # A map of zeros predicts no fall.
    for normalize in (False, True):
        np.testing.assert_allclose(
            values(0 * terms, normalize), (falls**2).mean(1), rtol=1e-4
        )


def test_removes_squares_of_any_place(curved, pictures, maps, altered):
    infidelity(curved, pictures, LABELS, maps, size=3, squares=60)
    removed = (np.stack(altered).reshape(5, 61, 8, 10) == 0)[:, 1:]
    rows, columns = removed.any(-1), removed.any(-2)
    assert (removed.sum((-1, -2)) == 9).all()
    assert (rows.sum(-1) == 3).all() and (columns.sum(-1) == 3).all()
    for sides, count in ((rows, 6), (columns, 8)):
        starts = sides.argmax(-1)
        assert np.array_equal(np.unique(starts), range(count))
        assert (
            sides[..., ::-1].argmax(-1) == sides.shape[-1] - 3 - starts
        ).all()
    # Other squares for each image.
    assert len(np.unique(removed[:, :5].reshape(5, -1), axis=0)) == 5


def test_the_best_scale_is_that_of_least_squares(
    curved, pictures, maps, altered
):
    result = infidelity(curved, pictures, LABELS, maps, size=3, squares=9)
    changed = np.stack(altered).reshape(5, 10, 8, 10, 1)
    for index, value in enumerate(result.values):
        whole, *rest = keras.ops.convert_to_numpy(curved(changed[index]))
        removed = changed[index, 1:, ..., 0] == 0
        sums = (maps[index] * removed).sum((1, 2))
        falls = [(whole - scores)[LABELS[index]] for scores in rest]
        _, (residual,), *_ = np.linalg.lstsq(sums[:, None], falls)
        assert value == pytest.approx(residual / 9, rel=1e-4)
    scaled = infidelity(curved, pictures, LABELS, -7 * maps, size=3, squares=9)
    np.testing.assert_allclose(scaled.values, result.values, rtol=1e-4)


def test_maps_are_resized_and_the_seed_chooses_the_squares(
    curved, pictures, rng
):
    coarse = rng.normal(size=(5, 4, 5))
    fine = keras_facnn.resize_maps(coarse, (8, 10))
    whole, resized, other = (
        infidelity(curved, pictures, LABELS, m, size=3, squares=9, seed=seed)
        for m, seed in ((coarse, 0), (fine, 0), (fine, 1))
    )
    np.testing.assert_allclose(whole.values, resized.values, rtol=1e-5)
    assert not np.allclose(whole.values, other.values)
    assert whole.undefined == 0 and not whole.higher_is_better
    assert whole.settings["size"] == 3


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"maps": np.zeros((4, 8, 10))}, r"`maps` must have shape \(5, h, w\)"),
        ({"labels": [4] * 5}, "`labels` must be 5 integers from 0 to 3"),
        ({"size": 9}, "`size` must be a positive integer, 1 to 8"),
        ({"squares": 0}, "`squares` must be a positive integer"),
        ({"normalize": None}, "`normalize` must be True or False"),
        ({"seed": -1}, "`seed` must be an integer"),
        ({"baseline": "road"}, "`baseline` must be"),
    ],
)
def test_refuses_bad_arguments(changes, message, curved, pictures, maps):
    arguments = {"labels": LABELS, "maps": maps, "size": 3, **changes}
    with pytest.raises(ValueError, match=message):
        infidelity(curved, pictures, **arguments)
