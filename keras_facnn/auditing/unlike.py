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
    centers: dict[int, list[np.ndarray]] = {}
    for reason in reasons:
        if reason.center is not None:
            centers.setdefault(reason.said, []).append(reason.center)
    if len(centers) < 2:
        return []
    numbers = np.array(list(centers))
    units = [unit_rows(np.array(c)) for c in centers.values()]
    mean = mean_features(sample)
    rows: list[dict[str, Any]] = []
    for said in range(sample.num_classes):
        for pick in sample.of_class(said):
            if pick.label is None or pick.label not in centers:
                continue
            looks = unit_rows(pick.features.astype("float32") - mean)
            cosines = np.array(
                [(looks @ c.T).max(axis=1).mean() for c in units]
            )
            own = cosines[numbers == pick.label][0]
            like = int(cosines.argmax())
            if cosines[like] > own:
                rows.append(
                    {
                        "class": class_names[pick.label],
                        "said": class_names[said],
                        "like": class_names[numbers[like]],
                        "index": pick.index,
                        "path": pick.path,
                        "score": float(cosines[like] - own),
                    }
                )
    rows.sort(key=lambda row: (-row["score"], row["index"]))
    return rows[:_MOST]
