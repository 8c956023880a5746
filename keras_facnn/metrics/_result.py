import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any
from typing import ClassVar

import numpy as np


@dataclasses.dataclass
class Result:
    """What a metric returns: numbers, settings, and ways to take them along.

    Subclasses are dataclasses; `columns` names those attributes, sequences of
    one length, that make up the table.
    """

    columns: ClassVar[tuple[str, ...]] = ()

    def to_dataframe(self) -> Any:
        """The table as a `pandas.DataFrame`. Needs pandas."""
        import pandas

        return pandas.DataFrame({n: getattr(self, n) for n in self.columns})

    def to_json(self) -> str:
        """All numbers and settings, as a JSON string; NaN becomes null."""
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
    """Half the width of the mean's 95 % confidence interval, or NaN."""
    values = np.asarray(values, "float64")
    if len(values) < 2:
        return math.nan
    return float(1.96 * values.std(ddof=1) / math.sqrt(len(values)))


def function_name(function: Callable) -> str:
    """A function's name; that of what a `functools.partial` calls."""
    function = getattr(function, "func", function)
    return getattr(function, "__name__", type(function).__name__)
