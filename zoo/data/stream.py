"""Make a seeded tf.data stream of training batches that starts at any step."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from zoo.data.images import EncodedImages


@dataclasses.dataclass(frozen=True)
class Part:
    """One of the equal parts of each batch, of which each process has one.

    Attributes:
        batch_size: Images per batch.
        number: Number of the part, from 0.
        parts: Number of parts.
    """

    batch_size: int
    number: int
    parts: int

    @property
    def size(self) -> int:
        return self.batch_size // self.parts

    def of(self, draws: tf.Tensor) -> tf.Tensor:
        """Return the part of an array whose second axis is the batch."""
        start = self.number * self.size
        return draws[:, start : start + self.size]


def train_stream(
    images: np.ndarray | EncodedImages,
    labels: np.ndarray,
    num_classes: int,
    batch_size: int,
    seed: int,
    pad: int = 0,
    crop: tuple[float, int, int] | None = None,
    cutout: int = 0,
    cutmix: float = 0.0,
    mixup: float = 0.0,
    step: int = 0,
    share: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Return endless shuffled, augmented batches.

    They are a function of the seed and the step: the stream that starts at step
    `k` equals the stream that starts at 0, without its first k batches.

    Each pass over the images is a new permutation. Images are flipped, and
    either shifted by up to `pad` pixels (mirrored at the border) or cropped at
    random and resized (Szegedy et al., arXiv 1409.4842). A square is made gray
    (Cutout, DeVries and Taylor, arXiv 1708.04552). Then some batches are mixed
    by `keras.layers.CutMix` (Yun et al., arXiv 1905.04899), some others by
    `keras.layers.MixUp` (Zhang et al., arXiv 1710.09412).

    Args:
        images: uint8 array `(N, H, W, channels)`, or `EncodedImages`.
        labels: Int array `(N,)`.
        num_classes: Number of classes.
        batch_size: Images per batch. The rest of a pass, which is less than a
            batch, is dropped.
        seed: Integer.
        pad: Largest shift, in pixels.
        crop: None, or `(smallest share of the area, height, width)`: crops of
            about that share or more, with sides of 3:4 to 4:3 of the image's,
            resized to `height` and `width`.
        cutout: Side of the gray square, in pixels; it may reach beyond the
            image. 0 is none.
        cutmix: Share of the batches that are mixed by CutMix, from 0 to 1.
        mixup: Share of the batches that are mixed by MixUp, from 0 to
            `1 - cutmix`.
        step: The step to start at.
        share: `(i, n)`: which of the n equal parts of each batch to give.
            Together the parts are what `(0, 1)` gives, except for CutMix and
            MixUp, which mix within a part.

    Returns:
        A `tf.data.Dataset` of `(images, one-hot labels)`.
    """
    n = len(images)
    steps = n // batch_size
    part = Part(batch_size, *share)
    if batch_size % part.parts:
        raise ValueError(
            f"`batch_size` must be a multiple of the {part.parts} parts. "
            f"Received: batch_size={batch_size}"
        )
    if steps == 0:
        raise ValueError(
            f"`batch_size` must be at most the number of training images, {n}."
            f" Received: batch_size={batch_size}"
        )
    if not (cutmix >= 0 and mixup >= 0 and cutmix + mixup <= 1):
        raise ValueError(
            "`cutmix` and `mixup` must be shares of the batches, together at "
            f"most 1. Received: cutmix={cutmix}, mixup={mixup}"
        )
    in_memory = isinstance(images, np.ndarray)
    pixels = tf.constant(images) if in_memory else None
    labels = tf.constant(labels)
    cutmix_layer = keras.layers.CutMix(dtype="float32")
    mixup_layer = keras.layers.MixUp(dtype="float32")
    flipped_first = tf.random.stateless_uniform((n,), (seed, 2)) < 0.5

    def one_pass(epoch: tf.Tensor) -> tf.data.Dataset:
        """Return the number of each step, and the images of its part."""
        order = tf.random.experimental.stateless_shuffle(
            tf.range(n), seed=tf.stack([tf.cast(seed, tf.int64), epoch])
        )
        order = tf.reshape(order[: steps * batch_size], (steps, batch_size))
        numbers = epoch * steps + tf.range(steps, dtype=tf.int64)
        return tf.data.Dataset.from_tensor_slices((numbers, part.of(order)))

    def batch(
        number: tf.Tensor, order: tf.Tensor, x: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        key = tf.stack([tf.cast(seed, tf.int64) + 1, number])
        if x is None:
            x = tf.gather(pixels, order)
        # Each image is flipped in every second pass, at random which.
        flips = tf.gather(flipped_first, order) ^ (number // steps % 2 == 1)
        if crop:
            x = crop_and_flip(x, flips, key, part, crop)
        else:
            x = shift_and_flip(x, flips, key, part, pad)
        if cutout:
            x = cut_out(x, key, part, cutout)
        y = tf.one_hot(tf.gather(labels, order), num_classes)
        draw = tf.random.stateless_uniform((), key + 11)
        if cutmix:
            x, y = tf.cond(
                draw < cutmix,
                lambda: mix(cutmix_layer, x, y, key, part),
                lambda: (x, y),
            )
        if mixup:
            x, y = tf.cond(
                draw >= 1 - mixup,
                lambda: mix(mixup_layer, x, y, key, part),
                lambda: (x, y),
            )
        return x, y

    stream = tf.data.Dataset.range(step // steps, np.iinfo("int64").max)
    stream = stream.flat_map(one_pass).skip(step % steps)
    if not in_memory:
        decoded = (
            stream.flat_map(
                lambda _, order: tf.data.Dataset.from_tensor_slices(order)
            )
            .map(images.reader(), num_parallel_calls=tf.data.AUTOTUNE)
            .batch(part.size, drop_remainder=True)
        )
        stream = tf.data.Dataset.zip((stream, decoded)).map(
            lambda step, x: (*step, x)
        )
    return stream.map(batch, num_parallel_calls=2).prefetch(4)


def shift_and_flip(
    x: tf.Tensor, flips: tf.Tensor, key: tf.Tensor, part: Part, pad: int
) -> tf.Tensor:
    """Shift images by up to `pad` pixels, and flip some."""
    _, height, width, _ = x.shape
    if pad:
        around = ((0, 0), (pad, pad), (pad, pad), (0, 0))
        x = tf.pad(x, around, "REFLECT")
    draw = tf.random.stateless_uniform(
        (2, part.batch_size), key, 0, 2**20, dtype=tf.int32
    )
    draw = part.of(draw)
    rows = draw[0, :, None] % (2 * pad + 1) + tf.range(height)
    columns = draw[1, :, None] % (2 * pad + 1) + tf.range(width)
    columns = tf.where(flips[:, None], columns[:, ::-1], columns)
    x = tf.gather(x, rows, axis=1, batch_dims=1)
    x = tf.transpose(x, (0, 2, 1, 3))
    x = tf.gather(x, columns, axis=1, batch_dims=1)
    return tf.transpose(x, (0, 2, 1, 3))


def crop_and_flip(
    x: tf.Tensor,
    flips: tf.Tensor,
    key: tf.Tensor,
    part: Part,
    crop: tuple[float, int, int],
) -> tf.Tensor:
    """Crop images at random, resize the crops, and flip some."""
    smallest, *size = crop
    draw = tf.random.stateless_uniform((4, part.batch_size), key)
    draw = part.of(draw)
    area = smallest + (1 - smallest) * draw[0]
    skew = tf.pow(4 / 3, draw[1] - 0.5)
    tall = tf.minimum(tf.sqrt(area) * skew, 1.0)
    wide = tf.minimum(tf.sqrt(area) / skew, 1.0)
    top, left = draw[2] * (1 - tall), draw[3] * (1 - wide)
    start = tf.where(flips, left + wide, left)
    end = tf.where(flips, left, left + wide)
    boxes = tf.stack([top, start, top + tall, end], axis=-1)
    x = tf.image.crop_and_resize(x, boxes, tf.range(part.size), size)
    return tf.cast(tf.round(x), tf.uint8)


def cut_out(x: tf.Tensor, key: tf.Tensor, part: Part, side: int) -> tf.Tensor:
    """Make a square of each image gray."""
    _, height, width, _ = x.shape
    center = tf.random.stateless_uniform((2, part.batch_size, 1), key + 7)
    center = part.of(center)
    rows = tf.cast(tf.range(height), tf.float32) + 0.5
    columns = tf.cast(tf.range(width), tf.float32) + 0.5
    hidden_rows = tf.abs(rows - center[0] * height) < side / 2
    hidden_columns = tf.abs(columns - center[1] * width) < side / 2
    hidden = hidden_rows[:, :, None] & hidden_columns[:, None]
    return tf.where(hidden[..., None], tf.constant(128, x.dtype), x)


def mix(
    layer: keras.layers.Layer,
    x: tf.Tensor,
    y: tf.Tensor,
    key: tf.Tensor,
    part: Part,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mix the images of a batch, and their labels, by a layer of Keras."""
    # As Keras does when a layer is called within tf.data.
    layer.backend.set_backend("tensorflow")
    drawn = layer.get_random_transformation(
        x, training=True, seed=StepSeed(key + 13 + part.number)
    )
    x = tf.round(layer.transform_images(x, drawn))
    y = layer.transform_labels(y, drawn)
    return tf.cast(x, tf.uint8), y


class StepSeed(keras.random.SeedGenerator):
    """Seeds that depend only on a key, for Keras layers within a stream.

    Keras counts its draws in a variable, which starts anew when an interrupted
    run is continued.
    """

    def __init__(self, key: tf.Tensor) -> None:
        self.key = key

    def next(self, ordered: bool = True) -> tf.Tensor:
        self.key = self.key + tf.constant([0, 2**40], self.key.dtype)
        return self.key
