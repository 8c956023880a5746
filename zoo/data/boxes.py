"""Read the boxes of the objects in a folder's images from a table."""

import csv
import os
from collections.abc import Sequence

import numpy as np
from PIL import ExifTags
from PIL import Image

from zoo.data.images import find

COLUMNS = ["file", "xmin", "ymin", "xmax", "ymax"]


def load(
    path: str,
    folder: str,
    split: str,
    image_shape: Sequence[int],
    fit: str = "crop",
    classes: str | None = None,
) -> list[np.ndarray]:
    """Load the boxes of each image of a split, in the order of the images.

    Args:
        path: Path of a table with the columns file (`split/class/name.jpg`),
            xmin, ymin, xmax, ymax: pixels of the upright picture, the last ones
            included, as in ImageNet.
        folder: Path of the folder `split/class/*.jpg`.
        split: Name of the split.
        image_shape: `(height, width, ...)` to which the images are fitted.
        fit: As in `keras_facnn.load_images`.
        classes: As in `zoo.data.images.find`.

    Returns:
        For each image a float array `(N, 4)` of `(left, top, right, bottom)`,
        which is empty if the table has no box for it. They are pixels of the
        fitted image, right and bottom not included. Of a box that a crop cuts,
        the part inside is left.
    """
    table = read_table(path)
    target = np.array(image_shape[1::-1])
    found = []
    images = find(folder, split, classes=classes, may_lack_classes=True)
    for image in images.sources:
        name = os.path.relpath(image, folder).replace(os.sep, "/")
        boxes = table.pop(name, None)
        if boxes is None:
            found.append(np.zeros((0, 4)))
            continue
        size = upright_size(image)
        if (boxes[:, 2:] >= size).any():
            raise ValueError(
                f"`--boxes {path}` has a box that is not within the "
                f"{size[0]} x {size[1]} pixels of {name}. Received: "
                f"{boxes.tolist()}"
            )
        scale, offset = placing(size, target, fit)
        corners = boxes.reshape(-1, 2, 2) + [[0, 0], [1, 1]]
        corners = np.clip(corners * scale + offset, 0, target)
        corners = corners[(corners[:, 0] < corners[:, 1]).all(-1)]
        if not len(corners):
            raise ValueError(
                f"The box of {name} lies outside the part of the image that "
                f"`--fit {fit}` keeps. `--fit pad` keeps the whole image."
            )
        found.append(corners.reshape(-1, 4))
    missing = [name for name in table if name.startswith(f"{split}/")]
    if missing:
        raise ValueError(
            f"`--boxes {path}` has a box for {missing[0]}, which is not among "
            f"the images of {folder}."
        )
    if not any(map(len, found)):
        raise ValueError(
            f"`--boxes {path}` has no box for an image of the split {split}."
        )
    return found


def read_table(path: str) -> dict[str, np.ndarray]:
    """Return the edges of each file's boxes, arrays `(N, 4)`."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames is None or set(COLUMNS) - set(reader.fieldnames):
            raise ValueError(
                f"`--boxes {path}` must have the columns {COLUMNS}. "
                f"Received: {reader.fieldnames}"
            )
        table: dict[str, list[np.ndarray]] = {}
        for row in reader:
            name, *numbers = (row[column] for column in COLUMNS)
            try:
                edges = np.array(numbers, "float64")
            except (TypeError, ValueError):
                edges = np.full(4, np.nan)
            # Written so that NaN does not pass.
            if not (0 <= edges[:2]).all() or not (edges[:2] <= edges[2:]).all():
                raise ValueError(
                    f"Line {reader.line_num} of `--boxes {path}` must have "
                    "0 <= xmin <= xmax and 0 <= ymin <= ymax. "
                    f"Received: {row}"
                )
            table.setdefault(name, []).append(edges)
    return {name: np.array(boxes) for name, boxes in table.items()}


def upright_size(path: str) -> tuple[int, int]:
    """Return `(width, height)` of a picture that is turned by its EXIF data."""
    with Image.open(path) as opened:
        turned = opened.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return opened.size[::-1] if turned else opened.size


def placing(
    size: Sequence[int], target: np.ndarray, fit: str
) -> tuple[np.ndarray | float, np.ndarray]:
    """Return the scale and offset of `(x, y)` from a picture to its image."""
    ratios = target / np.array(size)
    if fit == "stretch":
        return ratios, np.zeros(2)
    scale = ratios.max() if fit == "crop" else ratios.min()
    return scale, (target - scale * np.array(size)) / 2
