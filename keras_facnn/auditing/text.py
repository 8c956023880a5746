"""An audit as text: for a terminal, and the first sentences of its page."""

import textwrap
import typing

from keras_facnn._checks.text import join_first
from keras_facnn._checks.text import printable
from keras_facnn.auditing.reason import Reason
from keras_facnn.auditing.reasons import FEWEST_IMAGES
from keras_facnn.auditing.use import HEADINGS
from keras_facnn.auditing.use import by_use
from keras_facnn.auditing.use import covered
from keras_facnn.auditing.use import how_to_cover
from keras_facnn.evaluation.shares import percent

if typing.TYPE_CHECKING:
    from keras_facnn.auditing.result import Audit

_WIDTH = 79
_MOST_REASONS = 20
_MOST_UNLIKE = 5


def as_text(audit: "Audit") -> str:
    """Return an audit as lines of text."""
    lines = [*_wrapped(verdict(audit)), ""]
    shown = 0
    for use, reasons in by_use(audit).items():
        listed = reasons[: _MOST_REASONS - shown]
        shown += len(listed)
        lines += [f"{HEADINGS[use]}:", ""]
        for reason in listed:
            why = _why(audit, reason)
            lines += [printable(reason.name), *_wrapped(why, "  ")]
        if len(listed) < len(reasons):
            lines.append(f"... and {len(reasons) - len(listed)} more")
        lines.append("")
    if audit.unlike:
        lines += [
            "Unlike the other images of their class (is the label right?):",
            *(
                f"  {printable(str(row['path'] or row['index']))}: is in "
                f"{printable(row['class'])}, like {printable(row['like'])}"
                for row in audit.unlike[:_MOST_UNLIKE]
            ),
            "",
        ]
    for caveat in caveats(audit):
        lines += _wrapped(caveat)
    return "\n".join(lines).rstrip()


def _why(audit: "Audit", reason: Reason) -> str:
    """Return what covering a reason did, if it was tried, and what it is."""
    if reason.name in audit.coverings:
        found = covered(audit.coverings[reason.name])
        return f"if it is covered, {found}. It is {reason.grounds}"
    if reason.kind == "place":
        return f"{reason.grounds}; {how_to_cover(reason)} tells more"
    return reason.grounds


def verdict(audit: "Audit") -> str:
    """Return what an audit found, in one or two sentences."""
    alarms = [r for r in audit.reasons if r.alarm]
    images = f"{audit.images:,} {'image' if audit.images == 1 else 'images'}"
    if sum(_is_compared(audit)) < 2:
        return (
            f"In {images}, nothing could be compared, because fewer than two "
            f"classes were given to at least {FEWEST_IMAGES} different images."
        )
    if not alarms:
        return (
            f"In {images}, no suspicious reason was found: nothing repeats in "
            "the images of one class much more than in others."
        )
    if len(alarms) == 1:
        return (
            f"In {images}, one suspicious reason was found: it repeats in the "
            "images of one class much more than in others."
        )
    return (
        f"In {images}, {len(alarms)} suspicious reasons were found: each "
        "repeats in the images of one class much more than in others."
    )


def _is_compared(audit: "Audit") -> list[bool]:
    """Return of which classes there are enough images to find reasons."""
    return [
        len(audit.sample.of_class(c)) >= FEWEST_IMAGES
        for c in range(len(audit.class_names))
    ]


def caveats(audit: "Audit") -> list[str]:
    """Return what a reader must know, such as what could not be looked at."""
    sentences = list(audit.notes)
    few = [
        name
        for name, compared, said in zip(
            audit.class_names,
            _is_compared(audit),
            audit.statistics.said,
            strict=True,
        )
        if said and not compared
    ]
    if few:
        sentences.append(
            f"Fewer than {FEWEST_IMAGES} different images were given these "
            f"classes, which is too few to find reasons: {join_first(few)}."
        )
    if unreadable := audit.facts.get("unreadable"):
        count = "1 photo" if unreadable == 1 else f"{unreadable:,} photos"
        sentences.append(f"{count} can't be read.")
    return sentences


def without(reason: Reason) -> str:
    """Return what changes without the evidence of a reason."""
    taken, count = reason.taken, len(reason.members)
    changed, control = (
        round(taken[name] * count) for name in ("changed", "control_changed")
    )
    text = (
        f"{changed:,} of {count:,} answers change; without as many other "
        f"places, {control:,}"
    )
    if taken["accuracy_before"] not in (None, taken["accuracy_after"]):
        text += (
            f". Of these answers, {percent(taken['accuracy_before'])} were "
            f"right; without it, {percent(taken['accuracy_after'])}"
        )
    return text


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        printable(text),
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
    )
