"""Batches of the images to audit, from wherever they come."""

import dataclasses
import os
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_facnn._checks.classes import check_labels
from keras_facnn._checks.models import check_images_for
from keras_facnn._checks.models import classifier_shapes
from keras_facnn.evaluation.photos import Photos
from keras_facnn.evaluation.photos import find_photos
from keras_facnn.pictures.class_folders import loose_pictures
from keras_facnn.pictures.image_folder import ImageFolder
from keras_facnn.pictures.image_folder import load_folder
from keras_facnn.pictures.sizes import fixed_shape_to_read
from keras_facnn.types import Fit

# Takes the error of a photo that can't be read.
OnBroken = Callable[[Exception], None]


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """Some images to audit.

    Args:
        images: Array `(B, H, W, channels)`, 0..255.
        labels: Integers `(B,)`, -1 where they are not known.
        index: Integers `(B,)`, the positions among all images.
        paths: B paths, or None.
        from_files: Whether the images were read from the paths here, so that
            they can be read in the same way again.
        regions: What the data say of the regions of these images, or None.
        count: How many images were taken, with those that can't be read.
    """

    images: np.ndarray
    labels: np.ndarray
    index: np.ndarray
    paths: list[str] | None = None
    from_files: bool = False
    regions: Any = None
    count: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """Images that are read batch by batch.

    Args:
        batches: Function of the size of the batches and of what is called with
            the error of each photo that can't be read.
        total: How many images there are, or None if that is not known.
        paths: The paths of all images, or None.
    """

    batches: Callable[[int, OnBroken], Iterator[Batch]]
    total: int | None = None
    paths: list[str] | None = None


def find_source(
    model: Any,
    images: Any,
    labels: Any,
    image_size: int | tuple[int, int] | None,
    fit: Fit,
) -> Source:
    """Return the images to audit.

    Args:
        model: An FA-CNN.
        images: As in `audit`.
        labels: As in `audit`.
        image_size: As in `load_images`.
        fit: As in `load_images`.
    """
    if isinstance(images, os.PathLike) or (
        isinstance(images, str) and os.path.isdir(images)
    ):
        # Without class folders, they are photos without labels.
        loose = loose_pictures(os.fspath(images))
        images = loose or load_folder(images, read=False)
    if isinstance(images, ImageFolder):
        _check_no_labels(labels, "the folders are the labels")
        found, _ = find_photos(model, images, image_size, fit)
        return _of_photos(found)
    if _are_paths(images):
        paths = [images] if isinstance(images, str) else list(images)
        return _of_photos(
            Photos(
                _numbers(model, labels, len(paths)),
                [],
                fixed_shape_to_read(model, image_size),
                fit,
                paths=[os.fspath(p) for p in paths],
            )
        )
    if (
        labels is None
        and isinstance(images, tuple)
        and len(images) == 2
        and _is_array(images[0])
        and len(np.shape(images[1])) == 1
    ):
        # A pair, as `evaluate` takes it, and not two batches.
        images, labels = images
    if _is_array(images):
        array = check_images_for(model, images)
        numbers = _numbers(model, labels, len(array))
        shape = array.shape[1:]
        return _of_photos(Photos(numbers, [], shape, fit, images=array))
    _check_no_labels(labels, "each batch of `images` has its own")
    return _stream(model, images)


def _check_no_labels(labels: Any, why: str) -> None:
    if labels is not None:
        raise ValueError(
            f"`labels` must be None, because {why}. "
            f"Received: labels of type {type(labels).__name__}"
        )


def _are_paths(images: Any) -> bool:
    return isinstance(images, str) or (
        isinstance(images, (list, tuple))
        and len(images) > 0
        and all(isinstance(x, (str, os.PathLike)) for x in images)
    )


def _is_array(images: Any) -> bool:
    """Return whether images are one array, and not batches of some."""
    if isinstance(images, list) and images:
        first = images[0]
        return not isinstance(first, (tuple, dict)) and np.ndim(first) == 3
    return len(getattr(images, "shape", ())) == 4


def _numbers(model: Any, labels: Any, count: int) -> np.ndarray:
    """Return the labels as numbers, -1 where they are not known."""
    if labels is None:
        return np.full(count, -1)
    _, num_classes = classifier_shapes(model)
    return check_labels(labels, count, num_classes, model.class_names)


def _of_photos(photos: Photos) -> Source:
    paths = photos.paths

    def batches(size: int, on_broken: OnBroken) -> Iterator[Batch]:
        for images, index, tried in photos.batches(size, on_broken):
            yield Batch(
                images,
                photos.labels[index],
                np.array(index, int),
                None if paths is None else [paths[i] for i in index],
                from_files=photos.images is None,
                count=tried,
            )

    return Source(batches, len(photos), paths)


def _stream(model: Any, data: Any) -> Source:
    """Return batches of a tf.data.Dataset, PyDataset, DataLoader or generator.

    Each batch is images, or a tuple that begins with images and labels. Labels
    may be a dict of `"labels"` and `"regions"`, as `RegionPenalty` takes.
    """
    if not isinstance(data, Iterable) and not hasattr(data, "__getitem__"):
        raise TypeError(
            "`images` must be the path of a folder, an `ImageFolder`, paths, "
            "an array (B, H, W, channels), or batches: a tf.data.Dataset, a "
            "keras.utils.PyDataset, a DataLoader or an iterable. "
            f"Received: images of type {type(data).__name__}"
        )

    def batches(size: int, on_broken: OnBroken) -> Iterator[Batch]:
        position = 0
        for batch in _each(data):
            parts = batch if isinstance(batch, (tuple, list)) else (batch,)
            array = check_images_for(model, parts[0])
            labels = parts[1] if len(parts) > 1 else None
            regions = None
            if isinstance(labels, dict):
                regions, labels = labels.get("regions"), labels.get("labels")
            yield Batch(
                array,
                _numbers(model, _classes(labels), len(array)),
                np.arange(position, position + len(array)),
                regions=regions,
                count=len(array),
            )
            position += len(array)

    return Source(batches)


def _each(data: Any) -> Iterator[Any]:
    # A PyDataset has no end: its `__iter__` goes by `__getitem__`.
    if hasattr(data, "num_batches") and hasattr(data, "__getitem__"):
        count = data.num_batches
        if count is not None:
            yield from (data[i] for i in range(count))
            return
    yield from data


def _classes(labels: Any) -> Any:
    """Return one class per image of labels that may be one-hot or a column."""
    shape = tuple(getattr(labels, "shape", ()))
    if len(shape) == 2:
        array = np.asarray(labels)
        if shape[1] == 1:
            return array[:, 0]
        if not (
            (array == array.max(axis=-1, keepdims=True)).sum(-1) == 1
        ).all():
            raise ValueError(
                "The labels of a batch must be one class per image, as "
                "integers or one-hot. Received: several classes for an image, "
                "or none"
            )
        return array.argmax(axis=-1)
    return labels
