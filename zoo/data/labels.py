"""Read several labels per image of a folder from a table."""

import csv
import os

import numpy as np

from zoo.data.images import Split


def find(path: str, folder: str) -> Split:
    """Find a folder's images that a table names, without reading them.

    Args:
        path: Path of a table: a header, `file` and the classes' names, then a
            row per image: its path in the folder, and for each class 1 if it
            is there, or else 0. Cells are split by tabs if the name ends in
            `.tsv`, otherwise by commas.
        folder: Path of the folder.

    Returns:
        A `zoo.data.images.Split` with labels of shape `(N, C)`.
    """
    if not os.path.isfile(path) or not os.path.isdir(folder):
        raise ValueError(
            "`--labels` must be a file, and `--data` the folder of its images. "
            f"Received: --labels {path} --data {folder}"
        )
    delimiter = "\t" if path.lower().endswith(".tsv") else ","
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file, delimiter=delimiter))
    except UnicodeDecodeError as e:
        raise ValueError(f"`--labels {path}` must be in UTF-8: {e}") from e
    header, *rows = [row for row in rows if row] or [[]]
    names = header[1:]
    if header[:1] != ["file"] or len(set(names)) != len(names) or not rows:
        raise ValueError(
            f"`--labels {path}` must be a header, `file` and the classes' "
            "names, each once, and rows of files. Received the header: "
            f"{header}, and {len(rows)} rows"
        )
    seen, sources, labels = set(), [], []
    for row in rows:
        source = os.path.join(folder, row[0])
        wrong = None
        if len(row) != len(header) or not set(row[1:]) <= {"0", "1"}:
            wrong = f"must be a file, and {len(names)} cells of 0 or 1"
        elif row[0] in seen:
            wrong = "must not repeat the file of an earlier row"
        elif not os.path.isfile(source):
            wrong = f"must name a file in {folder}"
        if wrong:
            raise ValueError(
                f"A row of `--labels {path}` {wrong}. Received: {row}"
            )
        seen.add(row[0])
        sources.append(source)
        labels.append([int(cell) for cell in row[1:]])
    return Split(
        np.array(sources, object),
        np.array(labels),
        names,
        names,
        f"{folder}, table {os.path.basename(path)}",
        folder,
    )
