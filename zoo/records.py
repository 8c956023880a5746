"""Frozen data classes that check their values by the types of their fields."""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterable
from typing import Annotated
from typing import Any
from typing import Literal
from typing import Self

# Bounds, both included.
Count = Annotated[int, (1, math.inf)]
Pixels = Annotated[int, (0, math.inf)]
Positive = Annotated[float, (0, math.inf)]
Share = Annotated[float, (0, 1)]


class Record:
    """A base class of frozen data classes that check their values.

    Raises:
        TypeError: If a name is not a field. The message has the nearest field.
            Or if a field without a default is missing.
        ValueError: If a value is not of its field's type, or out of bounds.
    """

    def __new__(cls, **values: Any) -> Self:
        known = field_names(cls)
        for name, value in values.items():
            if name not in known:
                raise TypeError(
                    f"{cls.__name__} takes no `{name}`. "
                    f"{nearest(name, known)} Received: {name}={value!r}"
                )
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for name, hint in field_types(type(self)).items():
            value = getattr(self, name)
            if not _fits(value, hint):
                raise ValueError(
                    f"`{name}` of {type(self).__name__} must be "
                    f"{_described(hint)}. Received: {name}={value!r}"
                )

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some values changed, which is checked again."""
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]


def field_names(cls: type) -> list[str]:
    """Return the names of a record's fields."""
    return [field.name for field in dataclasses.fields(cls)]


def field_types(cls: type) -> dict[str, Any]:
    """Return the types of a record's fields by their names."""
    return typing.get_type_hints(cls, include_extras=True)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence that helps where a name is unknown."""
    known = list(known)
    near = difflib.get_close_matches(name, known)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"It takes {', '.join(known)}."


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value is of a type that a field states."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        kind, (least, most) = inner
        return _fits(value, kind) and least <= value <= most
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, kind) for kind in inner)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if inner[-1] is ...:
            inner = inner[:1] * max(1, len(value))
        return len(value) == len(inner) and all(map(_fits, value, inner))
    if hint in (int, float):
        kinds = (int,) if hint is int else (int, float)
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        return is_number and math.isfinite(value)
    return isinstance(value, hint)


def _described(hint: Any) -> str:
    """Return in words what `_fits` asks for."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        kind, (least, most) = inner
        upper = "" if most == math.inf else f" and at most {most}"
        return f"{_described(kind)} of at least {least}{upper}"
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin in (typing.Union, types.UnionType):
        return ", or ".join(map(_described, inner))
    if origin is tuple:
        if inner[-1] is ...:
            return f"a tuple, each {_described(inner[0])}"
        return f"a tuple of {len(inner)}, each {_described(inner[0])}"
    names = {
        int: "an integer",
        float: "a finite number",
        str: "text",
        bool: "True or False",
        types.NoneType: "None",
    }
    return names.get(hint) or f"a {hint.__name__}"
