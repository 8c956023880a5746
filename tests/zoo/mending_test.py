import numpy as np
import pytest

from zoo import cues
from zoo import mending

pytestmark = pytest.mark.only_on("torch")


def test_places_are_where_the_photo_changed_without_gaps(rng):
    photos = rng.integers(0, 255, (2, 60, 60, 3)).astype("uint8")
    for kind in cues.KINDS[:6]:
        plant = cues.make_cue(kind, 0.3, 1)
        planted = np.stack([plant(photo, rng) for photo in photos])
        masks = mending.places(photos, planted)
        assert set(np.unique(masks)) == {0, 1}, kind
        changed = (photos != planted).any(axis=-1)
        assert (masks[changed] == 1).all()
        assert masks.mean() < 0.75
        if kind == "tag":
            rows, columns = np.nonzero(masks[0])
            box = np.ptp(rows) + 1, np.ptp(columns) + 1
            assert box == (18, 18) and masks[0].sum() == 18 * 18


def test_recovered_is_a_share_of_what_was_lost():
    accuracy = {"control": 0.8, "plain": 0.4, "covered": 0.6, "exchanged": 0.9}
    rows = [
        {"seed": seed, "way": way, "bite": bite, "class": "a"}
        | dict.fromkeys(mending.MEASURES, value)
        for seed in (0, 1)
        for way, value in accuracy.items()
        for bite in (0.5, 0.05)
    ]
    assert mending.recovered(rows, "covered", "own") == pytest.approx(0.5)
    text = mending.summary(rows)
    assert "cues that bite: 2" in text
    assert "covered, others: 50% (50%, 50%)" in text
    assert "exchanged, own: 125% (125%, 125%)" in text
