"""The results of metrics: numbers, settings, and ways to store them."""

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any
from typing import ClassVar

import numpy as np


@dataclasses.dataclass
class Result:
    """The result of a metric, which converts to a table and to JSON.

    Subclasses are dataclasses. `columns` names the attributes, sequences of
    equal length, that make up the table.

    Example:

    >>> import dataclasses
    >>> from keras_facnn.metrics import Result
    >>> @dataclasses.dataclass
    ... class Scores(Result):
    ...     scores: list[float]
    ...     columns = ("scores",)
    >>> Scores([0.5, float("nan")]).to_json()
    '{"scores": [0.5, null]}'
    """

    columns: ClassVar[tuple[str, ...]] = ()

    def to_dataframe(self) -> Any:
        """Return the table as a `pandas.DataFrame`. This needs pandas."""
        import pandas

        return pandas.DataFrame({n: getattr(self, n) for n in self.columns})

    def to_json(self) -> str:
        """Return all numbers and settings as JSON; NaN becomes null."""
        return json.dumps(_plain(dataclasses.asdict(self)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def interval_half_width(values: Any) -> float:
    """Return half the width of the mean's 95 % confidence interval, or NaN."""
    array = np.asarray(values, "float64")
    if len(array) < 2:
        return math.nan
    return float(1.96 * array.std(ddof=1) / math.sqrt(len(array)))


def function_name(function: Callable[..., Any]) -> str:
    """Return a function's name, also that of a `functools.partial`."""
    function = getattr(function, "func", function)
    return getattr(function, "__name__", type(function).__name__)
