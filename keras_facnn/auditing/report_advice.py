"""What a report says to do about a suspicious reason."""

import os
import shlex
import typing

from keras_facnn._checks.text import escaped
from keras_facnn.auditing.reason import Reason
from keras_facnn.auditing.use import how_to_cover
from keras_facnn.evaluation import page as html

if typing.TYPE_CHECKING:
    from keras_facnn.auditing.result import Audit

# The options of `keras-facnn train` that a training recorded, with defaults.
_OPTIONS = {
    "base": ("--base", "imagenet"),
    "image_size": ("--size", None),
    "validation_share": ("--validation-share", 0.2),
    "seed": ("--seed", 0),
}


def advice(audit: "Audit", reason: Reason) -> str:
    """Return what to do about a reason, in HTML."""
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
        scale = (
            f"Save and scale the images of {name} as all others, or blur and "
            "compress all of them at random in training."
        )
        return html.listing(map(escaped, [look, scale, collect]))
    use = (
        "See whether the model uses it: cover it in some of these images, with "
        f"{how_to_cover(reason)}, or put it into images of other classes. Do "
        "the answers change?"
    )
    tried = reason.name in audit.coverings
    steps = [look, *([] if tried else [use]), collect]
    if audit.facts.get("parts", 1) > 1:
        return (
            html.listing(map(escaped, [*steps, _MASKS]))
            + _code(f"audit.reason({reason.name!r}).members")
            + _again()
        )
    folder = audit.facts.get("folder")
    if folder and "training" in audit.facts:
        return html.listing(map(escaped, [*steps, _TRAIN])) + _commands(
            audit, reason, folder
        )
    return (
        html.listing(map(escaped, [*steps, _FIT]))
        + _code(
            f"masks = audit.regions({reason.name!r})",
            "loss = keras_facnn.RegionPenalty(loss, inside=False)",
            'model.fit(images, {"labels": labels, "regions": masks})',
        )
        + _again()
    )


_MASKS = (
    "Otherwise, train with a penalty on evidence in these places. The members "
    "of the reason have the paths and cells, of which to make masks:"
)
_TRAIN = (
    "If it is an accident, train a new model of these photos that can't go by "
    "it. The first command does that, and the second one proves it on photos "
    "that the model did not train on:"
)
_FIT = (
    "If it is an accident, train with a penalty on evidence in these places, "
    "in Python, or cover them in half of the training images:"
)


def _commands(audit: "Audit", reason: Reason, folder: str) -> str:
    """Return the commands that train a model without a reason."""
    facts = audit.facts
    model = os.fspath(facts["model"])
    mended = f"{model.rstrip('/')}_mended"
    options = []
    for name, (option, default) in _OPTIONS.items():
        value = facts["training"].get(name, default)
        if value != default:
            options += [option, str(value)]
    avoid = [
        "--audit",
        facts.get("numbers") or "audit.json",
        "--avoid",
        reason.name,
    ]
    train = ["train", folder, "--output", mended, *options, *avoid]
    evaluate = ["evaluate", mended, folder, *avoid]
    save = (
        ""
        if "numbers" in facts
        else html.paragraph("In Python, save the numbers first:")
        + _code('audit.save("audit.json")')
    )
    compared = reason.images
    all_images = int(audit.statistics.said[reason.said])
    others = (
        ""
        if all_images <= compared
        else f" The audit compared {compared:,} of the {all_images:,} images "
        f"called {reason.class_name}. The training takes it that the others "
        "show it in the same place."
    )
    return (
        save
        + _code(
            *(
                shlex.join(["keras-facnn", *command])
                for command in (train, evaluate)
            )
        )
        + html.paragraph(
            "A new audit of the same photos still names it, because it is "
            f"still in the photos.{others}",
            "hint",
        )
    )


def _code(*lines: str) -> str:
    text = "\n".join(lines)
    return f"<pre>{escaped(text)}</pre>"


def _again() -> str:
    return html.paragraph(
        "Then measure the accuracy on images where it is in the wrong class, "
        "too. A new audit of the same images still names it, because it is "
        "still in the images; what changes if it is covered should be less.",
        "hint",
    )
