"""Write the parts of the page that no photo changes, as HTML."""

import pathlib
import typing

from keras_facnn._checks.text import escaped
from keras_facnn.demo.markup import img
from keras_facnn.demo.markup import section
from keras_facnn.model import FACNN
from keras_facnn.pictures.reading import read_picture


def drop_zone_html(most: int) -> str:
    """Return the HTML of the box that takes a dropped or chosen photo.

    Args:
        most: The largest size of a file in bytes.
    """
    limit = f"{most // 2**20} MB"
    return (
        f'<label class="fa-drop" data-most="{most}" data-refusal="The file has '
        f'more than {limit}. At most {limit} are read.">'
        '<input type="file" accept="image/*"><b>Drop a photo here</b>'
        f"<span>or click to choose one (at most {limit})</span></label>"
        '<div class="fa-error" role="alert" hidden></div>'
    )


def samples_html(paths: typing.Sequence[pathlib.Path]) -> str:
    """Return a button per sample picture."""
    buttons = []
    for i, path in enumerate(paths):
        name = escaped(path.stem.replace("_", " "))
        pixels = read_picture(path, (96, 96, 3))
        buttons.append(
            f'<button type="button" class="fa-sample" data-index="{i}" '
            f'title="{name}">{img(pixels, path.stem.replace("_", " "))}'
            "</button>"
        )
    return (
        '<p class="fa-hint">Or pick one of these:</p>'
        f'<div class="fa-samples">{"".join(buttons)}</div>'
    )


def about_html(model: FACNN, preset: str) -> str:
    """Return what the model knows, and what its answers don't say."""
    names = model.class_names
    count = model.num_classes
    known = ""
    if names is not None:
        listed = ", ".join(escaped(name.split(",")[0]) for name in names)
        known = (
            f"<details><summary>The {count:,} things it knows</summary>"
            f"<p>{listed}</p></details>"
            if count > 12
            else f"<p>It knows {listed}.</p>"
        )
    classes = f"the model's {count:,} classes"
    answers = (
        f"<b>Each of {classes} gets a chance of its own</b>: a photo may show "
        f"several of them, or none. The network, <code>{escaped(preset)}"
        "</code>, cannot name what it has no class for."
        if model.threshold
        else f"<b>Any photo gets one of {classes}</b>, even a photo of "
        f"something else: the network, <code>{escaped(preset)}</code>, knows "
        "no other answer. The map then shows what misled it."
    )
    maps = (
        "The network keeps a few maps for each class at every layer. What you "
        "see is their mean, or how far it is from that of other classes"
        if model.num_layers
        else "The last layer of the network has a map for each class. What you "
        "see is this map, or how far it is from those of other classes"
    )
    last = " at the last layer" if model.num_layers else ""
    return section(
        "Good to know",
        f"<p>{answers}</p>"
        f"{known}"
        f"<p>{maps}: nothing is fitted afterwards. A class's score is the mean "
        f"of its map{last} times one fixed number, so the map is the whole "
        "reason. It is not proof that the network looks at the right thing; "
        "that is for you to judge.</p>",
    )
