"""Write what the page shows of a photo as HTML."""

import typing

import numpy as np

from keras_facnn._checks.text import escaped
from keras_facnn.demo.analysis import Analysis
from keras_facnn.demo.analysis import brightest
from keras_facnn.demo.analysis import of_kind
from keras_facnn.demo.analysis import see_grad_cam
from keras_facnn.demo.markup import as_caption
from keras_facnn.demo.markup import figure
from keras_facnn.demo.markup import img
from keras_facnn.demo.markup import legend
from keras_facnn.demo.markup import number
from keras_facnn.demo.markup import percent
from keras_facnn.demo.markup import section
from keras_facnn.maps import are_constant
from keras_facnn.metrics import pearson
from keras_facnn.model import FACNN

KINDS = {
    "centered": "Beyond the average class (centered)",
    "contrast": "Against another class (contrast)",
    "raw": "All evidence (raw)",
}

# How many of the likeliest classes have a bar.
_TOP = 10


def bars_html(seen: Analysis, c: int) -> str:
    """Return buttons with bars for the likeliest classes and for class `c`."""
    shown = seen.ranking[:_TOP]
    shown += [] if c in shown else [c]
    return section("What it sees", _bar_buttons(seen, shown, c))


def _bar_buttons(seen: Analysis, shown: typing.Sequence[int], c: int) -> str:
    """Return a button per class in `shown`, with that of `c` pressed."""
    rows = []
    for i in shown:
        p = seen.probabilities[i]
        rows.append(
            f'<button type="button" class="fa-bar" data-index="{i}" '
            f'aria-pressed="{"true" if i == c else "false"}">'
            f'<span class="fa-name">{escaped(seen.names[i])}</span>'
            f'<span class="fa-share">{percent(p)}</span>'
            f'<span class="fa-track"><span style="width:{100 * p:.2f}%">'
            "</span></span></button>"
        )
    hint = "Click one to see what speaks for it."
    if seen.several_labels:
        hint += " Each has a chance of its own: several may be there, or none."
    return f'<p class="fa-hint">{hint}</p>' + "".join(rows)


def photo_html(seen: Analysis) -> str:
    """Return the whole photo, pale where the model doesn't look."""
    photo = seen.photo.astype("float32")
    height, width = photo.shape[:2]
    scale = min(height / seen.view.shape[0], width / seen.view.shape[1])
    top = round((height - scale * seen.view.shape[0]) / 2)
    left = round((width - scale * seen.view.shape[1]) / 2)
    pale = 255 - 0.35 * (255 - photo)
    inside = np.s_[top : height - top or None, left : width - left or None]
    pale[inside] = photo[inside]
    note = ""
    if max(top, left) > 1:
        note = as_caption("The network looks at the middle; the rest is pale.")
    alt = "the photo"
    return f'<div class="fa-photo">{img(pale, alt)}{note}</div>'


def view_html(seen: Analysis, c: int, layer: int, kind: str, rival: int) -> str:
    """Return the map of a class over the photo, and a caption.

    Args:
        seen: What the model sees in the photo.
        c: The class.
        layer: The number of an FA layer.
        kind: A key of `KINDS`.
        rival: The other class, for `"contrast"`.
    """
    from keras_facnn.plots import colorize

    maps = seen.maps[layer]
    map_ = of_kind(maps, kind, c, rival)
    pixels = colorize(
        seen.view, map_, brightest(maps, kind, c, rival, seen.ranking[0])
    )
    name, other = escaped(seen.names[c]), escaped(seen.names[rival])
    total = float(of_kind(seen.logits, kind, c, rival))
    if kind == "raw":
        total -= seen.offset
        caption = f"The brighter a place, the more it speaks for <b>{name}</b>."
        sums = "its whole score"
        ends = ("none", "most")
    elif kind == "centered":
        caption = (
            f"Orange places speak for <b>{name}</b> more than for the average "
            "class, blue places less."
        )
        sums = "its score less the average score"
        ends = ("less", "more")
    else:
        caption = (
            f"Orange places speak for <b>{name}</b>, blue places for "
            f"<b>{other}</b>."
        )
        sums = "the difference of their scores"
        ends = (other, name)
    if layer == max(seen.maps):
        caption += f" All places together make {sums}: {number(total, kind)}."
    else:
        caption += _sentence_on_layer(seen, layer)
    alt = f"{KINDS[kind]} for {seen.names[c]}{_at_layer(seen, layer)}"
    title = f"Evidence for {name}"
    if kind == "contrast":
        title = f"{name} against {other}"
    return figure(
        title + _at_layer(seen, layer),
        img(pixels, alt),
        legend(kind, *ends) + as_caption(caption),
    )


def _at_layer(seen: Analysis, layer: int) -> str:
    """Return which layer is shown, if there are several."""
    return f", layer {layer}" if seen.has_layers else ""


def _sentence_on_layer(seen: Analysis, layer: int) -> str:
    """Return what the network would say if it stopped at a layer."""
    p = seen.layer_probabilities[layer - 1]
    would = "find likeliest" if seen.several_labels else "say"
    return (
        f" Stopped at layer {layer} of {len(seen.maps)}, the network would "
        f"{would} {escaped(seen.names[int(p.argmax())])} ({percent(p.max())})."
    )


def input_html(seen: Analysis) -> str:
    """Return the pixels that the model reads."""
    image = seen.image[0]
    height, width = image.shape[:2]
    caption = f"This is all that the network reads: {width} x {height} pixels."
    image = img(image, "the photo as the network reads it")
    return (
        '<div class="fa-input">'
        + figure("What it looks at", image, as_caption(caption))
        + "</div>"
    )


def grad_cam_html(model: FACNN, seen: Analysis, c: int, layer: int) -> str:
    """Return Grad-CAM of a class and layer, and how well it fits the map."""
    from keras_facnn.plots import colorize

    map_ = see_grad_cam(model, seen, c, layer)
    name = escaped(seen.names[c])
    caption = "This runs the network again, backward. "
    pair = [map_[None], seen.maps[layer][None, ..., c]]
    if any(are_constant(m).all() for m in pair):
        caption += "Here it finds nothing." if not map_.any() else ""
    else:
        r = pearson(*pair).mean
        caption += (
            f"Its agreement with the raw map is r&nbsp;=&nbsp;{r:.2f}"
            + (", that is, it is the same map" if r > 0.9995 else "")
            + " (1 is equal, 0 is unrelated)."
        )
    where = _at_layer(seen, layer)
    alt = f"Grad-CAM for {seen.names[c]}{where}"
    title = f"Grad-CAM for {name}{where}"
    image = img(colorize(seen.view, map_, float(np.abs(map_).max())), alt)
    return figure(
        title, image, legend("raw", "none", "most") + as_caption(caption)
    )


def error_html(error: Exception | str) -> str:
    """Return a message about a picture that cannot be used."""
    message = " ".join(str(error).split()).rstrip(".")
    return f'<div class="fa-error" role="alert">{escaped(message)}.</div>'
