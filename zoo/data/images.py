"""Find and read labeled images in a folder or in TensorFlow Datasets."""

import concurrent.futures
import csv
import dataclasses
import functools
import hashlib
import io
import os
import warnings
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Literal

import keras
import numpy as np
import tensorflow as tf
from absl import logging

import keras_facnn

Fit = Literal["crop", "pad", "stretch"]


@dataclasses.dataclass
class EncodedImages:
    """Images that are decoded each time they are read.

    Attributes:
        sources: Object array `(N,)` of paths (str) or encoded images (bytes).
        image_shape: `(height, width, channels)`, to which images are fitted.
        fit: As in `keras_facnn.load_images`.
        name: What to call the images in messages.
    """

    sources: np.ndarray
    image_shape: tuple[int, int, int]
    fit: Fit
    name: str

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self), *self.image_shape)

    def __post_init__(self) -> None:
        # A minimal model, from which `load_images` takes the image shape.
        inputs = keras.Input(self.image_shape)
        outputs = keras.layers.GlobalAveragePooling2D()(inputs)
        self._model = keras.Model(inputs, outputs)

    def read(self, index: int) -> np.ndarray:
        """Return the image at an index as uint8."""
        source = self.sources[index]
        if isinstance(source, bytes):
            source = io.BytesIO(source)
        (image,) = keras_facnn.load_images(source, self._model, fit=self.fit)
        return image

    def reader(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """Return `read` as a function for `tf.data`."""

        def read(index: tf.Tensor) -> tf.Tensor:
            image = tf.numpy_function(self.read, [index], tf.uint8)
            return tf.ensure_shape(image, self.image_shape)

        return read

    def decode(self, keep: bool) -> tuple[np.ndarray | None, dict[int, str]]:
        """Read all images once.

        Args:
            keep: Whether to return the images, or else None.

        Returns:
            uint8 images `(N, H, W, channels)` or None, and a dict from the
            indices of those that can't be decoded to the reasons. Their images
            are 0.
        """
        images = np.zeros(self.shape, "uint8") if keep else None

        def fault(index: int) -> str | None:
            try:
                image = self.read(index)
            except (OSError, ValueError) as e:
                return str(e)
            if keep:
                images[index] = image
            return None

        broken: dict[int, str] = {}
        bar = keras.utils.Progbar(len(self), unit_name="image")
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            # In blocks, since a million futures take memory too.
            for start in range(0, len(self), 1000):
                block = range(start, min(start + 1000, len(self)))
                faults = zip(block, pool.map(fault, block), strict=True)
                broken |= {i: said for i, said in faults if said is not None}
                bar.update(block.stop)
        return images, broken

    def describe(self, index: int, fault: str) -> str:
        """Say what is wrong with an image; the fault of a path names it."""
        named = isinstance(self.sources[index], str)
        return fault if named else f"image {index}: {fault}"


@dataclasses.dataclass
class Split:
    """The images of a split, which are found but not yet read.

    Attributes:
        sources: Object array `(N,)` of paths (str) or encoded images (bytes).
        labels: Int array `(N,)`; for several labels per image, `(N, C)` of 0
            and 1.
        folders: The classes' names in the data.
        names: What to call them.
        name: What to call the split in messages.
        root: The folder that paths are relative to, or None.
    """

    sources: np.ndarray
    labels: np.ndarray
    folders: list[str]
    names: list[str]
    name: str
    root: str | None

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of the images' relative paths and sizes, and the classes."""
        digest = hashlib.sha256(repr((self.folders, self.names)).encode())
        for source, label in zip(self.sources, self.labels, strict=True):
            if isinstance(source, str):
                path = os.path.relpath(source, self.root).replace(os.sep, "/")
                # `read` complains about a broken link.
                size = os.path.getsize(source) if os.path.exists(source) else -1
                entry = (os.fsencode(path), size)
            else:
                entry = (int(label), hashlib.sha256(source).hexdigest())
            digest.update(repr(entry).encode())
        return digest.hexdigest()

    def photos(self) -> keras_facnn.ImageFolder | None:
        """Return it as a `keras_facnn.ImageFolder`, or None for no folder."""
        if self.root is None:
            return None
        return keras_facnn.ImageFolder(
            None, self.labels, self.names, self.sources.tolist()
        )

    @functools.cached_property
    def trained_on(self) -> dict | None:
        """What a preset should say about its training on these, or None."""
        photos = self.photos()
        # For more than that, it would take megabytes.
        if photos is None or len(photos.paths) > 100_000:
            return None
        return photos.metadata["trained_on"]

    def seen_by(self, model: keras_facnn.FACNN) -> np.ndarray | None:
        """Find which of the images a preset was trained on.

        Returns:
            Booleans `(N,)`, or None if the preset's record does not say it.
        """
        record = model.preset_metadata
        photos = self.photos()
        seen = None if photos is None else photos.seen_by(model)
        training = record.get("training")
        if seen is not None or not isinstance(training, dict):
            return seen
        # A run of the zoo records the hashes of the two splits that it used.
        splits = training.get("data_fingerprint")
        own = self.fingerprint
        if not isinstance(splits, list) or own not in splits:
            return None
        return np.full(len(self.labels), own == splits[0])

    def select(self, index: np.ndarray) -> "Split":
        """Return some of the images."""
        return dataclasses.replace(
            self, sources=self.sources[index], labels=self.labels[index]
        )

    def read(
        self,
        image_shape: Sequence[int],
        fit: Fit = "crop",
        skip_broken: bool = False,
        memory_gib: float | None = None,
    ) -> tuple[np.ndarray | EncodedImages, np.ndarray]:
        """Decode the images, as `load` does.

        Returns:
            Images and their labels.
        """
        if image_shape[-1] not in (1, 3):
            # Otherwise all pictures would seem to be broken.
            raise ValueError(
                "The model must take images of 1 channel (gray) or 3 (RGB), "
                f"in the last axis. Received: image_shape={tuple(image_shape)}"
            )
        images = EncodedImages(self.sources, tuple(image_shape), fit, self.name)
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
        good = np.ones(len(images), bool)
        good[list(broken)] = False
        if broken:
            what = (
                f"{len(broken)} of the {len(images)} images of {images.name} "
                "can't be decoded: "
                f"{some(images.describe(*item) for item in broken.items())}"
            )
            if not skip_broken:
                raise ValueError(f"{what}. `--skip_broken` leaves them out.")
            kept = self.labels[good]
            counts = (
                kept.sum(axis=0)
                if kept.ndim == 2
                else np.bincount(kept, minlength=len(self.names))
            )
            empty = [
                name
                for name, count in zip(self.folders, counts, strict=True)
                if not count
            ]
            if empty:
                raise ValueError(
                    f"{what}. `--skip_broken` would leave the classes {empty} "
                    "without an image."
                )
            logging.warning("Skipped: %s.", what)
        if fits:
            return decoded[good], self.labels[good]
        images = dataclasses.replace(images, sources=images.sources[good])
        return images, self.labels[good]


def load(
    data: str,
    split: str,
    image_shape: Sequence[int],
    data_dir: str | None = None,
    classes: str | None = None,
    skip_broken: bool = False,
    memory_gib: float | None = None,
    fit: Fit = "crop",
    validation_fraction: float | None = None,
) -> tuple[np.ndarray | EncodedImages, np.ndarray, list[str]]:
    """Load one split of a data set.

    Args:
        data, split, data_dir, classes, validation_fraction: As in `find`.
        image_shape: `(height, width, channels)`, to which images are fitted.
        skip_broken: Whether to leave out images that can't be decoded, with a
            warning that counts them. Otherwise they are an error. A class
            without any image always is one.
        memory_gib: The most that decoded images may take. If they would take
            more, they are decoded each time they are read. None is no limit.
        fit: As in `keras_facnn.load_images`: `"crop"`, `"pad"` or
            `"stretch"`.

    Returns:
        uint8 images `(N, H, W, channels)`, or `EncodedImages` if they would
        take more than `memory_gib`; int labels `(N,)`; class names, in the
        order of the classes' names in the data.
    """
    found = find(data, split, data_dir, classes, validation_fraction)
    return *found.read(image_shape, fit, skip_broken, memory_gib), found.names


def find(
    data: str,
    split: str,
    data_dir: str | None = None,
    classes: str | None = None,
    validation_fraction: float | None = None,
    may_lack_classes: bool = False,
) -> Split:
    """Find the images of one split of a data set, without reading them.

    Args:
        data: Path of a folder `split/class/*.jpg`, or a TensorFlow Datasets
            name, such as `"cifar10"`.
        split: Name of the split, such as `"train"`; `"."` is all of a folder
            `class/*.jpg`.
        data_dir: Where TensorFlow Datasets keeps its data.
        classes: Path of a table with a header and a row per class: its name in
            the data, a tab, and what to call it. Classes without a row are left
            out. A folder may hold such a table, `classes.tsv`, which must name
            all classes.
        validation_fraction: None, or the share of each class that is the split
            `"validation"` of a folder `class/*.jpg`; the rest is `"train"`. The
            choice is always the same.
        may_lack_classes: Whether the table may name classes that have no
            folder, which are then classes without an image.

    Returns:
        A `Split`.
    """
    is_folder = os.path.isdir(data)
    if is_folder:
        photos = read_folder(data, split, validation_fraction)
        sources = np.array(photos.paths, object)
        labels, folders = photos.labels, photos.names
    elif validation_fraction is not None:
        raise ValueError(
            "`--validation_fraction` needs a folder as `--data`. Received: "
            f"--data {data}"
        )
    else:
        sources, labels, folders = read_tfds(data, split, data_dir)
    names = choose_classes(data, folders, classes, may_lack_classes)
    order = {folder: number for number, folder in enumerate(names)}
    position = np.array([order.get(folder, -1) for folder in folders])
    labels = position[labels].astype("int32")
    chosen = labels >= 0
    return Split(
        sources[chosen],
        labels[chosen],
        list(names),
        list(names.values()),
        f"{data}, split {split}",
        data if is_folder else None,
    )


def read_folder(
    data: str, split: str, validation_fraction: float | None = None
) -> keras_facnn.ImageFolder:
    """Return the `keras_facnn.ImageFolder` of a split, listed and not read."""
    splits = folders_in(data)
    if validation_fraction is not None:
        splits = ["train", "validation"]
    all_of_it = validation_fraction is None and split == "."
    if split not in splits and not all_of_it:
        if splits and validation_fraction is None:
            _refuse_classes_for_splits(data, split, splits)
        raise ValueError(
            f"`split` must be one of {splits} of {data!r}. "
            f"Received: split={split!r}"
        )
    whole = all_of_it or validation_fraction is not None
    root = data if whole else f"{data}/{split}"
    with warnings.catch_warnings():
        # The log says it.
        warnings.simplefilter("ignore")
        photos = keras_facnn.load_folder(root, read=False)
    left_out = [
        f"{file} ({reason})"
        for file, reason in photos.left_out.items()
        # `choose_classes` reads the table of classes.
        if file != "classes.tsv"
    ]
    if left_out:
        logging.warning(
            "Left out %d files of %s: %s.", len(left_out), root, some(left_out)
        )
    if validation_fraction is not None:
        parts = photos.split(validation_fraction)
        photos = parts[splits.index(split)]
    return photos


def _refuse_classes_for_splits(
    data: str, split: str, folders: Sequence[str]
) -> None:
    if any(folders_in(f"{data}/{name}") for name in folders):
        return
    raise ValueError(
        f"`split` must be a folder in {data!r} that holds the classes' "
        f"folders. Received: split={split!r}, and the folders "
        f"{some(folders)}, which hold no folders. They look like classes. To "
        "split them into train and validation, use --validation_fraction 0.2. "
        "To use all of them, use '.' as the split"
    )


def folders_in(path: str) -> list[str]:
    """Return the names of the folders in a folder."""
    return sorted(
        entry.name
        for entry in os.scandir(path)
        # Unlike `entry.is_dir`, this takes a link to itself.
        if os.path.isdir(entry.path) and not entry.name.startswith(".")
    )


def some(names: Iterable[str]) -> str:
    """Return the first ten of some names."""
    names = list(names)
    return ", ".join(names[:10]) + ", ..." * (len(names) > 10)


def read_tfds(
    data: str, split: str, data_dir: str | None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return a split's encoded images, their labels, and its class names."""
    # Here, since a folder does not need it.
    try:
        import tensorflow_datasets as tfds
    except ImportError as e:
        raise ImportError(
            f"`--data {data}` is no folder, and the name of a TensorFlow "
            f"Dataset needs: pip install tensorflow-datasets ({e})"
        ) from e

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


def choose_classes(
    data: str,
    folders: Sequence[str],
    table: str | None,
    may_lack_classes: bool = False,
) -> dict[str, str]:
    """Return what to call the classes to use, by their names in the data.

    Args:
        data, may_lack_classes: As in `find`.
        folders: The sorted names of the classes in the data.
        table: The `classes` of `find`.
    """
    own = os.path.join(data, "classes.tsv")
    path = table or own
    if not os.path.exists(path):
        if table:
            raise ValueError(f"`--classes` must be a file. Received: {table!r}")
        return {folder: folder for folder in folders}
    names = read_table(path, folders)
    here = set(folders)
    missing = [folder for folder in names if folder not in here]
    if missing and not may_lack_classes:
        raise ValueError(f"{path} names classes that are not there: {missing}.")
    unnamed = [folder for folder in folders if folder not in names]
    if unnamed and not table:
        raise ValueError(f"{path} lacks the class folders {unnamed}.")
    # In the order of the folders, which TensorFlow Datasets does not sort.
    order = sorted(names) if missing else [f for f in folders if f in names]
    return {folder: names[folder] for folder in order}


def read_table(path: str, folders: Sequence[str]) -> dict[str, str]:
    """Return what a table calls the class folders that it names."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(
                csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            )
    except UnicodeDecodeError as e:
        raise ValueError(f"{path} must be a table in UTF-8: {e}") from e
    names: dict[str, str] = {}
    for line, row in enumerate(rows, 1):
        if not row:
            continue
        wrong = None
        if len(row) != 2:
            wrong = "must have two columns, split by a tab"
        elif any('"' in cell for cell in row):
            wrong = 'must have no quotes (")'
        elif not row[0].strip() or not row[1].strip():
            wrong = "must hold a class and its name"
        elif line == 1:
            if row[0] in folders:
                wrong = f"must be a header, and {row[0]!r} is a class"
        elif row[0] in names:
            wrong = "must not repeat the class of an earlier line"
        elif row[1] in names.values():
            wrong = "must not repeat the name of an earlier line"
        if wrong:
            raise ValueError(f"Line {line} of {path} {wrong}. Received: {row}")
        if line > 1:
            names[row[0]] = row[1]
    if not names:
        raise ValueError(
            f"{path} must be a header and rows of two columns, split by a tab."
        )
    return names


def pad_to_multiple(
    images: np.ndarray, labels: np.ndarray, num_classes: int, multiple: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pad to a multiple of `multiple` images, so devices share batches evenly.

    The added images have the weight 0.

    Returns:
        Images, one-hot labels and weights.
    """
    add = -len(images) % multiple
    weights = np.pad(np.ones(len(images), "float32"), (0, add))
    images = np.pad(images, ((0, add), (0, 0), (0, 0), (0, 0)))
    one_hot = np.eye(num_classes, dtype="float32")[np.pad(labels, (0, add))]
    return images, one_hot, weights
