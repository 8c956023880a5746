"""Cards of a report: what is suspicious, and what to do about it."""

import os
import shlex
import typing
from collections.abc import Sequence

from keras_facnn._checks.text import escaped
from keras_facnn._checks.text import join_first
from keras_facnn.auditing.drawing import Pictures
from keras_facnn.auditing.reason import Reason
from keras_facnn.auditing.repeats import THRESHOLD
from keras_facnn.auditing.text import covered
from keras_facnn.auditing.text import how_to_cover
from keras_facnn.auditing.text import without
from keras_facnn.evaluation import page as html
from keras_facnn.evaluation.tables import percent

if typing.TYPE_CHECKING:
    from keras_facnn.auditing.result import Audit
    from keras_facnn.auditing.sample import Pick

# Pictures of all cards, and of one.
_MOST_PICTURES = 160
_FEWEST_PER_CARD, _MOST_PER_CARD = 3, 12
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
            "and see what changes without it."
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
        f"{_advice(audit, reason)}</details></article>"
    )


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
    facts = [
        (
            "images",
            f"{len(reason.members):,} of the {reason.images:,} compared images "
            f"that were called {reason.class_name} ({percent(reason.share)})",
        ),
        (
            "strength",
            f"{reason.suspicion:.2f}: how much more alike these images are "
            f"than images of different classes. Below {THRESHOLD:g}, it may "
            "be chance",
        ),
    ]
    if reason.kind == "texture":
        return facts
    found = audit.coverings.get(reason.name)
    return [
        facts[0],
        ("where", reason.place),
        (
            "evidence",
            f"{percent(reason.evidence)} of the evidence for "
            f"{reason.class_name} in all these images is there"
            + (
                ""
                if reason.surplus is None
                else f"; {reason.surplus:+.2f} logits compared with the same "
                "place in its other images"
            ),
        ),
        ("without it", without(reason)),
        (
            "if covered",
            covered(found)
            if found
            else f"not tried yet: {how_to_cover(reason)}",
        ),
        *([("looks like", join_first(reason.alike))] if reason.alike else []),
        facts[1],
    ]


def _advice(audit: "Audit", reason: Reason) -> str:
    """Return what to do about a reason."""
    name = reason.class_name
    look = (
        f"Look at the pictures: is this what {name} is, or did it get there by "
        "accident?"
    )
    collect = (
        f"More images help most: of {name} without it, and of other classes "
        "with it."
    )
    if reason.kind == "texture":
        return html.listing(
            map(
                escaped,
                [
                    look,
                    f"Save and scale the images of {name} as all others, or "
                    "blur and compress all of them at random in training.",
                    collect,
                ],
            )
        )
    use = (
        "See whether the model uses it: cover it in some of these images, with "
        f"{how_to_cover(reason)}, or put it into images of other "
        "classes. Do the answers change?"
    )
    mend = (
        "Otherwise, train with a penalty on evidence in these places, or cover "
        "them in half of the training images:"
    )
    return (
        html.listing(map(escaped, [look, use, collect, mend]))
        + f"<pre>{_code(audit, reason)}</pre>"
        + html.paragraph(
            "Then audit again, and measure the accuracy on images where it is "
            "in the wrong class, too.",
            "hint",
        )
    )


def _code(audit: "Audit", reason: Reason) -> str:
    """Return the lines that train without a reason."""
    if audit.facts.get("parts", 1) > 1:
        lines = [
            "# Its members have the paths and cells, of which to make masks.",
            f"audit.reason({reason.name!r}).members",
        ]
    else:
        lines = [
            "# In Python",
            f"masks = audit.regions({reason.name!r})",
            "loss = keras_facnn.RegionPenalty(loss, inside=False)",
            'model.fit(images, {"labels": labels, "regions": masks})',
        ]
        if folder := audit.facts.get("folder"):
            folder, name = shlex.quote(folder), shlex.quote(reason.name)
            lines += [
                "# In a terminal",
                f"keras-facnn audit NAME {folder} --output audit.json",
                f"keras-facnn train {folder} --output NEW_NAME "
                f"--audit audit.json --avoid {name}",
            ]
    return "\n".join(map(escaped, lines))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
