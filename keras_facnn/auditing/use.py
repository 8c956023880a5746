"""Say whether a model goes by what is suspicious, from what covering it did."""

import typing
from typing import Any
from typing import Literal

from keras_facnn.auditing.reason import Reason

if typing.TYPE_CHECKING:
    from keras_facnn.auditing.result import Audit

Use: typing.TypeAlias = Literal["used", "weak", "unclear", "untried", "unused"]
HEADINGS: dict[Use, str] = {
    "used": "The model uses it",
    "weak": "The model uses it, but no answer depends on it",
    "unclear": "The model may use it: look at the numbers",
    "untried": "Not covered, so nobody knows yet whether the model uses it",
    "unused": "It repeats, but the model does not go by it",
}


def use_of(found: dict[str, Any] | None) -> Use:
    """Return whether a model uses a reason.

    Args:
        found: The result of `Audit.cover`, or None.
    """
    if found is None:
        return "untried"
    changed, control = _changed(found)
    answers = changed - control
    logits = found["lost"] - found["control_lost"]
    if max(answers, logits) <= 0:
        return "unused"
    # If answers and logits disagree, the reader has to judge.
    if min(answers, logits) < 0:
        return "unclear"
    return "used" if answers else "weak"


def by_use(audit: "Audit") -> dict[Use, list[Reason]]:
    """Return the suspicious reasons by whether the model uses them.

    What a model uses comes first. Within a group, the most suspicious one does.
    """
    groups: dict[Use, list[Reason]] = {use: [] for use in HEADINGS}
    for reason in audit.reasons:
        if reason.alarm:
            groups[use_of(audit.coverings.get(reason.name))].append(reason)
    return {use: reasons for use, reasons in groups.items() if reasons}


def changed_answers(found: dict[str, Any]) -> str:
    """Return how many answers change if the places of a reason are covered.

    Colors that fill a place keep a trace of what was there. So the number is
    the least that depends on it.
    """
    changed, control = _changed(found)
    least = "at least " if use_of(found) == "used" else ""
    return (
        f"{least}{changed:,} of {found['images']:,} answers change; with other "
        f"places covered, {control:,}"
    )


def covered(found: dict[str, Any]) -> str:
    """Return what changes if the places of a reason are covered.

    Args:
        found: The result of `Audit.cover`.
    """
    text = (
        f"{changed_answers(found)}. The logit of the class falls by "
        f"{found['lost']:.2f}; with other places covered, by "
        f"{found['control_lost']:.2f}"
    )
    return text + {
        "used": ". So the model uses these places more than others",
        "weak": ". So the model uses these places more than others",
        "unused": ". So the model uses these places no more than others",
    }.get(use_of(found), "")


def how_to_cover(reason: Reason) -> str:
    """Return the line that covers the places of a reason."""
    return f"audit.cover(model, {reason.name!r})"


def _changed(found: dict[str, Any]) -> tuple[int, int]:
    """Return how many answers change, and with other places covered."""
    count = found["images"]
    return (
        round(found["changed"] * count),
        round(found["control_changed"] * count),
    )
