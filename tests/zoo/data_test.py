import numpy as np
import pytest

pytest.importorskip("tensorflow_datasets")

from tests.zoo.conftest import NAMES
from zoo import data


def batches(stream, n):
    return [(x.numpy(), y.numpy()) for x, y in stream.take(n)]


def test_loads_a_folder(folder):
    images, labels, names = data.load(str(folder), "train", (32, 32, 3))
    assert images.shape == (120, 32, 32, 3)
    assert images.dtype == np.uint8
    assert names == NAMES
    # A class is a colour, so its images are closest to each other.
    means = images.mean((1, 2))
    for c in range(10):
        assert np.ptp(means[labels == c], axis=0).max() < 10


def test_resizes(folder):
    images, _, _ = data.load(str(folder), "test", (16, 24, 3))
    assert images.shape == (40, 16, 24, 3)


def test_refuses_what_is_not_there(folder):
    with pytest.raises(ValueError, match="`--data` must be.*no/such"):
        data.load("no/such/folder", "train", (32, 32, 3))
    with pytest.raises(ValueError, match="`split` must be.*'val'"):
        data.load(str(folder), "val", (32, 32, 3))


@pytest.fixture
def labelled(rng):
    images = rng.integers(0, 256, (20, 8, 8, 3)).astype("uint8")
    return images, np.arange(20) % 4


def test_a_stream_can_start_at_any_step(labelled):
    def stream(step):
        return data.train_stream(*labelled, 4, 6, pad=1, seed=3, step=step)

    whole = batches(stream(0), 8)
    for step in (1, 3, 5):
        rest = batches(stream(step), 8 - step)
        for (a, b), (c, d) in zip(whole[step:], rest, strict=True):
            np.testing.assert_array_equal(a, c)
            np.testing.assert_array_equal(b, d)


def test_each_pass_is_a_new_order_of_all_images(labelled):
    """Without shifts, an image comes out as it is or mirrored."""
    images, labels = labelled
    stream = data.train_stream(images, labels, 4, 5, pad=0, seed=0)
    passes = []
    for start in range(3):
        order, flips = [], []
        for x, y in batches(stream.skip(start * 4), 4):
            for image, one_hot in zip(x, y, strict=True):
                same = (images == image).all((1, 2, 3))
                mirrored = (images[:, :, ::-1] == image).all((1, 2, 3))
                (index,) = np.nonzero(same | mirrored)[0]
                assert one_hot.argmax() == labels[index]
                order.append(index)
                flips.append((index, bool(mirrored[index])))
        assert sorted(order) == list(range(20))
        passes.append((order, dict(flips)))
    assert passes[0][0] != passes[1][0] != passes[2][0]
    # What was mirrored in one pass is not in the next.
    for index in range(20):
        assert passes[0][1][index] != passes[1][1][index]
        assert passes[0][1][index] == passes[2][1][index]
    assert 0 < sum(passes[0][1].values()) < 20


def test_shifts_by_up_to_pad_pixels(labelled):
    images, labels = labelled
    columns = np.arange(8) * 10
    images = np.broadcast_to(columns[None, None, :, None], images.shape)
    stream = data.train_stream(
        images.astype("uint8"), labels, 4, 20, pad=2, seed=0
    )
    shifts = set()
    for x, _ in batches(stream, 10):
        rows = x[:, 0, :, 0].astype(int)
        inner = np.diff(rows[:, 2:6]).mean(-1)
        rows = np.where(inner[:, None] < 0, rows[:, ::-1], rows)
        shifts |= set(((rows[:, 3] - 30) // 10).tolist())
    assert shifts == {-2, -1, 0, 1, 2}


def test_cuts_out_a_square(labelled):
    images, labels = labelled
    white = np.full_like(images, 255)

    def hidden(cutout):
        stream = data.train_stream(
            white, labels, 4, 20, pad=0, seed=0, cutout=cutout
        )
        return np.concatenate([x[..., 0] != 255 for x, _ in batches(stream, 5)])

    assert not hidden(0).any()
    squares = hidden(4)
    counts = squares.sum((1, 2))
    assert counts.max() == 16
    assert 4 <= counts.min() < 16
    full = squares[counts == 16]
    assert (full.any(1).sum(-1) == 4).all()
    assert (full.any(2).sum(-1) == 4).all()
    assert squares.any(0).all()


def test_refuses_batches_larger_than_the_data(labelled):
    with pytest.raises(ValueError, match="`batch_size`.*20.*Received"):
        data.train_stream(*labelled, 4, 21, pad=0, seed=0)
