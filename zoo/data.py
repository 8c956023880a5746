"""Labelled images, as seeded tf.data streams that can start at any step."""

import csv
import os

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds


def load(data, split, image_shape, data_dir=None):
    """Loads one split of a data set into memory.

    Args:
        data: Path of a folder `split/class/*.jpg`, or a TensorFlow Datasets
            name, such as `"cifar10"`. A folder may hold `classes.tsv`, a table
            with a header: names of class folders, and what to call them.
        split: Name of the split, such as `"train"`.
        image_shape: `(height, width, channels)`; other sizes are resized.
        data_dir: Where TensorFlow Datasets keeps its data.

    Returns:
        uint8 images `(N, H, W, channels)`, int labels `(N,)`, class names.
    """
    if os.path.isdir(data):
        builder = tfds.folder_dataset.ImageFolder(data)
    else:
        try:
            builder = tfds.builder(data, data_dir=data_dir)
        except (tfds.core.DatasetNotFoundError, ValueError) as e:
            raise ValueError(
                "`--data` must be a folder or the name of a TensorFlow "
                f"Dataset. Received: {data!r}"
            ) from e
        builder.download_and_prepare()
    if split not in builder.info.splits:
        raise ValueError(
            f"`split` must be one of {sorted(builder.info.splits)} of "
            f"{data!r}. Received: split={split!r}"
        )
    height, width, channels = image_shape

    def decode(example):
        image = tf.cast(example["image"], tf.float32)
        image = tf.image.resize(image, (height, width), antialias=True)
        image = tf.cast(tf.round(image), tf.uint8)
        return image, example["label"]

    dataset = builder.as_dataset(split=split, shuffle_files=False)
    dataset = dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    n = builder.info.splits[split].num_examples
    images = np.empty((n, height, width, channels), "uint8")
    labels = np.empty((n,), "int32")
    for i, (image, label) in enumerate(dataset.as_numpy_iterator()):
        images[i], labels[i] = image, label
    return images, labels, class_names(data, builder)


def class_names(data, builder):
    folders = builder.info.features["label"].names
    table = os.path.join(data, "classes.tsv")
    if not os.path.exists(table):
        return list(folders)
    with open(table, newline="") as file:
        _, *rows = csv.reader(file, delimiter="\t")
    names = dict(rows)
    missing = [folder for folder in folders if folder not in names]
    if missing:
        raise ValueError(f"{table} lacks the class folders {missing}.")
    return [names[folder] for folder in folders]


def pad_to_multiple(images, labels, num_classes, multiple):
    """Images, one-hot labels and weights, of a multiple of `multiple` images.

    Images of weight 0 are added, so that devices share each batch evenly.
    """
    add = -len(images) % multiple
    weights = np.pad(np.ones(len(images), "float32"), (0, add))
    images = np.pad(images, ((0, add), (0, 0), (0, 0), (0, 0)))
    one_hot = np.eye(num_classes, dtype="float32")[np.pad(labels, (0, add))]
    return images, one_hot, weights


def train_stream(
    images,
    labels,
    num_classes,
    batch_size,
    seed,
    pad=0,
    crop=None,
    cutout=0,
    cutmix=0.0,
    mixup=0.0,
    step=0,
):
    """Endless shuffled, augmented batches, a function of the seed and step.

    Each pass over the images is a new permutation; images are flipped, and
    either shifted by up to `pad` pixels (mirrored at the border) or cropped at
    random and resized (Szegedy et al., arXiv 1409.4842); a square is made grey
    (Cutout, DeVries and Taylor, arXiv 1708.04552). Then some batches are mixed
    by `keras.layers.CutMix` (Yun et al., arXiv 1905.04899), some others by
    `keras.layers.MixUp` (Zhang et al., arXiv 1710.09412). The stream that
    starts at step `k` equals the stream that starts at 0, less its first k
    batches.

    Args:
        images: uint8 array `(N, H, W, channels)`.
        labels: Int array `(N,)`.
        num_classes: Number of classes.
        batch_size: Images a batch; what is left over of a pass is dropped.
        seed: Integer.
        pad: Largest shift, in pixels.
        crop: None, or `(smallest share of the area, height, width)`: crops of
            at least that share, with sides of 3:4 to 4:3 of the image's,
            resized to `height` and `width`.
        cutout: Side of the grey square, in pixels; it may stand out of the
            image. 0 is none.
        cutmix: Share of the batches that are mixed by CutMix, from 0 to 1.
        mixup: Share of the batches that are mixed by MixUp, from 0 to
            `1 - cutmix`.
        step: The step to start at.

    Returns:
        A `tf.data.Dataset` of `(images, one-hot labels)`.
    """
    n, height, width, _ = images.shape
    steps = n // batch_size
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
    images = tf.constant(images)
    labels = tf.constant(labels)
    cutmix_layer = keras.layers.CutMix(dtype="float32")
    mixup_layer = keras.layers.MixUp(dtype="float32")
    flipped_first = tf.random.stateless_uniform((n,), (seed, 2)) < 0.5

    def one_pass(epoch):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(n), seed=tf.stack([tf.cast(seed, tf.int64), epoch])
        )
        order = tf.reshape(order[: steps * batch_size], (steps, batch_size))
        numbers = epoch * steps + tf.range(steps, dtype=tf.int64)
        return tf.data.Dataset.from_tensor_slices((numbers, order))

    def batch(number, order):
        key = tf.stack([tf.cast(seed, tf.int64) + 1, number])
        x = tf.gather(images, order)
        # Each image is flipped in every second pass, at random which.
        flips = tf.gather(flipped_first, order) ^ (number // steps % 2 == 1)
        if crop:
            x = crop_and_flip(x, flips, key)
        else:
            x = shift_and_flip(x, flips, key)
        if cutout:
            x = cut_out(x, key)
        y = tf.one_hot(tf.gather(labels, order), num_classes)
        draw = tf.random.stateless_uniform((), key + 11)
        if cutmix:
            x, y = tf.cond(
                draw < cutmix,
                lambda: mix(cutmix_layer, x, y, key),
                lambda: (x, y),
            )
        if mixup:
            x, y = tf.cond(
                draw >= 1 - mixup,
                lambda: mix(mixup_layer, x, y, key),
                lambda: (x, y),
            )
        return x, y

    def shift_and_flip(x, flips, key):
        if pad:
            around = ((0, 0), (pad, pad), (pad, pad), (0, 0))
            x = tf.pad(x, around, "REFLECT")
        draw = tf.random.stateless_uniform(
            (2, batch_size), key, 0, 2**20, dtype=tf.int32
        )
        rows = draw[0, :, None] % (2 * pad + 1) + tf.range(height)
        columns = draw[1, :, None] % (2 * pad + 1) + tf.range(width)
        columns = tf.where(flips[:, None], columns[:, ::-1], columns)
        x = tf.gather(x, rows, axis=1, batch_dims=1)
        x = tf.transpose(x, (0, 2, 1, 3))
        x = tf.gather(x, columns, axis=1, batch_dims=1)
        return tf.transpose(x, (0, 2, 1, 3))

    def crop_and_flip(x, flips, key):
        smallest, *size = crop
        draw = tf.random.stateless_uniform((4, batch_size), key)
        area = smallest + (1 - smallest) * draw[0]
        skew = tf.pow(4 / 3, draw[1] - 0.5)
        tall = tf.minimum(tf.sqrt(area) * skew, 1.0)
        wide = tf.minimum(tf.sqrt(area) / skew, 1.0)
        top, left = draw[2] * (1 - tall), draw[3] * (1 - wide)
        start = tf.where(flips, left + wide, left)
        end = tf.where(flips, left, left + wide)
        boxes = tf.stack([top, start, top + tall, end], axis=-1)
        x = tf.image.crop_and_resize(x, boxes, tf.range(batch_size), size)
        return tf.cast(tf.round(x), images.dtype)

    def cut_out(x, key):
        _, height, width, _ = x.shape
        centre = tf.random.stateless_uniform((2, batch_size, 1), key + 7)
        rows = tf.cast(tf.range(height), tf.float32) + 0.5
        columns = tf.cast(tf.range(width), tf.float32) + 0.5
        hidden_rows = tf.abs(rows - centre[0] * height) < cutout / 2
        hidden_columns = tf.abs(columns - centre[1] * width) < cutout / 2
        hidden = hidden_rows[:, :, None] & hidden_columns[:, None]
        return tf.where(hidden[..., None], tf.constant(128, x.dtype), x)

    def mix(layer, x, y, key):
        # As Keras does when a layer is called within tf.data.
        layer.backend.set_backend("tensorflow")
        drawn = layer.get_random_transformation(
            x, training=True, seed=StepSeed(key + 13)
        )
        x = tf.round(layer.transform_images(x, drawn))
        y = layer.transform_labels(y, drawn)
        return tf.cast(x, images.dtype), y

    stream = tf.data.Dataset.range(step // steps, np.iinfo("int64").max)
    stream = stream.flat_map(one_pass).skip(step % steps)
    return stream.map(batch, num_parallel_calls=2).prefetch(4)


class StepSeed(keras.random.SeedGenerator):
    """Seeds that follow from a key, for Keras' layers within a stream.

    Keras counts its draws in a variable, which starts anew when a broken-off
    run is continued.
    """

    def __init__(self, key):
        self.key = key

    def next(self, ordered=True):
        self.key = self.key + tf.constant([0, 2**40], self.key.dtype)
        return self.key
