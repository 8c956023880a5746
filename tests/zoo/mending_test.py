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
        {"seed": seed, "way": way, "bite": bite, "kind": kind, "share": 1.0}
        | dict.fromkeys(mending.MEASURES, value)
        for seed in (0, 1)
        for way, value in accuracy.items()
        for bite, kind in ((0.5, "tag"), (0.5, "border"), (0.05, "tag"))
    ]
    assert mending.recovered(rows, "covered", "own") == pytest.approx(0.5)
    same = [{**row, "own": 0.5} for row in rows]
    assert np.isnan(mending.recovered(same, "covered", "own"))
    tag, border, whole = mending.summary(rows).split("\n\n")
    assert "tag in 100% of a class: 2 that bite" in tag
    assert "all cues: 4 that bite" in whole
    for text in (tag, border, whole):
        assert "covered, others back: 50% (50%, 50%)" in text
        assert "exchanged, own back: 125% (125%, 125%)" in text
    assert "exchanged, clean against control: +10.00 points (+10.00" in tag


def test_the_interval_is_over_seeds():
    """Cues of one seed share their control."""
    rows = [
        {"seed": seed, "way": way, "bite": 0.5, "kind": kind, "share": 1.0}
        | dict.fromkeys(mending.MEASURES, value)
        for kind in ("tag", "border")
        for seed, low in ((0, 0.4), (1, 0.6))
        for way, value in (("control", 0.5), ("plain", 0.3), ("covered", low))
    ]
    # Of -0.1 and 0.1, it is 0.1 times the t value of one degree.
    whole = mending.summary(rows).split("\n\n")[-1]
    assert "clean against control: +0.00 points (-127.06 to +127.06)" in whole
