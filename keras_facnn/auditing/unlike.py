"""Find images whose explanation is unlike that of their class."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_facnn.auditing.clusters import unit_rows
from keras_facnn.auditing.reason import Reason
from keras_facnn.auditing.reasons import mean_features
from keras_facnn.auditing.sample import Sample

_MOST = 30


def find_unlike(
    sample: Sample, reasons: Sequence[Reason], class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the images that look like another class than their label.

    The features at the places of most evidence of an image are compared with
    the reasons of each class, by the cosine with the nearest one, and these
    cosines are averaged over the places.

    Args:
        sample: The sample of an audit.
        reasons: Its reasons.
        class_names: The C names.

    Returns:
        A list of at most 30 dicts, the most unlike first: the `class` by its
        label, what was `said`, the class whose reasons it is most `like`, the
        `index` and `path` of the image, and the `score`, how much larger the
        mean cosine with that class is than with the label's.
    """
    known = sorted(
        (r for r in reasons if r.center is not None), key=lambda r: r.said
    )
    numbers, starts = np.unique([r.said for r in known], return_index=True)
    if len(numbers) < 2:
        return []
    centers = unit_rows(np.array([r.center for r in known]))
    position = {int(c): i for i, c in enumerate(numbers)}
    mean = mean_features(sample)
    rows: list[dict[str, Any]] = []
    for said in range(sample.num_classes):
        for pick in sample.of_class(said):
            if pick.label not in position:
                continue
            looks = unit_rows(pick.features.astype("float32") - mean)
            nearest = np.maximum.reduceat(looks @ centers.T, starts, axis=1)
            cosines = nearest.mean(axis=0)
            like = int(cosines.argmax())
            score = float(cosines[like] - cosines[position[pick.label]])
            if score > 0:
                rows.append(
                    {
                        "class": class_names[pick.label],
                        "said": class_names[said],
                        "like": class_names[numbers[like]],
                        "index": pick.index,
                        "path": pick.path,
                        "score": score,
                    }
                )
    rows.sort(key=lambda row: (-row["score"], row["index"]))
    return rows[:_MOST]
