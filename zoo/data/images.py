"""Labelled images, from a folder or from TensorFlow Datasets."""

import csv
import dataclasses
import os

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


@dataclasses.dataclass
class EncodedImages:
    """Images that are decoded each time they are read.

    Attributes:
        sources: String array `(N,)`: paths, or the encoded images themselves.
        are_paths: Which of the two.
        image_shape: `(height, width, channels)`; other sizes are resized.
        name: What to call the images in messages.
    """

    sources: np.ndarray
    are_paths: bool
    image_shape: tuple
    name: str

    def __len__(self):
        return len(self.sources)

    @property
    def shape(self):
        return (len(self), *self.image_shape)

    def reader(self):
        """A function, for `tf.data`, from an index to the uint8 image."""
        # Captured, since a constant of the graph holds 2 GiB at most.
        sources = tf.constant(self.sources)

        def read(index):
            encoded = tf.gather(sources, index)
            if self.are_paths:
                encoded = tf.io.read_file(encoded)
            image = tf.io.decode_image(
                encoded, self.image_shape[2], expand_animations=False
            )
            image = tf.image.resize(
                tf.cast(image, tf.float32), self.image_shape[:2], antialias=True
            )
            image = tf.cast(tf.round(image), tf.uint8)
            return tf.ensure_shape(image, self.image_shape)

        return read

    def decode(self, keep):
        """Reads all images once.

        Args:
            keep: Whether to return the images, or None in their place.

        Returns:
            uint8 images `(N, H, W, channels)` or None, and the indices of
            those that can't be decoded, whose images are 0.
        """
        images = np.zeros(self.shape, "uint8") if keep else None
        broken = []
        bar = keras.utils.Progbar(len(self), unit_name="image")
        stream = iter(
            tf.data.Dataset.range(len(self)).map(
                self.reader(), num_parallel_calls=tf.data.AUTOTUNE
            )
        )
        for i in range(len(self)):
            try:
                image = next(stream)
            except tf.errors.InvalidArgumentError:
                broken.append(i)
            else:
                if keep:
                    images[i] = image.numpy()
            if (i + 1) % 1000 == 0 or i + 1 == len(self):
                bar.update(i + 1)
        return images, broken

    def describe(self, index):
        if self.are_paths:
            return self.sources[index].decode()
        return f"image {index}"


def load(
    data,
    split,
    image_shape,
    data_dir=None,
    classes=None,
    skip_broken=False,
    memory_gib=None,
):
    """Loads one split of a data set.

    Args:
        data: Path of a folder `split/class/*.jpg`, or a TensorFlow Datasets
            name, such as `"cifar10"`.
        split: Name of the split, such as `"train"`.
        image_shape: `(height, width, channels)`; other sizes are resized.
        data_dir: Where TensorFlow Datasets keeps its data.
        classes: Path of a table with a header, whose rows are a class' name in
            the data, a tab, and what to call it. Classes that it lacks are
            left out. A folder may hold such a table, `classes.tsv`, which must
            name all classes.
        skip_broken: Whether to leave out images that can't be decoded, with a
            warning that counts them. Otherwise they are an error.
        memory_gib: The most that decoded images may take; more are decoded
            each time they are read. None is no limit.

    Returns:
        uint8 images `(N, H, W, channels)`, or `EncodedImages` where these are
        larger than `memory_gib`; int labels `(N,)`; class names, in the order
        of the classes' names in the data.
    """
    read = read_folder if os.path.isdir(data) else read_tfds
    sources, labels, folders = read(data, split, data_dir)
    kept, names = choose_classes(data, folders, classes)
    position = np.full(len(folders), -1)
    position[kept] = np.arange(len(kept))
    labels = position[labels].astype("int32")
    chosen = labels >= 0
    images = EncodedImages(
        sources[chosen],
        read is read_folder,
        tuple(image_shape),
        f"{data}, split {split}",
    )
    labels = labels[chosen]

    gib = np.prod(images.shape, dtype="float64") / 2**30
    fits = memory_gib is None or gib <= memory_gib
    logging.info(
        "Reading %d images of %s; decoded, they take %.1f GiB%s.",
        len(images),
        images.name,
        gib,
        "" if fits else ", so they will be decoded at each step",
    )
    decoded, broken = images.decode(keep=fits)
    if broken:
        some = ", ".join(images.describe(i) for i in broken[:10])
        what = (
            f"{len(broken)} of the {len(images)} images of {images.name} can't "
            f"be decoded: {some}{', ...' if len(broken) > 10 else ''}"
        )
        if not skip_broken:
            raise ValueError(f"{what}. `--skip_broken` leaves them out.")
        logging.warning("Skipped: %s.", what)
    good = np.ones(len(images), bool)
    good[broken] = False
    if fits:
        return decoded[good], labels[good], names
    images = dataclasses.replace(images, sources=images.sources[good])
    return images, labels[good], names


def read_folder(data, split, data_dir):
    """Paths of a split's images, their labels, and its class folders."""
    splits = folders_in(data)
    if split not in splits:
        raise ValueError(
            f"`split` must be one of {splits} of {data!r}. Received: "
            f"split={split!r}"
        )
    folders = folders_in(os.path.join(data, split))
    if not folders:
        raise ValueError(
            f"{os.path.join(data, split)} must hold a folder for each class."
        )
    paths, labels = [], []
    for label, folder in enumerate(folders):
        where = os.path.join(data, split, folder)
        files = sorted(
            name
            for name in os.listdir(where)
            if name.lower().endswith(EXTENSIONS)
        )
        if not files:
            raise ValueError(
                f"The class folder {where} holds no image "
                f"({', '.join(EXTENSIONS)})."
            )
        paths += [os.path.join(where, name).encode() for name in files]
        labels += [label] * len(files)
    return np.array(paths, object), np.array(labels), folders


def folders_in(path):
    return sorted(
        entry.name
        for entry in os.scandir(path)
        if entry.is_dir() and not entry.name.startswith(".")
    )


def read_tfds(data, split, data_dir):
    """A split's encoded images, their labels, and its class names."""
    try:
        builder = tfds.builder(data, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError) as e:
        raise ValueError(
            "`--data` must be a folder or the name of a TensorFlow Dataset. "
            f"Received: {data!r}"
        ) from e
    builder.download_and_prepare()
    if split not in builder.info.splits:
        raise ValueError(
            f"`split` must be one of {sorted(builder.info.splits)} of "
            f"{data!r}. Received: split={split!r}"
        )
    dataset = builder.as_dataset(
        split=split,
        shuffle_files=False,
        decoders={"image": tfds.decode.SkipDecoding()},
    )
    images, labels = [], []
    for example in dataset.as_numpy_iterator():
        images.append(example["image"])
        labels.append(example["label"])
    names = builder.info.features["label"].names
    if min(labels) < 0:
        raise ValueError(f"The split {split!r} of {data!r} has no labels.")
    return np.array(images, object), np.array(labels), list(names)


def choose_classes(data, folders, table):
    """Indices into `folders` of the classes to use, and their names."""
    own = os.path.join(data, "classes.tsv")
    path = table or own
    if not os.path.exists(path):
        if table:
            raise ValueError(f"`--classes` must be a file. Received: {table!r}")
        return np.arange(len(folders)), list(folders)
    with open(path, newline="") as file:
        _, *rows = csv.reader(file, delimiter="\t")
    if not rows or any(len(row) != 2 for row in rows):
        raise ValueError(
            f"{path} must be a header and rows of two columns, split by a tab."
        )
    names = dict(rows)
    here = set(folders)
    missing = [folder for folder in names if folder not in here]
    if missing:
        raise ValueError(f"{path} names classes that are not there: {missing}.")
    unnamed = [folder for folder in folders if folder not in names]
    if unnamed and not table:
        raise ValueError(f"{path} lacks the class folders {unnamed}.")
    kept = [i for i, folder in enumerate(folders) if folder in names]
    return np.array(kept), [names[folders[i]] for i in kept]


def pad_to_multiple(images, labels, num_classes, multiple):
    """Images, one-hot labels and weights, of a multiple of `multiple` images.

    Images of weight 0 are added, so that devices share each batch evenly.
    """
    add = -len(images) % multiple
    weights = np.pad(np.ones(len(images), "float32"), (0, add))
    images = np.pad(images, ((0, add), (0, 0), (0, 0), (0, 0)))
    one_hot = np.eye(num_classes, dtype="float32")[np.pad(labels, (0, add))]
    return images, one_hot, weights
