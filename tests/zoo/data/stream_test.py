import numpy as np
import pytest

from zoo.data.stream import train_stream


def batches(stream, n):
    return [(x.numpy(), y.numpy()) for x, y in stream.take(n)]


@pytest.fixture
def labeled(rng):
    images = rng.integers(0, 256, (20, 8, 8, 3)).astype("uint8")
    return images, np.arange(20) % 4


def test_a_stream_can_start_at_any_step(labeled):
    def stream(step):
        return train_stream(*labeled, 4, 6, seed=3, pad=1, step=step)

    whole = batches(stream(0), 8)
    for step in (1, 3, 5):
        rest = batches(stream(step), 8 - step)
        for (a, b), (c, d) in zip(whole[step:], rest, strict=True):
            np.testing.assert_array_equal(a, c)
            np.testing.assert_array_equal(b, d)


def test_each_pass_is_a_new_order_of_all_images(labeled):
    """Without shifts, an image comes out as it is or mirrored."""
    images, labels = labeled
    stream = train_stream(images, labels, 4, 5, seed=0)
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


def test_shifts_by_up_to_pad_pixels(labeled):
    images, labels = labeled
    columns = np.arange(8) * 10
    images = np.broadcast_to(columns[None, None, :, None], images.shape)
    stream = train_stream(images.astype("uint8"), labels, 4, 20, pad=2, seed=0)
    shifts = set()
    for x, _ in batches(stream, 10):
        rows = x[:, 0, :, 0].astype(int)
        inner = np.diff(rows[:, 2:6]).mean(-1)
        rows = np.where(inner[:, None] < 0, rows[:, ::-1], rows)
        shifts |= set(((rows[:, 3] - 30) // 10).tolist())
    assert shifts == {-2, -1, 0, 1, 2}


def test_cuts_out_a_square(labeled):
    images, labels = labeled
    white = np.full_like(images, 255)

    def hidden(cutout):
        stream = train_stream(white, labels, 4, 20, seed=0, cutout=cutout)
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


def test_refuses_batches_larger_than_the_data(labeled):
    with pytest.raises(ValueError, match="`batch_size`.*20.*Received"):
        train_stream(*labeled, 4, 21, seed=0)


def test_crops_a_part_of_the_image_and_resizes_it(labeled):
    """On ramps, a crop is a ramp between the edges of what it shows."""
    _, labels = labeled
    down, right = np.meshgrid(np.arange(33), np.arange(33), indexing="ij")
    image = np.stack([down * 4, right * 4, 0 * down], -1).astype("uint8")
    images = np.broadcast_to(image, (20, *image.shape))
    stream = train_stream(images, labels, 4, 20, seed=0, crop=(0.25, 16, 24))
    x = np.concatenate([x for x, _ in batches(stream, 20)]).astype(int)
    assert x.shape == (400, 16, 24, 3)
    assert np.ptp(x[..., 0], axis=2).max() == 0
    assert np.ptp(x[..., 1], axis=1).max() == 0
    tall = (x[:, -1, 0, 0] - x[:, 0, 0, 0]) / 128
    wide = (x[:, 0, -1, 1] - x[:, 0, 0, 1]) / 128
    assert tall.min() > 0.4
    mirrored = wide < 0
    assert 100 < mirrored.sum() < 300
    wide = np.abs(wide)
    area = tall * wide
    assert 0.22 < area.min() < 0.3
    assert area.max() > 0.9
    inside = np.maximum(tall, wide) < 0.97
    skew = (tall / wide)[inside]
    assert 0.7 < skew.min() < 0.8
    assert 1.25 < skew.max() < 1.4


def test_a_stream_of_crops_can_start_at_any_step(labeled):
    options = {"seed": 3, "crop": (0.3, 6, 6)}
    whole = batches(train_stream(*labeled, 4, 6, **options), 5)
    rest = batches(train_stream(*labeled, 4, 6, **options, step=4), 1)
    np.testing.assert_array_equal(whole[4][0], rest[0][0])


@pytest.mark.parametrize("name", ["cutmix", "mixup"])
def test_mixes_batches_and_labels_in_proportion(name):
    """Class c is of color c, so an image's colors tell its labels."""
    labels = np.arange(20) % 2
    images = np.broadcast_to(
        (200 * labels)[:, None, None, None], (20, 16, 16, 3)
    ).astype("uint8")
    stream = train_stream(images, labels, 2, 20, seed=0, **{name: 0.5})
    mixed = 0
    for x, y in batches(stream, 40):
        assert x.dtype == np.uint8
        np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-6)
        share = x.astype(float).mean((1, 2, 3)) / 200
        tolerance = 0.13 if name == "cutmix" else 0.003
        np.testing.assert_allclose(y[:, 1], share, atol=tolerance)
        if name == "cutmix":
            assert set(np.unique(x)) <= {0, 200}
        mixed += y.max(-1).min() < 1
    assert 8 < mixed < 32


def test_a_stream_of_mixed_batches_can_start_at_any_step(labeled):
    options = {"seed": 3, "cutmix": 0.5, "mixup": 0.5}
    whole = batches(train_stream(*labeled, 4, 6, **options), 7)
    rest = batches(train_stream(*labeled, 4, 6, **options, step=4), 3)
    for (a, b), (c, d) in zip(whole[4:], rest, strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)


def test_refuses_to_mix_more_than_all(labeled):
    with pytest.raises(ValueError, match="`cutmix`.*Received.*0.7"):
        train_stream(*labeled, 4, 6, seed=0, cutmix=0.7, mixup=0.4)


def test_parts_make_up_the_whole(labeled):
    """As each of three machines reads a third of every batch."""
    for options in ({"pad": 1, "cutout": 3}, {"crop": (0.3, 6, 6)}):
        whole = batches(train_stream(*labeled, 4, 6, 3, **options), 5)
        parts = [
            batches(train_stream(*labeled, 4, 6, 3, **options, share=(i, 3)), 5)
            for i in range(3)
        ]
        for step, (x, y) in enumerate(whole):
            pieces = [part[step] for part in parts]
            np.testing.assert_array_equal(
                x, np.concatenate([piece[0] for piece in pieces])
            )
            np.testing.assert_array_equal(
                y, np.concatenate([piece[1] for piece in pieces])
            )
    with pytest.raises(ValueError, match="multiple of the 4 parts"):
        train_stream(*labeled, 4, 6, 3, share=(0, 4))
