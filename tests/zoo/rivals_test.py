import numpy as np
import pytest

from zoo import rivals

pytestmark = pytest.mark.only_on("torch")


def test_spectral_clustering_follows_rings(rng):
    """K-means cuts them through."""
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rings = np.concatenate([ring, 9 * ring])
    rings += rng.normal(0, 0.01, rings.shape)
    numbers = rivals.spectral(rings, 2)
    assert numbers.tolist() == [numbers[0]] * 40 + [1 - numbers[0]] * 40


def test_the_group_that_repeats_scores_highest(rng):
    own, others = rng.normal(size=(40, 8)), rng.normal(size=(90, 8))
    own[10:20] = 3 + rng.normal(0, 0.01, (10, 8))
    found = list(rivals.groups(own, others, rivals.k_means))
    for score in (1, 2):
        best = max(found, key=lambda group: group[score])
        assert best[0].tolist() == list(range(10, 20))


def test_what_all_of_a_class_has_stands_out_from_others_only(rng):
    own, others = rng.normal(5, 0.1, (40, 8)), rng.normal(size=(90, 8))
    members, inside, outside = next(rivals.groups(own, others, rivals.k_means))
    assert (len(members), inside) == (40, -1)
    assert outside > 1


def test_silhouettes_agree_with_scikit_learn(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    own, others = rng.normal(size=(30, 3)), rng.normal(size=(9, 3))
    numbers = np.arange(30) % 3
    found = list(
        rivals.groups(
            own, others, lambda v, k: numbers if k == 3 else 0 * numbers
        )
    )
    three = [group for group in found if len(group[0]) == 10]
    assert len(three) == 3
    for members, inside, _ in three:
        theirs = metrics.silhouette_samples(own, numbers)[members].mean()
        assert inside == pytest.approx(theirs)


def test_the_threshold_lets_one_of_20_clean_classes_raise_an_alarm():
    scores = list(range(20))
    assert [s for s in scores if s > rivals.threshold(scores)] == [19]
    assert [s for s in scores[:19] if s > rivals.threshold(scores[:19])] == []


def test_counts_what_is_above_the_threshold():
    clean = dict.fromkeys(rivals.COLUMNS, 0.5) | {"kind": ""}
    found = dict.fromkeys(rivals.COLUMNS, 0.6) | {"kind": "tag", "share": 0.2}
    missed = found | dict.fromkeys(rivals.COLUMNS, 0.4)
    rows = [clean, found, missed]
    *lines, together = rivals.summary(rows, rows[1:]).splitlines()
    assert together.endswith("at most 0.600")
    for line in lines:
        assert "above 0.500: 1 of 2 in 20% or more" in line
        assert "false alarms 0 of 1" in line
