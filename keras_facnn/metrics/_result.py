"""The results of metrics: a value per image, their mean and its interval."""

import dataclasses
import functools
import json
import math
from collections.abc import Callable
from typing import Any
from typing import ClassVar
from typing import Self

import keras
import numpy as np

from keras_facnn.version import __version__

# Bootstrap resamples. The seed is fixed, so that the same values have the same
# interval.
RESAMPLES = 2000
SEED = 0


def _versions() -> dict[str, str]:
    return {
        "keras_facnn": __version__,
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "numpy": np.__version__,
    }


@dataclasses.dataclass(eq=False, kw_only=True)
class Result:
    """What a metric says of each image, and the mean with its 95 % interval.

    All metrics return one, or a subclass that has curves, too. It converts to
    an array of its values by `np.asarray`. A metric of your own returns one by
    `Result(values=values, metric="my_metric", higher_is_better=True)`.

    Attributes:
        values: Float array `(B,)`, or `(B, K)` if each image has K values; NaN
            where the metric is not defined, such as for a constant map.
        metric: Name of the metric.
        higher_is_better: Whether a higher mean is better; None if neither is.
        definition: What a value is, in one sentence.
        source: Who defined it.
        columns: K labels, such as the layers, if each column of `values` has a
            mean of its own. Without them, an image's value is the mean of its
            row.
        settings: The settings that gave this result, such as the seed.
        ties: Share of neighbors in the order of pixels that have equal values,
            so that only their locations decide the order. None if the metric
            does not order pixels.
        versions: The versions of this package, of Keras, of its backend and of
            NumPy.

    Example:

    >>> import numpy as np
    >>> from keras_facnn.metrics import Result
    >>> values = np.array([0.5, 0.7, np.nan, 0.9])
    >>> result = Result(values=values, metric="mine", higher_is_better=True)
    >>> round(result.mean, 2), result.count, result.undefined
    (0.7, 4, 1)
    >>> low, high = result.interval
    >>> low < result.mean < high
    True
    """

    values: np.ndarray
    metric: str
    higher_is_better: bool | None = None
    definition: str = ""
    source: str = ""
    columns: tuple[Any, ...] = ()
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    ties: float | None = None
    versions: dict[str, str] = dataclasses.field(default_factory=_versions)

    # Properties that `to_json` stores beside the fields.
    _derived: ClassVar[tuple[str, ...]] = ("mean", "interval", "undefined")

    def __post_init__(self) -> None:
        # Values that come from JSON have null in place of NaN. Sums of values
        # in one order in memory do not differ by rounding.
        self.values = np.array(self.values, "float64", order="C")
        self.columns = tuple(self.columns)
        expected = (
            f"(B, {len(self.columns)})" if self.columns else "(B,) or (B, K)"
        )
        if self.values.ndim not in (1, 2) or (
            self.columns and self.values.shape[1:] != (len(self.columns),)
        ):
            raise ValueError(
                f"`values` must have shape {expected}, with one row per image. "
                f"Received: {self.values.shape}"
            )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Return the values."""
        return np.array(self.values, dtype, copy=copy)

    @property
    def per_image(self) -> np.ndarray:
        """The array `(B,)` whose mean is the score, or `(B, K)` by column."""
        if self.columns or self.values.ndim == 1:
            return self.values
        return mean_without_nan(self.values, axis=1)

    @property
    def count(self) -> int:
        """The number of images, B."""
        return len(self.values)

    @property
    def undefined(self) -> Any:
        """How many images have no value: an integer, or a list by column."""
        return np.isnan(self.per_image).sum(axis=0).tolist()

    @property
    def mean(self) -> Any:
        """Mean of the images that have a value: a float, or a list by column.

        It is NaN if no image has one.
        """
        return mean_without_nan(self.per_image, axis=0).tolist()

    @functools.cached_property
    def interval(self) -> tuple[Any, Any]:
        """The lower and the upper end of the mean's 95 % interval.

        It is the percentile bootstrap over images, with a fixed seed. Ends are
        floats, or lists by column, and NaN if fewer than two images have a
        value. With few images, it is too narrow: see "What the numbers can and
        can't say" in the documentation.
        """
        low, high = bootstrap(self.per_image)
        return low.tolist(), high.tolist()

    def to_dataframe(self) -> Any:
        """Return a `pandas.DataFrame` of one row per image. It needs pandas."""
        import pandas

        if self.values.ndim == 1:
            return pandas.DataFrame({self.metric: self.values})
        names = self.columns or range(self.values.shape[1])
        return pandas.DataFrame(self.values, columns=list(names))

    def summary(self) -> Any:
        """Return a `pandas.DataFrame` of one row per mean. It needs pandas."""
        import pandas

        low, high = self.interval
        table = {
            "mean": np.atleast_1d(self.mean),
            "low": np.atleast_1d(low),
            "high": np.atleast_1d(high),
            "count": self.count,
            "undefined": np.atleast_1d(self.undefined),
        }
        index = list(self.columns) or [self.metric]
        return pandas.DataFrame(table, index=index)

    def to_json(self) -> str:
        """Return all numbers and settings as JSON; NaN becomes null."""
        fields = [field.name for field in dataclasses.fields(self)]
        return json.dumps(
            _plain({n: getattr(self, n) for n in (*fields, *self._derived)})
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the result of which `to_json` returned this text.

        Call it on the same class, such as `PixelRemoval.from_json(text)`.
        """
        stored = json.loads(text)
        fields = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(stored, dict) or not {"values", "metric"} <= {
            *stored
        }:
            raise ValueError(
                "`text` must be what `to_json` of a result returned. "
                f"Received: {text[:80]!r}"
            )
        return cls(**{k: v for k, v in stored.items() if k in fields})

    def __str__(self) -> str:
        """Return the mean with its interval, as in `0.71 (0.65 to 0.77)`."""
        if self.columns:
            return f"{self.metric} of {self.count} images at {self.columns}"
        low, high = self.interval
        of = self.count - self.undefined
        return (
            f"{self.metric} {self.mean:.4g} ({low:.4g} to {high:.4g}) of {of} "
            f"image{'s' * (of != 1)}"
        )


def bootstrap(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95 % percentile interval of the mean over the first axis.

    Args:
        values: Array `(B,)` or `(B, K)`; NaN is left out, by column.
    """
    if values.ndim == 1:
        low, high = _ends(values)
    else:
        low, high = np.array([_ends(column) for column in values.T]).T
    return low, high


def _ends(column: np.ndarray) -> np.ndarray:
    """Return both ends of the interval of one mean."""
    defined = column[~np.isnan(column)]
    count = len(defined)
    if count < 2:
        return np.full(2, np.nan)
    # How often each image is drawn is a multinomial count, so that a resample
    # costs a product, and a part of them fits into memory.
    rng = np.random.default_rng(SEED)
    size = max(1, 2**22 // count)
    means = [
        rng.multinomial(
            count, np.full(count, 1 / count), size=min(size, RESAMPLES - start)
        )
        @ defined
        / count
        for start in range(0, RESAMPLES, size)
    ]
    return np.quantile(np.concatenate(means), [0.025, 0.975])


def mean_without_nan(values: np.ndarray, axis: int) -> np.ndarray:
    """Return the mean without NaN, and NaN where there is nothing else."""
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0).sum(axis=axis)
    count = defined.sum(axis=axis)
    return np.divide(
        total, count, out=np.full(total.shape, np.nan), where=count > 0
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Result):
        return json.loads(value.to_json())
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def function_name(function: Callable[..., Any]) -> str:
    """Return a function's name, also that of a `functools.partial`."""
    function = getattr(function, "func", function)
    return getattr(function, "__name__", type(function).__name__)
