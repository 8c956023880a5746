"""What a report says to do about a suspicious reason."""

import os
import shlex
import typing

from keras_facnn._checks.text import escaped
from keras_facnn.auditing.reason import Reason
from keras_facnn.auditing.use import Use
from keras_facnn.auditing.use import how_to_cover
from keras_facnn.auditing.use import use_of
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
    spared = (
        "Covering it changes no more than covering other places does. So this "
        "model may need no mending, and the next one may."
    )
    tried: dict[Use, list[str]] = {"untried": [use], "unused": [spared]}
    found = audit.coverings.get(reason.name)
    steps = [look, *tried.get(use_of(found), []), collect]
    if audit.facts.get("parts", 1) > 1:
        return (
            html.listing(map(escaped, [*steps, _MASKS]))
            + _code(f"audit.reason({reason.name!r}).members")
            + _again()
        )
    folder = audit.facts.get("folder")
    if folder and "training" in audit.facts:
        return (
            html.listing(map(escaped, [*steps, _TRAIN]))
            + _commands(audit, reason, folder)
            + html.paragraph(f"{_STILL_THERE} {_others(audit, reason)}", "hint")
        )
    labels = "" if reason.usual_cells is None else ", labels"
    return (
        html.listing(map(escaped, [*steps, _FIT]))
        + _code(
            f"masks = audit.regions({reason.name!r}{labels})",
            "loss = keras_facnn.RegionPenalty(loss, inside=False)",
            'model.fit(images, {"labels": labels, "regions": masks})',
        )
        + _again(_others(audit, reason))
    )


_MASKS = (
    "Otherwise, train with a penalty on evidence in these places. The members "
    "of the reason have the paths and cells, of which to make masks:"
)
_TRAIN = (
    "If it is an accident, train a new model of these photos from copies in "
    "which this place is exchanged, so that it tells nothing. Before and after "
    "that, evaluate it on photos that were held out. This says how much each "
    "model goes by the place:"
)
_STILL_THERE = (
    "A new audit of the same images is no proof: it still names this, because "
    "it is still in the images."
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
    numbers = facts.get("numbers", "audit.json")
    avoid = ["--audit", numbers, "--avoid", reason.name]
    commands = [
        ["evaluate", model, folder, *avoid],
        ["train", folder, "--output", mended, *options, *avoid],
        ["evaluate", mended, folder, *avoid],
    ]
    if facts.get("fit") not in (None, "crop"):
        # The training reads photos cropped, and so must the audit.
        page = f"{os.path.splitext(numbers)[0]}.html"
        commands.insert(0, ["audit", model, folder, "--output", page])
    elif "numbers" not in facts:
        save = html.paragraph("In Python, save the numbers first:")
        return save + _code('audit.save("audit.json")') + _shown(commands)
    return _shown(commands)


def _shown(commands: list[list[str]]) -> str:
    return _code(*(shlex.join(["keras-facnn", *c]) for c in commands))


def _others(audit: "Audit", reason: Reason) -> str:
    """Return what the training does with images that were not compared."""
    compared = reason.images
    said = int(audit.statistics.said[reason.said])
    if said <= compared:
        return ""
    how = (
        "The training takes it that the others have it in the same place."
        if reason.usual_cells is not None
        else "Its place differs from image to image, so look at the others, "
        "and draw masks."
    )
    return (
        f"The audit compared {compared:,} of the {said:,} images called "
        f"{reason.class_name}. {how}"
    )


def _code(*lines: str) -> str:
    # A line within a line would be escaped.
    text = "\n".join(map(escaped, lines))
    return f"<pre>{text}</pre>"


def _again(more: str = "") -> str:
    return html.paragraph(
        "Then measure the accuracy on images where it is in the wrong class, "
        f"too. {_STILL_THERE} {more}",
        "hint",
    )
