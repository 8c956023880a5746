"""The photos to evaluate on, read a batch at a time."""

import dataclasses
import os
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_facnn._checks.classes import check_labels
from keras_facnn._checks.models import check_images_for
from keras_facnn._checks.models import classifier_shapes
from keras_facnn._checks.text import join_first
from keras_facnn.evaluation.names import names_of_classes
from keras_facnn.pictures.class_folders import class_numbers
from keras_facnn.pictures.image_folder import ImageFolder
from keras_facnn.pictures.image_folder import load_folder
from keras_facnn.pictures.mask_folder import read_mask
from keras_facnn.pictures.photo_masks import check_photo_masks
from keras_facnn.pictures.photo_masks import match_photos
from keras_facnn.pictures.read_ahead import read_ahead
from keras_facnn.pictures.reading import read_picture
from keras_facnn.pictures.sizes import ImageShape
from keras_facnn.pictures.sizes import fixed_shape_to_read
from keras_facnn.regions import check_masks
from keras_facnn.types import Fit

# The shorter side of the photos of a report in pixels, about.
_SHOWN = 240


@dataclasses.dataclass(frozen=True, eq=False)
class Photos:
    """Photos with labels, which are read when they are needed.

    Args:
        labels: Integers `(N,)`, numbers of the model's classes, or -1 where
            that is not known.
        class_names: List of the names of all classes.
        image_shape: `(height, width, channels)` of what the model takes.
        fit: As in `load_images`.
        images: Array `(N, H, W, channels)`, or None to read the paths.
        paths: List of N paths, or None.
        masks: List of the mask of a region of each photo, or of its file, or
            None for a photo without one; or None.
    """

    labels: np.ndarray
    class_names: list[str]
    image_shape: ImageShape
    fit: Fit
    images: np.ndarray | None = None
    paths: list[str] | None = None
    masks: list[str | np.ndarray | None] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, index: np.ndarray) -> "Photos":
        """Return some of the photos."""
        paths, masks = self.paths, self.masks
        return dataclasses.replace(
            self,
            labels=self.labels[index],
            images=None if self.images is None else self.images[index],
            paths=None if paths is None else [paths[i] for i in index],
            masks=None if masks is None else [masks[i] for i in index],
        )

    def with_masks(self, regions: Any) -> "Photos":
        """Return the photos with masks.

        Args:
            regions: As in `evaluate`.

        Raises:
            ValueError: If no photo has a mask.
        """
        if self.paths is None:
            masks = check_masks("regions", regions, len(self))
            known = ~np.isnan(masks).any(axis=(1, 2))
            found = [
                m if is_known else None
                for m, is_known in zip(masks, known, strict=True)
            ]
            return dataclasses.replace(self, masks=found)
        by_path = match_photos(check_photo_masks(regions), self.paths)
        return dataclasses.replace(
            self, masks=[by_path.get(path) for path in self.paths]
        )

    @property
    def has_masks(self) -> bool:
        """Whether a photo has a mask."""
        return any(mask is not None for mask in self.masks or ())

    def read(self, i: int) -> np.ndarray:
        """Return the pixels of a photo as the model sees it."""
        if self.images is not None:
            return self.images[i]
        assert self.paths is not None
        return read_picture(self.paths[i], self.image_shape, self.fit)

    def shown_mask(self, i: int) -> np.ndarray:
        """Return the mask of a photo, which must have one, as it is seen."""
        assert self.masks is not None
        mask = self.masks[i]
        assert mask is not None
        if not isinstance(mask, str):
            return mask
        assert self.paths is not None
        height, width, _ = self.image_shape
        assert height is not None and width is not None
        return read_mask(mask, self.paths[i], (height, width), self.fit)

    def batches(
        self, size: int, on_broken: Callable[[Exception], None]
    ) -> Iterator[tuple[np.ndarray, list[int], int]]:
        """Read all photos, files one batch ahead of what is needed.

        Args:
            size: Positive integer, photos per batch.
            on_broken: Function that is called with the error of each photo that
                can't be read.

        Yields:
            Images, the indices of those that could be read, and how many were
            tried.
        """
        if self.images is not None:
            for start in range(0, len(self), size):
                index = list(range(start, min(start + size, len(self))))
                yield self.images[index], index, len(index)
            return
        assert self.paths is not None
        for some in read_ahead(
            self.paths,
            lambda path: read_picture(path, self.image_shape, self.fit),
            size,
        ):
            images, kept = [], []
            for i, image in some:
                if isinstance(image, Exception):
                    on_broken(image)
                else:
                    images.append(image)
                    kept.append(i)
            yield np.stack(images) if images else np.empty(0), kept, len(some)

    def read_to_show(self, i: int) -> np.ndarray:
        """Return what the model sees of a photo, large enough to be shown."""
        height, width, channels = self.image_shape
        assert height is not None and width is not None
        times = max(1, round(_SHOWN / min(height, width)))
        if self.images is not None:
            image = np.clip(np.asarray(self.images[i], "float32"), 0, 255)
            image = image.round().astype("uint8")
            return image.repeat(times, axis=0).repeat(times, axis=1)
        assert self.paths is not None
        shape = (height * times, width * times, channels)
        return read_picture(self.paths[i], shape, self.fit)


def find_photos(
    model: Any,
    photos: Any,
    image_size: int | tuple[int, int] | None,
    fit: Fit,
) -> tuple[Photos, ImageFolder | None]:
    """Return the photos, with the model's numbers of their classes.

    Args:
        model: A classifier.
        photos: As in `evaluate`.
        image_size: As in `load_images`.
        fit: As in `load_images`.

    Returns:
        The photos, and their `ImageFolder` if they are files.
    """
    _, count = classifier_shapes(model)
    if isinstance(photos, (str, os.PathLike)):
        photos = load_folder(photos, read=False)
    if isinstance(photos, ImageFolder):
        names, labels = _classes(model, photos, count)
        if photos.images is not None:
            images = check_images_for(model, photos.images)
            shape = images.shape[1:]
            found = Photos(labels, names, shape, fit, images, photos.paths)
            return found, photos
        shape = fixed_shape_to_read(model, image_size)
        return Photos(labels, names, shape, fit, paths=photos.paths), photos
    return _find_arrays(model, photos, count), None


def _classes(
    model: Any, photos: ImageFolder, count: int
) -> tuple[list[str], np.ndarray]:
    """Return the names of the model's classes, and the labels of photos."""
    numbers, names = class_numbers(photos.names, model)
    if len(names) != count:
        raise ValueError(
            f"`photos` must have the {count} classes of the model, which does "
            f"not know their names. Received: {len(names)} folders, "
            f"{join_first(photos.names, 20)}"
        )
    return names, numbers[photos.labels]


def _find_arrays(model: Any, photos: Any, count: int) -> Photos:
    if not isinstance(photos, (tuple, list)) or len(photos) != 2:
        raise TypeError(
            "`photos` must be the path of a folder, an `ImageFolder`, which "
            "`load_folder` returns, or a pair (images, labels). "
            f"Received: photos of type {type(photos).__name__}"
        )
    images = check_images_for(model, photos[0])
    known = getattr(model, "class_names", None)
    labels = check_labels(photos[1], len(images), count, known)
    return Photos(
        labels,
        names_of_classes(known, count),
        images.shape[1:],
        "crop",
        images=images,
    )
