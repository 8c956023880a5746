import importlib.util
import os
import typing
from typing import Any

import numpy as np

from keras_facnn._backend.forward import progress_bar
from keras_facnn._checks.arguments import check_option
from keras_facnn._checks.models import check_fa_model
from keras_facnn._checks.numbers import check_int
from keras_facnn.auditing.batches import Batch
from keras_facnn.auditing.batches import find_source
from keras_facnn.auditing.looks import texture
from keras_facnn.auditing.looks import thumbnail
from keras_facnn.auditing.masks import find_masks
from keras_facnn.auditing.masks import masks_on_cells
from keras_facnn.auditing.observing import Observations
from keras_facnn.auditing.observing import grid_of
from keras_facnn.auditing.observing import observe
from keras_facnn.auditing.result import Audit
from keras_facnn.auditing.sample import Pick
from keras_facnn.auditing.sample import Sample
from keras_facnn.auditing.sample import answers_of
from keras_facnn.auditing.sample import images_per_class
from keras_facnn.auditing.sample import sampling_key
from keras_facnn.auditing.statistics import Statistics
from keras_facnn.evaluation.broken import Broken
from keras_facnn.evaluation.names import names_of_classes
from keras_facnn.pictures.encoding import jpeg_bytes
from keras_facnn.types import Fit
from keras_facnn.types import OnError


def audit(
    model: Any,
    images: Any,
    labels: Any = None,
    regions: Any = None,
    *,
    image_size: int | tuple[int, int] | None = None,
    fit: Fit = "crop",
    on_error: OnError = "raise",
    batch_size: int = 32,
    verbose: int = 0,
) -> Audit:
    """Find out for which reasons a model gives its answers, over a data set.

    One forward pass over the images gives the answers and the maps, from which
    the audit keeps sums, and a sample of each class. Its memory does not grow
    with the number of images. The places of most evidence are then grouped by
    their looks into reasons, and those that look like a cue come first: a tag,
    a watermark or a border that a class has by accident.

    An image counts for the class that the model says. Audit the images that
    the model was trained on to find what it learned from, and new ones to find
    whether that still holds.

    Args:
        model: A `FACNN`.
        images: Path of a folder with a folder for each class, or of photos
            without labels, an `ImageFolder`, paths of photos, an array
            `(B, H, W, channels)` of 0..255, or batches of images or of
            `(images, labels)`: a `tf.data.Dataset`, a `keras.utils.PyDataset`,
            a `DataLoader`, or another iterable.
        labels: The right class of each image, integers or names. None if they
            are not known, or if `images` have them.
        regions: Where the evidence should lie, such as the object: masks
            `(B, H, W)`, boxes as in `metrics.pointing_game`, or the path of a
            folder of PNG masks that have the names of the photos. None for an
            image without any, or if batches have them, as in `RegionPenalty`.
        image_size: As in `load_images`.
        fit: As in `load_images`.
        on_error: `"raise"` an error at the first photo that can't be read, or
            `"skip"` such photos, which a warning names.
        batch_size: Positive integer, images per forward pass.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        An `Audit`. Those of parts of a data set can be added: `a + b`.

    Raises:
        ValueError: If `model` is not an FA-CNN, if there is no image, or if a
            photo can't be read.
        TypeError: If `images` are of none of these kinds.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(3, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (6, 32, 32, 3))
    >>> audit = keras_facnn.audit(model, images, [0, 1, 2, 0, 1, 2])
    >>> audit.images
    6
    """
    check_fa_model(model)
    check_option("on_error", on_error, typing.get_args(OnError))
    size = check_int("batch_size", batch_size)
    source = find_source(model, images, labels, image_size, fit)
    masks = find_masks(source, regions, fit)
    broken = Broken(on_error)
    bar = progress_bar(source.total or 0, verbose, "image")
    running: _Running | None = None
    for batch in source.batches(size, broken.add):
        if len(batch.images):
            if running is None:
                height, width, channels = batch.images.shape[1:]
                running = _Running(model, (height, width, channels))
            running.add(batch, masks(batch), size)
        bar.add(batch.count)
    if source.total is not None:
        broken.warn(source.total)
    if running is None:
        raise ValueError("`images` must hold at least one image")
    return Audit(
        statistics=running.statistics,
        sample=running.sample,
        class_names=names_of_classes(model.class_names, model.num_classes),
        image_shape=running.image_shape,
        facts={
            "model": model.name,
            "folder": os.fspath(images)
            if isinstance(images, (str, os.PathLike))
            else None,
            "fit": fit if source.paths is not None else None,
            "unreadable": len(broken),
            **_training(model),
        },
    )


def _training(model: Any) -> dict[str, Any]:
    """Return the settings of `keras_facnn.train`, if it made a model."""
    entry = (model.preset_metadata or {}).get("training")
    if not isinstance(entry, dict) or entry.get("by") != "keras_facnn.train":
        return {}
    return {"training": entry.get("settings", {})}


class _Running:
    """The sums and the sample of the images so far."""

    def __init__(self, model: Any, image_shape: tuple[int, int, int]) -> None:
        self.can_show = (
            image_shape[-1] in (1, 3)
            and importlib.util.find_spec("PIL") is not None
        )
        self.model = model
        self.image_shape = image_shape
        self.grid = grid_of(model, image_shape)
        self.statistics = Statistics(
            model.num_classes, self.grid, model.head.threshold
        )
        self.sample = Sample(
            model.num_classes, images_per_class(model.num_classes)
        )

    def add(
        self, batch: Batch, masks: np.ndarray | None, batch_size: int
    ) -> None:
        if batch.images.shape[1:] != self.image_shape:
            raise ValueError(
                "`images` must all have one size. Received: images of shapes "
                f"{self.image_shape} and {batch.images.shape[1:]}"
            )
        seen = observe(self.model, batch.images, self.grid, batch_size)
        self.statistics.add(
            seen, batch.labels, masks_on_cells(masks, self.grid)
        )
        for i in range(len(batch.images)):
            self._sample(batch, seen, i)

    def _sample(self, batch: Batch, seen: Observations, i: int) -> None:
        pixels = np.clip(np.round(batch.images[i]), 0, 255).astype("uint8")
        key = sampling_key(pixels.tobytes())
        if not self.sample.wants(int(seen.classes[i, 0]), key):
            return
        path = None if batch.paths is None else batch.paths[i]
        shown = not batch.from_files and self.can_show
        self.sample.add(
            Pick(
                key=key,
                index=int(batch.index[i]),
                label=int(batch.labels[i]),
                path=path,
                picture=jpeg_bytes(pixels, quality=92) if shown else None,
                thumbnail=thumbnail(pixels, self.grid),
                texture=texture(pixels),
                features=seen.features[i].astype("float16"),
                **answers_of(seen, i),
            )
        )
