"""Streams of made-up maps, of which it is known whether they change."""

import numpy as np
import pytest

from keras_facnn.watching import Watch
from keras_facnn.watching.bets import Bets

pytestmark = pytest.mark.only_on("torch")


def make_columns(count, rng, size=8, ties=False, frequent=None):
    """Return columns of three classes, whose evidence differs by class."""
    classes = rng.choice(3, count, p=frequent)
    maps = rng.normal(classes[:, None, None], 1, (count, size, size))
    return {"class": classes, "maps": np.round(maps) if ties else maps}


def test_capital_is_fair_if_nothing_changes():
    """The mean of many bettors' capitals stays 1, as for any martingale."""
    rng = np.random.default_rng(0)
    bets = Bets(200_000)
    for _ in range(10):
        bets.add(rng.uniform(size=200_000))
    capital = np.exp(bets.log_capital)
    error = capital.std() / len(capital) ** 0.5
    assert abs(capital.mean() - 1) < 4 * error
    assert bets.mean_log_capital == pytest.approx(np.log(capital.mean()))


@pytest.mark.parametrize("ties", [False, True])
def test_false_alarms_are_as_rare_as_promised(ties):
    rng = np.random.default_rng(1)
    alarms = 0
    for seed in range(100):
        reference = make_columns(60, rng, size=3, ties=ties)
        watch = Watch(reference, false_alarms=0.2, seed=seed)
        alarms += watch.add(make_columns(80, rng, 3, ties)) is not None
    # Of 100 streams, 20 at most; three standard deviations are 12.
    assert alarms <= 32


def test_other_frequencies_of_the_classes_are_no_alarm():
    rng = np.random.default_rng(2)
    watch = Watch(make_columns(600, rng))
    assert watch.add(make_columns(600, rng, frequent=[0.9, 0.1, 0])) is None
    assert watch.capital < 0.5


def test_says_after_how_many_pictures_and_where():
    rng = np.random.default_rng(3)
    watch = Watch(make_columns(300, rng, size=20))
    assert watch.add(make_columns(100, rng, size=20)) is None
    stained = make_columns(200, rng, size=20)
    stained["maps"][:, 14:, 14:] -= 2
    alarm = watch.add(stained)
    assert 100 < alarm.picture < 200
    assert alarm.place == "at the lower right"
    assert str(alarm).endswith("most at the lower right")
    # Maps of 20x20 locations are watched on 10x10 cells.
    assert alarm.capital.shape == (10, 10)
    row, column = np.unravel_index(alarm.capital.argmax(), (10, 10))
    assert min(row, column) >= 7
    # It stays the same alarm until the bets start anew.
    assert watch.add(make_columns(5, rng, size=20)) is alarm
    seen = sum(g._count for g in watch._earlier.values())
    watch.add(stained)
    assert sum(g._count for g in watch._earlier.values()) == seen
    assert watch.seen == 505
    watch.reset()
    assert watch.add(make_columns(5, rng, size=20)) is None


def test_one_by_one_or_all_at_once_is_the_same():
    rng = np.random.default_rng(4)
    reference, stream = make_columns(50, rng), make_columns(40, rng)
    whole, parts = Watch(reference), Watch(reference)
    whole.add(stream)
    for i in range(40):
        parts.add({k: v[i : i + 1] for k, v in stream.items()})
    assert whole.capital == parts.capital
    assert whole.seen == parts.seen == 40


def test_bets_start_anew_after_so_many_pictures():
    rng = np.random.default_rng(5)
    reference, stream = make_columns(50, rng), make_columns(20, rng)
    watch = Watch(reference, pictures=20)
    watch.add(stream)
    before = watch.capital
    watch.add({k: v[:1] for k, v in stream.items()})
    assert watch.capital != before and watch.seen == 21
    # Earlier pictures of the stream are forgotten.
    assert sum(g._count for g in watch._earlier.values()) == 51


def test_a_class_that_the_reference_lacks_is_learned():
    rng = np.random.default_rng(6)
    watch = Watch(make_columns(50, rng))
    other = {"class": np.full(60, 7), "maps": rng.normal(5, 1, (60, 8, 8))}
    assert watch.add(other) is None


def test_a_saved_reference_gives_the_same_watch(tmp_path):
    rng = np.random.default_rng(7)
    watch = Watch(make_columns(50, rng), false_alarms=0.01, pictures=30, seed=3)
    watch.save(tmp_path / "reference.npz")
    read = Watch.load(tmp_path / "reference.npz")
    stream = make_columns(40, rng)
    watch.add(stream)
    read.add(stream)
    assert read.capital == watch.capital
    assert (read.false_alarms, read.pictures, read.seed) == (0.01, 30, 3)
    assert "50 reference pictures: 40 seen, no alarm" in repr(read)

    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes((tmp_path / "reference.npz").read_bytes()[:-40])
    np.savez(tmp_path / "other.npz", a=1)
    np.save(tmp_path / "array.npy", np.ones(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    for path in (damaged, tmp_path / "other.npz", tmp_path / "array.npz"):
        with pytest.raises(ValueError, match="is not a reference"):
            Watch.load(path)
    with pytest.raises(ValueError, match=r"must end in \.npz"):
        watch.save(tmp_path / "reference.json")
    with pytest.raises(FileNotFoundError):
        Watch.load(tmp_path / "none.npz")


def test_refuses_what_is_no_columns():
    rng = np.random.default_rng(8)
    good = make_columns(9, rng)
    for columns, match in (
        ({"class": good["class"]}, "columns 'class' and 'maps'"),
        ({**good, "class": good["class"][:8]}, r"int64 \(8,\)"),
        ({**good, "class": good["class"] + 0.5}, "float64"),
        ({**good, "maps": good["maps"][..., None]}, r"\(9, 8, 8, 1\)"),
        ({**good, "maps": good["maps"] * np.nan}, "must be finite"),
        ({k: v[:0] for k, v in good.items()}, "at least one picture"),
    ):
        with pytest.raises(ValueError, match=match):
            Watch(columns)
    with pytest.raises(TypeError, match="type ndarray"):
        Watch(good["maps"])
    with pytest.raises(ValueError, match="`false_alarms`"):
        Watch(good, false_alarms=1)
    watch = Watch(good)
    with pytest.raises(ValueError, match=r"\(8, 8\).*\(4, 4\)"):
        watch.add(make_columns(3, rng, size=4))
