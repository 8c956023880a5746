"""Rows of tables: where evidence lies, by class and by mistake."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_facnn.auditing.statistics import Statistics


def class_rows(
    statistics: Statistics, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return a dict for each class that was said, see `Audit.classes`."""
    s, zones = statistics, statistics.grid.zones
    rows = []
    for c in map(int, np.flatnonzero(s.said)):
        share = s.share[c] / s.said[c]
        labelled, regions = int(s.labelled[c]), int(s.with_regions[c])
        row: dict[str, Any] = {
            "class": class_names[c],
            "images": int(s.said[c]),
            "precision": float(s.right[c] / labelled) if labelled else None,
        }
        for name, zone in zones.items():
            row[name] = float(share[zone.ravel()].sum())
        if regions:
            row["inside"] = float(s.inside[c] / regions)
            row["inside_area"] = float(s.inside_area[c] / regions)
        rows.append(row)
    return rows


def confusion_rows(
    statistics: Statistics, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return a dict for each pair that was confused, the most often first."""
    return [
        {
            "class": class_names[label],
            "said": class_names[said],
            "images": count,
            "evidence": (total / count).reshape(statistics.grid.shape),
        }
        for (label, said), (count, total) in sorted(
            statistics.confused.items(), key=lambda e: -e[1][0]
        )
    ]
