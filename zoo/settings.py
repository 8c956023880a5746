"""Changes to a recipe from the command line: `--set epochs=3,model.alpha=0.2`.

A key is a field of a stage, such as `epochs` or `model.alpha`, or of the
recipe, such as `validation_split`. A field of a stage changes every stage that
has it; behind a stage's name, as in `taught.epochs`, it changes only that
stage. A value is a Python literal, such as `0.1`, `(2, 2)` or `None`, or else
text.
"""

import ast
import typing
from collections.abc import Iterable
from typing import Any

from zoo.recipe import Model
from zoo.recipe import Recipe
from zoo.recipe import Stage
from zoo.records import Record
from zoo.records import field_names
from zoo.records import field_types
from zoo.records import nearest

# What a baseline does without.
ONLY_FACNN = (
    "evidence_penalty",
    "model.alpha",
    "model.late_alphas",
    "model.deep_alignment",
)
FIXED = ("name", "stages")

Changes = dict[str, Any]


def apply(recipe: Recipe, texts: Iterable[str]) -> Recipe:
    """Return a recipe with the changes of some `--set` flags.

    Args:
        recipe: The `Recipe`.
        texts: Strings such as `"epochs=3,taught.model.alpha=0.2"`.

    Returns:
        The changed `Recipe`.

    Raises:
        ValueError: If a key is unknown, or a value is not what it takes.
    """
    of_recipe: Changes = {}
    of_stages: dict[str, Changes] = {stage.name: {} for stage in recipe.stages}
    for text in texts:
        for key, value in parse(text):
            first, _, rest = key.partition(".")
            if first in of_stages:
                chosen = [recipe.stage(first)]
                _check_key(Stage, rest, key, value)
            elif first in field_names(Recipe) and first not in FIXED:
                _check_key(Recipe, key, key, value)
                _add(of_recipe, key, value)
                continue
            else:
                chosen, rest = list(recipe.stages), key
                _check_key(Stage, key, key, value, [*of_stages])
            having = [stage for stage in chosen if _has(stage, rest)]
            if not having:
                raise ValueError(
                    f"No stage that is run has a `{rest}` to set. "
                    f"Received: --set {key}={value}"
                )
            for stage in having:
                _add(of_stages[stage.name], rest, value)
    stages = tuple(
        _changed_stage(stage, of_stages[stage.name]) for stage in recipe.stages
    )
    return _changed(recipe.replace(stages=stages), of_recipe)


def parse(text: str) -> list[tuple[str, Any]]:
    """Return the keys and values of `"a=1,b.c=(2, 3)"`."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if depth < 0:
            break
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    if depth:
        raise ValueError(
            "`--set` must have as many closing brackets as opening ones. "
            f"Received: --set {text}"
        )
    pairs = []
    for part in parts:
        key, equals, value = (word.strip() for word in part.partition("="))
        if not (key and equals and value):
            raise ValueError(
                "`--set` must be KEY=VALUE, or several of them with commas "
                f"between them. Received: --set {text}"
            )
        pairs.append((key, _literal(value)))
    return pairs


def _literal(text: str) -> Any:
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, TypeError, ValueError):
        return text
    return tuple(value) if isinstance(value, list) else value


def _check_key(
    cls: type,
    key: str,
    whole: str,
    value: Any,
    also: Iterable[str] = (),
) -> None:
    """Raise if no value of a record's type has a field of this path.

    Args:
        cls: The type of the record.
        key: The path, such as `"model.alpha"`.
        whole: The key as it was given.
        value: Its value.
        also: Other names that could have been meant.
    """
    kinds = [cls]
    for name in key.split("."):
        known = {
            field: hint
            for kind in kinds
            for field, hint in field_types(kind).items()
            if field not in FIXED
        }
        if name not in known:
            raise ValueError(
                f"`--set` knows no `{whole}`. {nearest(name, [*known, *also])} "
                f"Received: --set {whole}={value}"
            )
        kinds = _record_types(known[name])
        also = ()


def _record_types(hint: Any) -> list[type]:
    """Return the types of the records that a field may hold."""
    kinds = typing.get_args(hint) or (hint,)
    return [
        kind
        for kind in kinds
        if isinstance(kind, type) and issubclass(kind, Record)
    ]


def _has(record: Any, key: str) -> bool:
    """Return whether the record that a key's last part belongs to is there."""
    *parents, last = key.split(".")
    for name in parents:
        record = getattr(record, name, None)
    return isinstance(record, Record) and hasattr(record, last)


def _add(changes: Changes, key: str, value: Any) -> None:
    """Put a value at its place in nested changes."""
    *parents, last = key.split(".")
    for name in parents:
        changes = changes.setdefault(name, {})
        if not isinstance(changes, dict):
            raise ValueError(
                f"`--set` must give {name} or {key}. Received: both"
            )
    changes[last] = value


def _changed(record: Any, changes: Changes) -> Any:
    """Return a copy of a record with nested changes."""
    return record.replace(
        **{
            name: _changed(getattr(record, name), value)
            if isinstance(value, dict)
            else value
            for name, value in changes.items()
        }
    )


def _changed_stage(stage: Stage, changes: Changes) -> Stage:
    """Return a changed stage, without what a baseline does without."""
    baseline = changes.get("baseline", stage.baseline)
    if baseline is None:
        return _changed(stage, changes)
    for key in ONLY_FACNN:
        value: Any = changes
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value:
            raise ValueError(
                f"`{key}` is only for an FA-CNN. Received: "
                f"--set baseline={baseline},{key}={value}"
            )
    # So that the record says what was used.
    changes = {**changes, "evidence_penalty": 0.0}
    if isinstance(stage.model, Model):
        none = {"deep_alignment": 0.0, "stochastic_depth": 0.0}
        changes["model"] = {**changes.get("model", {}), **none}
    return _changed(stage, changes)
