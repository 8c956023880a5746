"""Compare the results of several methods on the same images."""

import dataclasses
import itertools
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy

from keras_facnn.metrics._result import Result
from keras_facnn.metrics._result import bootstrap

# Settings that say which maps or orders are compared, and how they were made.
_OF_METHODS = {"attribution", "order", "seed", "skipped"}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What `compare` found: one row per pair of methods.

    Attributes:
        rows: A dict per pair: `"first"` and `"second"`, their names;
            `"images"`, how many have a value of both; `"difference"`, the mean
            of first minus second, and `"low"` and `"high"`, its 95 % interval;
            `"effect"`, the matched-pairs rank-biserial correlation, in -1..1;
            `"p"`, and `"p_holm"`, which is corrected for the number of pairs.
        metric: Name of the metric.
        higher_is_better: Whether a higher value is better; None if neither is.

    Example:

    >>> from keras_facnn.metrics import Comparison
    >>> row = {"first": "a", "second": "b", "difference": 0.1, "p_holm": 0.01}
    >>> Comparison([row], "mine", True).rows[0]["difference"]
    0.1
    """

    rows: list[dict[str, Any]]
    metric: str
    higher_is_better: bool | None

    def to_dataframe(self) -> Any:
        """Return the rows as a `pandas.DataFrame`. This needs pandas."""
        import pandas

        return pandas.DataFrame(self.rows)

    def to_json(self) -> str:
        """Return all as JSON; NaN becomes null."""
        rows = [
            {k: None if v != v else v for k, v in row.items()}
            for row in self.rows
        ]
        return json.dumps({**dataclasses.asdict(self), "rows": rows})


def compare(results: Mapping[str, Result]) -> Comparison:
    """Compare methods by the same metric on the same images, in pairs.

    Methods that share images must not be judged by whether their intervals
    overlap, because what makes an image hard is hard for all of them. So this
    compares them image by image: the interval is a bootstrap of the paired
    differences, the p-value is that of the Wilcoxon signed-rank test (Pratt's
    treatment of equal values), corrected for the number of pairs by Holm's
    method. An image counts if both methods have a value.

    Source: Wilcoxon, "Individual comparisons by ranking methods", Biometrics
    Bulletin 1(6), 1945; Holm, "A simple sequentially rejective multiple test
    procedure", Scandinavian Journal of Statistics 6(2), 1979; the effect size
    is Kerby, "The simple difference formula", 2014.

    Args:
        results: Dict from the name of a method to its `Result`, in the order of
            the images. There must be at least two.

    Returns:
        A `Comparison`.

    Raises:
        ValueError: If the results are of different metrics, settings of a
            metric or numbers of images, or have a mean per column, such as per
            layer.

    Example:

    >>> import numpy as np
    >>> from keras_facnn.metrics import Result
    >>> from keras_facnn.metrics import compare
    >>> values = np.random.default_rng(0).normal(size=50)
    >>> found = compare(
    ...     {
    ...         "mine": Result(values=values + 0.2, metric="score"),
    ...         "theirs": Result(values=values, metric="score"),
    ...     }
    ... )
    >>> round(found.rows[0]["difference"], 3), found.rows[0]["p_holm"] < 0.01
    (0.2, True)
    """
    _check(results)
    rows: list[dict[str, Any]] = []
    for (first, a), (second, b) in itertools.combinations(results.items(), 2):
        gaps = a.per_image - b.per_image
        gaps = gaps[~np.isnan(gaps)]
        low, high = bootstrap(gaps)
        rows.append(
            {
                "first": first,
                "second": second,
                "images": len(gaps),
                "difference": float(gaps.mean()) if len(gaps) else float("nan"),
                "low": float(low),
                "high": float(high),
                "effect": _rank_biserial(gaps),
                "p": _wilcoxon(gaps),
            }
        )
    corrected = _holm([row["p"] for row in rows])
    one = next(iter(results.values()))
    return Comparison(
        [{**row, "p_holm": p} for row, p in zip(rows, corrected, strict=True)],
        one.metric,
        one.higher_is_better,
    )


def _check(results: Mapping[str, Result]) -> None:
    if (
        not isinstance(results, Mapping)
        or len(results) < 2
        or not all(isinstance(r, Result) for r in results.values())
    ):
        raise ValueError(
            "`results` must be a dict of at least two results of metrics. "
            f"Received: {results!r}"
        )
    for name, result in results.items():
        if result.columns:
            raise ValueError(
                "`results` must have one value per image. Received: "
                f"results[{name!r}] with columns {result.columns}"
            )
    kinds = {
        name: (result.metric, result.count) for name, result in results.items()
    }
    if len(set(kinds.values())) > 1:
        raise ValueError(
            "`results` must be of one metric, on the same images. Received: "
            + ", ".join(
                f"{name!r} of {metric} on {count} images"
                for name, (metric, count) in kinds.items()
            )
        )

    for setting in sorted(set().union(*(r.settings for r in results.values()))):
        if setting in _OF_METHODS:
            continue
        found = {n: r.settings.get(setting) for n, r in results.items()}
        if len(set(map(repr, found.values()))) > 1:
            raise ValueError(
                "`results` must be of one metric with the same settings. "
                f"Received: different values of {setting!r}, {found}"
            )


def _wilcoxon(gaps: np.ndarray) -> float:
    """Return the two-sided p-value, which is 1 if nothing differs."""
    if not len(gaps):
        return float("nan")
    if not gaps.any():
        return 1.0
    return float(scipy.stats.wilcoxon(gaps, zero_method="pratt").pvalue)


def _rank_biserial(gaps: np.ndarray) -> float:
    """Return the share of ranks for the first method minus the other's."""
    ranks = scipy.stats.rankdata(np.abs(gaps))
    total = ranks[gaps != 0].sum()
    return float((ranks * np.sign(gaps)).sum() / total) if total else 0.0


def _holm(p_values: list[float]) -> list[float]:
    """Return p-values corrected for their number; NaN stays NaN."""
    found = np.array(p_values, "float64")
    defined = np.flatnonzero(~np.isnan(found))
    order = defined[np.argsort(found[defined], kind="stable")]
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * found[i]))
        found[i] = largest
    return found.tolist()
