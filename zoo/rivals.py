"""Other ways to find a cue, which `zoo.plants` puts beside the audit.

Each way groups photos of one class and gives each group a score. The ways are:

- `grad_cam`: spectral clustering of Grad-CAM maps, as SpRAy does with maps of
  another method (Lapuschkin et al. 2019);
- `features`: k-means of the means of the features of whole photos;
- `cleanlab`: properties of whole photos that predict a class. It names a class,
  but no photos.

The score of a group says how much it stands out from its class, `inside`, or
from all other classes, `outside`.
"""

import json
import pathlib
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image
from scipy.cluster.vq import kmeans2
from scipy.spatial.distance import cdist

from keras_facnn import FACNN
from keras_facnn import attribution

# Of the classes without a cue, this share may raise an alarm.
FALSE_ALARMS = 0.05
WAYS = (
    "grad_cam_inside",
    "grad_cam_outside",
    "features_inside",
    "features_outside",
    "cleanlab",
)
# The numbers of clusters that are tried, and the photos that one has at least.
_CLUSTERS = range(1, 9)
_FEWEST = 4
# As many neighbors of each map make the graph of spectral clustering.
_NEIGHBORS = 10
COLUMNS = (
    *(f"{way}{end}" for way in WAYS for end in ("", "_cue")),
    "cleanlab_all",
    "property",
)
Cluster = Callable[[np.ndarray, int], np.ndarray]


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length 1; those of length 0 stay 0."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(length, 1e-9)


def k_means(vectors: np.ndarray, count: int) -> np.ndarray:
    """Return the number of each vector's cluster."""
    with warnings.catch_warnings():
        # A cluster that loses all its vectors is left empty.
        warnings.filterwarnings("ignore", "One of the clusters is empty")
        _, numbers = kmeans2(
            vectors.astype("float64"), count, minit="++", seed=0
        )
    return numbers


def spectral(vectors: np.ndarray, count: int) -> np.ndarray:
    """Return the number of each vector's cluster, by Ng, Jordan and Weiss."""
    distance = cdist(vectors, vectors)
    near = min(_NEIGHBORS, len(vectors) - 1)
    graph = distance <= np.sort(distance, axis=1)[:, [near]]
    graph = (graph + graph.T) / 2
    degree = graph.sum(axis=1) ** -0.5
    _, axes = np.linalg.eigh(graph * degree[:, None] * degree)
    return k_means(unit_rows(axes[:, -count:]), count)


def groups(
    own: np.ndarray, others: np.ndarray, cluster: Cluster
) -> Iterator[tuple[np.ndarray, float, float]]:
    """Yield groups of the vectors of one class.

    Args:
        own: Floats `(N, D)` of the class.
        others: Floats `(M, D)` of all other classes.
        cluster: Function of vectors and a number of clusters.

    Yields:
        The numbers of the vectors in the group, its mean silhouette among the
        groups of the class, and the log of a ratio: of the median distance
        from the nearest vector of another class, to the median distance
        between two vectors of the group.
    """
    within, across = cdist(own, own), cdist(own, others).min(axis=1)
    for count in _CLUSTERS:
        numbers = cluster(own, count)
        is_in = numbers[:, None] == np.unique(numbers)
        sizes = is_in.sum(axis=0)
        # The sum leaves out the distance of a vector from itself, which is 0.
        means = within @ is_in / np.maximum(sizes - is_in, 1)
        to_own = means[is_in]
        to_next = np.where(is_in, np.inf, means).min(axis=1)
        # A class of one group has nothing that the group could differ from.
        silhouettes = np.full(len(own), -1.0)
        if len(sizes) > 1:
            worse = np.maximum(np.maximum(to_own, to_next), 1e-9)
            silhouettes = (to_next - to_own) / worse
        for part in is_in.T:
            members = np.flatnonzero(part)
            if len(members) < _FEWEST:
                continue
            pairs = within[np.ix_(members, members)]
            pairs = pairs[np.triu_indices(len(members), 1)]
            ratio = (np.median(across[members]) + 1e-6) / (
                np.median(pairs) + 1e-6
            )
            inside = silhouettes[members].mean()
            yield members, float(inside), float(np.log(ratio))


def scores(
    model: FACNN,
    images: np.ndarray,
    pooled: np.ndarray,
    labels: np.ndarray,
    planted: dict[int, np.ndarray],
    cleanlab: str | None,
) -> list[dict[str, Any]]:
    """Return the highest score of each class and way.

    Args:
        model: The classifier. Its layer `backbone` gives the maps of Grad-CAM.
        images: Photos `(N, H, W, 3)`.
        pooled: Means of their features, floats `(N, D)`.
        labels: Their classes, integers `(N,)`.
        planted: Dict from a class to the numbers of the photos with a cue.
        cleanlab: The Python that has Cleanlab, or None to leave it out.

    Returns:
        A dict per class. Columns that end in `_cue` are the highest score of
        the groups that found the cue: at least 80 % of their photos have it.
    """
    maps = attribution.grad_cam(model, images, labels, layer="backbone")
    rows = []
    whole = _cleanlab(images, labels, cleanlab) if cleanlab else {}
    for label in range(labels.max() + 1):
        row: dict[str, Any] = dict.fromkeys(COLUMNS[:-1], -np.inf)
        is_own = labels == label
        is_cue = np.isin(np.flatnonzero(is_own), planted.get(label, []))
        for way, vectors, cluster in (
            ("grad_cam", maps.reshape(len(maps), -1), spectral),
            ("features", pooled, k_means),
        ):
            looks = unit_rows(vectors)
            for members, *both in groups(
                looks[is_own], looks[~is_own], cluster
            ):
                ends = ("", "_cue") if is_cue[members].mean() >= 0.8 else ("",)
                for side, score in zip(
                    ("inside", "outside"), both, strict=True
                ):
                    for end in ends:
                        key = f"{way}_{side}{end}"
                        row[key] = max(row[key], round(score, 5))
        if whole:
            row["property"], row["cleanlab"] = whole[str(label)]
            row["cleanlab_all"] = whole["all"]
            row["cleanlab_cue"] = row["cleanlab"]
        rows.append(row)
    return rows


def _cleanlab(
    images: np.ndarray, labels: np.ndarray, python: str
) -> dict[str, Any]:
    """Return what `zoo/rivals_cleanlab.py` prints."""
    program = pathlib.Path(__file__).with_name("rivals_cleanlab.py")
    with tempfile.TemporaryDirectory() as folder:
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = pathlib.Path(folder, str(label), f"{i:05}.png")
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(image).save(path)
        done = subprocess.run(
            [python, program, folder],
            check=True,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
    return json.loads(done.stdout.splitlines()[-1])


def threshold(clean: list[float]) -> float:
    """Return what an alarm's score must exceed, given those without a cue."""
    return sorted(clean, reverse=True)[int(FALSE_ALARMS * len(clean))]


def summary(rows: list[dict[str, Any]], bites: list[dict[str, Any]]) -> str:
    """Return how many of the cues that bite each way found.

    Args:
        rows: All classes of all runs, with what `scores` returns.
        bites: Those of them whose cue the model uses.
    """
    lines = []
    many = [r for r in bites if r["share"] >= 0.2]
    for way in WAYS:
        clean = [r[way] for r in rows if not r["kind"]]
        least = threshold(clean)
        alarms = sum(score > least for score in clean)
        found = [r["kind"] for r in many if r[f"{way}_cue"] > least]
        planted = [r["kind"] for r in many]
        kinds = ", ".join(
            f"{kind} {found.count(kind)} of {planted.count(kind)}"
            for kind in sorted(set(planted))
        )
        lines.append(
            f"{way}, above {least:.3f}: {len(found)} of {len(many)} in 20% or "
            f"more, false alarms {alarms} of {len(clean)}; {kinds}"
        )
    whole = max(r["cleanlab_all"] for r in rows)
    lines.append(f"cleanlab, of all classes together: at most {whole:.3f}")
    return "\n".join(lines)
