"""Print by which property of a photo Cleanlab tells each class best.

    python zoo/rivals_cleanlab.py FOLDER

`FOLDER` has photos in folders of classes, which have numbers as names. It runs
by itself, in an environment with `cleanlab[image]`. Cleanlab scores a property
by all classes together. Here it is asked for each class against as many photos
of all others, which tells more.
"""

import contextlib
import json
import pathlib
import sys

import numpy as np
from cleanlab import Datalab
from cleanlab.datalab.internal.spurious_correlation import SpuriousCorrelations
from datasets import Dataset
from datasets import Image


def main(folder: str) -> None:
    paths = sorted(pathlib.Path(folder).glob("*/*"))
    labels = np.array([int(path.parent.name) for path in paths])
    data = Dataset.from_dict(
        {"image": [str(path) for path in paths], "label": labels.tolist()}
    ).cast_column("image", Image())
    with contextlib.redirect_stdout(sys.stderr):
        lab = Datalab(data, label_name="label", image_key="image")
        lab.find_issues()
    together = lab.get_info("spurious_correlations")["correlations_df"]
    properties = lab.get_issues()[together["property"].tolist()]
    best = {"all": round(1 - float(together["score"].min()), 4)}
    for label in np.unique(labels).tolist():
        own = np.flatnonzero(labels == label)
        rest = np.flatnonzero(labels != label)
        rest = rest[np.linspace(0, len(rest) - 1, len(own)).astype(int)]
        both = np.concatenate([own, rest])
        found = SpuriousCorrelations(
            properties.iloc[both], (labels[both] == label).astype(int)
        ).calculate_correlations()
        row = found.loc[found["score"].idxmin()]
        best[label] = (row["property"], round(1 - float(row["score"]), 4))
    print(json.dumps(best))


if __name__ == "__main__":
    main(sys.argv[1])
