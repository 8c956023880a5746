"""An audit as text: for a terminal, and the first sentences of its page."""

import textwrap
import typing

from keras_facnn._checks.text import join_first
from keras_facnn._checks.text import printable
from keras_facnn.auditing.reasons import FEWEST_IMAGES

if typing.TYPE_CHECKING:
    from keras_facnn.auditing.result import Audit

_WIDTH = 79
_MOST_REASONS = 20
_MOST_UNLIKE = 5


def as_text(audit: "Audit") -> str:
    """Return an audit as lines of text."""
    alarms = [r for r in audit.reasons if r.alarm]
    lines = [*_wrapped(verdict(audit)), ""]
    for reason in alarms[:_MOST_REASONS]:
        lines += [printable(reason.name), *_wrapped(reason.grounds, "  ")]
    if len(alarms) > _MOST_REASONS:
        lines.append(f"... and {len(alarms) - _MOST_REASONS} more")
    if alarms:
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


def verdict(audit: "Audit") -> str:
    """Return what an audit found, in one or two sentences."""
    alarms = [r for r in audit.reasons if r.alarm]
    images = f"{audit.images:,} {'image' if audit.images == 1 else 'images'}"
    if not alarms:
        return (
            f"In {images}, no suspicious reason was found: nothing repeats in "
            "the images of one class and in no others."
        )
    if len(alarms) == 1:
        return (
            f"In {images}, one suspicious reason was found: it repeats in the "
            "images of one class and in no others."
        )
    return (
        f"In {images}, {len(alarms)} suspicious reasons were found: each "
        "repeats in the images of one class and in no others."
    )


def caveats(audit: "Audit") -> list[str]:
    """Return what a reader must know, such as what could not be looked at."""
    sentences = list(audit.notes)
    few = [
        audit.class_names[c]
        for c, count in enumerate(audit.statistics.said)
        if 0 < len(audit.sample.of_class(c)) < FEWEST_IMAGES and count
    ]
    if few:
        sentences.append(
            f"Of {len(few)} classes, there are fewer than {FEWEST_IMAGES} "
            f"images, which is too few to find reasons: {join_first(few)}."
        )
    if unreadable := audit.facts.get("unreadable"):
        count = "1 photo" if unreadable == 1 else f"{unreadable:,} photos"
        sentences.append(f"{count} can't be read.")
    return sentences


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        printable(text),
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
    )
