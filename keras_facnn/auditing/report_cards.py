"""Cards of a report: what is suspicious, and what to do about it."""

import math
import os
import typing
from collections.abc import Sequence

from keras_facnn._checks.text import escaped
from keras_facnn._checks.text import join_first
from keras_facnn.auditing.drawing import Pictures
from keras_facnn.auditing.overlap import overlapped
from keras_facnn.auditing.reason import Reason
from keras_facnn.auditing.reasons import FEWEST_IMAGES
from keras_facnn.auditing.repeats import THRESHOLD
from keras_facnn.auditing.report_advice import advice
from keras_facnn.auditing.text import without
from keras_facnn.auditing.use import covered
from keras_facnn.auditing.use import how_to_cover
from keras_facnn.evaluation import page as html
from keras_facnn.evaluation.shares import percent

if typing.TYPE_CHECKING:
    from keras_facnn.auditing.result import Audit
    from keras_facnn.auditing.sample import Pick

# Pictures of all cards, and of one.
_MOST_PICTURES = 160
_FEWEST_PER_CARD, _MOST_PER_CARD = 3, 12
# A reason of which so much lies in the place of another is a part of it.
_MOSTLY = 0.5
_KINDS = {
    "place": "a thing in the images",
    "texture": "sharpness or compression of the images",
}


def suspicious(audit: "Audit", pictures: Pictures) -> str:
    """Return the cards of the suspicious reasons, the most suspicious first."""
    alarms = [r for r in audit.reasons if r.alarm]
    if not alarms:
        return ""
    each = _MOST_PICTURES // len(alarms)
    each = min(max(each, _FEWEST_PER_CARD), _MOST_PER_CARD)
    shown = _MOST_PICTURES // each
    cards = "\n".join(
        _card(audit, pictures, reason, each if i < shown else 0)
        for i, reason in enumerate(alarms)
    )
    return html.section(
        "What is suspicious",
        html.paragraph(
            "Each card is something that images of one class have in common, "
            "much more than with images of other classes. Lines show where it "
            "is. Click a picture to enlarge it and to see the name of its "
            "file. The model may not use it, or it may be a fair reason: look, "
            "and see what changes if it is covered."
        ),
        _filters(alarms) if len(alarms) > 1 else "",
        f'<div class="cards wide">{cards}</div>',
        name="suspicious",
    )


def _filters(alarms: Sequence[Reason]) -> str:
    classes = sorted({(r.said, r.class_name) for r in alarms})
    kinds = [k for k in _KINDS if any(r.kind == k for r in alarms)]
    return html.filters(
        html.menu("class", "Class", "any class", classes),
        html.menu("kind", "Kind", "any kind", [(k, _KINDS[k]) for k in kinds]),
        html.menu(
            "order",
            "Order",
            "most suspicious first",
            [
                ("-share", "in most images first"),
                ("-evidence", "most evidence first"),
                ("-changed", "most changed answers first"),
            ],
        ),
    )


def _card(
    audit: "Audit", pictures: Pictures, reason: Reason, count: int
) -> str:
    rows = "".join(
        f"<dt>{escaped(term)}</dt><dd>{escaped(text)}</dd>"
        for term, text in _facts(audit, reason)
    )
    return (
        f'<article class="card" data-class="{reason.said}" '
        f'data-kind="{reason.kind}" data-share="{reason.share:.4f}" '
        f'data-evidence="{reason.evidence:.4f}" '
        f'data-changed="{_changed(reason):.4f}">'
        f"<h3><b>{escaped(reason.name)}</b> "
        f"<small>{escaped(_KINDS[reason.kind])}</small></h3>"
        f"{html.paragraph(_sentence(reason.grounds))}"
        f"{_sheet(audit, pictures, reason, count)}"
        f'<dl class="facts">{rows}</dl>'
        "<details><summary>What to do next</summary>"
        f"{advice(audit, reason)}</details></article>"
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _changed(reason: Reason) -> float:
    """Return the share of answers that change, beyond the control's."""
    if reason.kind == "texture":
        return 0.0
    return reason.taken["changed"] - reason.taken["control_changed"]


def _sheet(
    audit: "Audit", pictures: Pictures, reason: Reason, count: int
) -> str:
    """Return pictures that have a reason, those of most evidence first."""
    drawn = []
    for member in reason.members[:count]:
        pixels = pictures.outlined(member)
        if pixels is not None:
            caption = f"{image_name(audit, member.pick)}: " + (
                f"{percent(member.share)} of its evidence is inside or beside "
                "the lines"
                if reason.kind == "place"
                else f"called {reason.class_name}"
            )
            alt = f"image that was called {reason.class_name}"
            drawn.append(html.zoomed(pixels, alt, caption))
    if not drawn:
        return ""
    return f'<div class="sheet">{"".join(drawn)}</div>'


def image_name(audit: "Audit", pick: "Pick") -> str:
    """Return the path of an image within its folder, or its position."""
    if pick.path is None:
        return f"image {pick.index}"
    folder = audit.facts.get("folder")
    if folder and pick.path.startswith(os.path.join(folder, "")):
        return os.path.relpath(pick.path, folder)
    return os.path.join(*pick.path.split(os.sep)[-2:])


def _facts(audit: "Audit", reason: Reason) -> list[tuple[str, str]]:
    """Return the numbers of a reason, each with what it is of."""
    said = int(audit.statistics.said[reason.said])
    facts = [
        (
            "images",
            f"{len(reason.members):,} of the {reason.images:,} compared images "
            f"that were called {reason.class_name} ({percent(reason.share)})"
            + (
                f"; {said:,} were called so in all"
                if said > reason.images
                else ""
            ),
        ),
        (
            "how alike",
            f"there, these images are {math.exp(reason.suspicion):.1f} times "
            "nearer to each other than to the nearest image of another class. "
            f"Below {math.exp(THRESHOLD):.1f} times, it may be chance",
        ),
    ]
    if reason.kind == "texture":
        return facts
    found = audit.coverings.get(reason.name)
    return [
        (
            "if covered",
            covered(found)
            if found
            else f"not tried yet: {how_to_cover(reason)}",
        ),
        facts[0],
        ("where", where_it_is(audit, reason)),
        (
            "evidence",
            f"{percent(reason.evidence)} of the evidence for "
            f"{reason.class_name} in all these images is there"
            + ("" if reason.surplus is None else f"; {_surplus(reason)}"),
        ),
        ("without it", without(reason)),
        *([("looks like", join_first(reason.alike))] if reason.alike else []),
        facts[1],
    ]


def _surplus(reason: Reason) -> str:
    """Return how much more evidence there is than where it is missing."""
    assert reason.surplus is not None
    others = len(reason.rest)
    which = "one image" if others == 1 else f"{others:,} images"
    few = ", which is little to compare with" if others < FEWEST_IMAGES else ""
    return (
        f"{abs(reason.surplus):.2f} logits "
        f"{'less' if reason.surplus < 0 else 'more'} than in the same place of "
        f"the {which} of {reason.class_name} in which it was not found{few}"
    )


def where_it_is(audit: "Audit", reason: Reason) -> str:
    """Return the place of a reason, and whose place that is already."""
    found = overlapped(reason, audit.reasons, audit.statistics.grid)
    if found is None:
        return reason.place
    other, share = found
    hint = (
        f"avoiding {other.name} is enough"
        if share >= _MOSTLY
        else "avoid both if they are one thing"
    )
    return (
        f"{reason.place}; overlaps {other.name} ({percent(share)} of its "
        f"place): {hint}"
    )
