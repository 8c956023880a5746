"""Boxes of the objects in a folder's images, from a table."""

import csv
import os

import numpy as np
from PIL import Image

from zoo.data.images import read_folder

COLUMNS = ["file", "xmin", "ymin", "xmax", "ymax"]


def load(path, folder, split, image_shape):
    """Loads the box of each image of a split, in the order of the images.

    Args:
        path: Path of a table with the columns file (`split/class/name.jpg`),
            xmin, ymin, xmax, ymax: pixels of the file, the last ones included,
            as ImageNet has them.
        folder: Path of the folder `split/class/*.jpg`.
        split: Name of the split.
        image_shape: `(height, width, ...)` that the images are resized to.

    Returns:
        A float array `(N, 4)` of `(left, top, right, bottom)` in pixels of
        the resized images, right and bottom not included.
    """
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames is None or set(COLUMNS) - set(reader.fieldnames):
            raise ValueError(
                f"`--boxes {path}` must have the columns {COLUMNS}. "
                f"Received: {reader.fieldnames}"
            )
        table = {}
        for row in reader:
            name, *edges = (row[column] for column in COLUMNS)
            try:
                edges = np.array(edges, "float64")
            except (TypeError, ValueError):
                edges = np.full(4, np.nan)
            # So written that NaN fails it.
            if not (0 <= edges[:2]).all() or not (edges[:2] <= edges[2:]).all():
                raise ValueError(
                    f"Line {reader.line_num} of `--boxes {path}` must have "
                    "0 <= xmin <= xmax and 0 <= ymin <= ymax. "
                    f"Received: {row}"
                )
            if name in table:
                raise ValueError(f"`--boxes {path}` has two boxes for {name}.")
            table[name] = edges
    boxes = []
    for image in read_folder(folder, split, None)[0]:
        image = image.decode()
        name = os.path.relpath(image, folder).replace(os.sep, "/")
        if name not in table:
            raise ValueError(f"`--boxes {path}` has no box for {name}.")
        left, top, right, bottom = table[name]
        with Image.open(image) as opened:
            x, y = np.divide(image_shape[1::-1], opened.size)
        boxes.append((x * left, y * top, x * (right + 1), y * (bottom + 1)))
    return np.array(boxes)
