"""What a report says of each class, and of those that are mixed up."""

import typing
from typing import Any

from keras_facnn._checks.text import escaped
from keras_facnn._checks.text import join_first
from keras_facnn.auditing.drawing import Pictures
from keras_facnn.auditing.drawing import heat_map
from keras_facnn.auditing.reason import Reason
from keras_facnn.auditing.report_cards import image_name
from keras_facnn.auditing.report_cards import where_it_is
from keras_facnn.auditing.text import without
from keras_facnn.evaluation import page as html
from keras_facnn.evaluation.cards import legend
from keras_facnn.evaluation.shares import percent

if typing.TYPE_CHECKING:
    from keras_facnn.auditing.result import Audit

# Crops of all classes, of one class, and of one reason.
_MOST_CROPS = 600
_FEWEST_PER_CLASS = 12
_MOST_PER_REASON = 6
_MOST_PAIRS = 12


def where(audit: "Audit") -> str:
    """Return the table of where the evidence for each class lies."""
    areas, rows = audit.areas, []
    regions = any("inside" in c for c in audit.classes)
    precisions = any(c["precision"] is not None for c in audit.classes)
    for c in audit.classes:
        row: list[tuple[str, Any]] = [
            (escaped(c["class"]), c["class"]),
            (heat_map(audit.evidence(c["class"])), c["center"]),
            (f"{c['images']:,}", c["images"]),
        ]
        if precisions:
            row.append(_share(c["precision"]))
        row += [
            # Much in the center is as it should be.
            _share(c[zone], None if zone == "center" else area)
            for zone, area in areas.items()
        ]
        if regions:
            row.append(_share(c.get("inside"), c.get("inside_area")))
        rows.append(row)
    headings = [("class", "name"), ("mean map", "map"), ("images", "number")]
    if precisions:
        headings.append(("right", "number"))
    headings += [
        (f"{zone} ({area:.0%} of the area)", "number")
        for zone, area in areas.items()
    ]
    if regions:
        headings.append(("inside regions", "number"))
    return html.section(
        "Where the evidence lies",
        html.paragraph(
            "An image counts for the class that the model says. The mean map "
            "shows where in the image the evidence for it lies on average, "
            "and the columns how much of it. Compare with the area: a bold "
            "share on the border or in the corners is at least half as much "
            "again, which is a reason to look closer. A click on a heading "
            "sorts.",
            "hint",
        ),
        html.table(headings, rows, "maps"),
        name="where",
    )


def _share(value: float | None, area: float | None = None) -> tuple[str, Any]:
    if value is None:
        return "", ""
    text = escaped(percent(value))
    return (f"<b>{text}</b>" if area and value >= 1.5 * area else text), value


def looks(audit: "Audit", pictures: Pictures) -> str:
    """Return what the places of evidence of each class look like."""
    by_class: dict[str, list[Reason]] = {}
    for reason in audit.reasons:
        by_class.setdefault(reason.class_name, []).append(reason)
    rows = {c["class"]: c for c in audit.classes}
    # Classes with something suspicious come first, then the largest.
    names = sorted(
        (n for n, rs in by_class.items() if any(not r.alarm for r in rs)),
        key=lambda n: (not by_class[n][0].alarm, -rows[n]["images"], n),
    )
    if not names:
        return ""
    per_class = max(_MOST_CROPS // len(names), _FEWEST_PER_CLASS)
    shown = names[: _MOST_CROPS // per_class]
    hint = (
        ""
        if len(shown) == len(names)
        else f" These are {len(shown)} of {len(names):,} classes; "
        "audit.reasons has all."
    )
    menu = html.menu(
        "class",
        "Class",
        "any class",
        [(audit.class_names.index(n), n) for n in sorted(shown)],
    )
    cards = "\n".join(
        _class_card(audit, pictures, rows[n], by_class[n], per_class)
        for n in shown
    )
    return html.section(
        "What the model goes by",
        html.paragraph(
            "Places of much evidence that look alike to the model are one "
            "reason. Each row shows one, by crops from its images of most "
            "evidence. Is it a part of the thing? Then the model is right for "
            f"a good reason.{hint}",
        ),
        html.filters(menu) if len(shown) > 1 else "",
        f'<div class="cards wide">{cards}</div>',
        name="looks",
    )


def _class_card(
    audit: "Audit",
    pictures: Pictures,
    row: dict[str, Any],
    reasons: list[Reason],
    crops: int,
) -> str:
    found = [r for r in reasons if not r.alarm]
    each = min(max(crops // len(found), 3), _MOST_PER_REASON)
    listed = "".join(_looks(audit, pictures, r, each) for r in found)
    name = row["class"]
    images = f"{row['images']:,} images"
    if row["precision"] is not None:
        images += f", {percent(row['precision'])} right"
    alarms = [r.name for r in reasons if r.alarm]
    more = f"<p><b>Suspicious:</b> {escaped(', '.join(alarms))}</p>"
    return (
        f'<article class="card" data-class="{audit.class_names.index(name)}">'
        f"<h3><b>{escaped(name)}</b> <small>{escaped(images)}</small></h3>"
        f"{more if alarms else ''}"
        f'<div class="class"><div>{heat_map(audit.evidence(name))}</div>'
        f"<div>{listed}</div></div></article>"
    )


def _looks(
    audit: "Audit", pictures: Pictures, reason: Reason, count: int
) -> str:
    drawn = []
    for member in reason.members[:count]:
        pixels = pictures.crop(member)
        if pixels is not None:
            caption = f"{image_name(audit, member.pick)}, a crop"
            alt = f"crop of an image that was called {reason.class_name}"
            drawn.append(html.zoomed(pixels, alt, caption))
    alike = f" Looks like {join_first(reason.alike)}." if reason.alike else ""
    return (
        f'<div class="looks"><p><b>{escaped(reason.name)}</b>: in '
        f"{percent(reason.share)} of the images, {percent(reason.evidence)} of "
        f"the evidence, {escaped(where_it_is(audit, reason))}. Without it, "
        f"{escaped(without(reason))}.{escaped(alike)}</p>"
        f'<div class="sheet">{"".join(drawn)}</div></div>'
    )


def confusions(audit: "Audit") -> str:
    """Return where the evidence lies that decided for a wrong class."""
    pairs = audit.confusions[:_MOST_PAIRS]
    if not pairs:
        return ""
    cards = "".join(
        f'<article class="card"><h3>{escaped(pair["class"])} called '
        f"<b>{escaped(pair['said'])}</b> <small>{pair['images']:,} "
        f"{'image' if pair['images'] == 1 else 'images'}</small></h3>"
        f"{heat_map(pair['evidence'])}</article>"
        for pair in pairs
    )
    return html.section(
        "Where wrong answers come from",
        html.paragraph(
            "The mean map of what was said, less that of the right class. "
            "Yellow places decided for the wrong answer, and blue ones spoke "
            "for the right one."
            + (
                f" The {len(pairs)} most frequent of "
                f"{len(audit.confusions):,} pairs."
                if len(pairs) < len(audit.confusions)
                else ""
            )
        ),
        legend(),
        f'<div class="cards narrow">{cards}</div>',
        name="confusions",
    )
