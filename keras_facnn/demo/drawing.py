"""What the page shows, as HTML."""

import base64
import html
import io
import pathlib
import typing

import numpy as np

from keras_facnn.demo.looking import Seen
from keras_facnn.demo.looking import brightest
from keras_facnn.demo.looking import of_kind
from keras_facnn.demo.looking import see_grad_cam
from keras_facnn.maps import are_constant
from keras_facnn.metrics import pearson
from keras_facnn.pictures.reading import read_picture

KINDS = {
    "raw": "All evidence (raw)",
    "centered": "Beyond the average class (centered)",
    "contrast": "Against another class (contrast)",
}

_TOP = 5


def bars_html(seen: Seen, c: int) -> str:
    """The likeliest classes, and class `c`, as buttons with bars."""
    shown = seen.ranking[:_TOP]
    shown += [] if c in shown else [c]
    return _section("What it sees", _bar_buttons(seen, shown, c))


def _bar_buttons(seen, shown, c):
    rows = []
    for i in shown:
        p = seen.probabilities[i]
        rows.append(
            f'<button type="button" class="fa-bar" data-index="{i}" '
            f'aria-pressed="{"true" if i == c else "false"}">'
            f'<span class="fa-name">{_text(seen.names[i])}</span>'
            f'<span class="fa-share">{_percent(p)}</span>'
            f'<span class="fa-track"><span style="width:{100 * p:.2f}%">'
            "</span></span></button>"
        )
    hint = "Click one to see what speaks for it."
    if seen.several_labels:
        hint += " Each has a chance of its own: several may be there, or none."
    return f'<p class="fa-hint">{hint}</p>' + "".join(rows)


def photo_html(seen: Seen) -> str:
    """The whole photo, pale where the model doesn't look."""
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
        note = _caption("The network looks at the middle; the rest is pale.")
    alt = "the photo"
    return f'<div class="fa-photo">{_img(pale, alt)}{note}</div>'


def view_html(seen: Seen, c: int, layer: int, kind: str, rival: int) -> str:
    """The map of a class over the photo, and what it says."""
    from keras_facnn.plots import colorize

    maps = seen.maps[layer]
    map_ = of_kind(maps, kind, c, rival)
    pixels = colorize(seen.view, map_, brightest(maps, kind, c, rival))
    name, other = _text(seen.names[c]), _text(seen.names[rival])
    last = layer == len(seen.maps)
    total = of_kind(seen.logits, kind, c, rival)
    if kind == "raw":
        total = total - seen.offset
        told = f"The brighter a place, the more it speaks for <b>{name}</b>."
        sums = "its whole score"
        ends = ("none", "most")
    elif kind == "centered":
        told = (
            f"Orange places speak for <b>{name}</b> more than for the average "
            "class, blue places less."
        )
        sums = "its score less the average score"
        ends = ("less", "more")
    else:
        told = (
            f"Orange places speak for <b>{name}</b>, blue places for "
            f"<b>{other}</b>."
        )
        sums = "the difference of their scores"
        ends = (other, name)
    if last:
        told += f" All places together make {sums}: {_number(total, kind)}."
    else:
        p = seen.layer_probabilities[layer - 1]
        would = "find likeliest" if seen.several_labels else "say"
        told += (
            f" Stopped at layer {layer} of {len(seen.maps)}, the network would "
            f"{would} {_text(seen.names[int(p.argmax())])} "
            f"({_percent(p.max())})."
        )
    alt = f"{KINDS[kind]} for {seen.names[c]} at layer {layer}"
    title = f"Evidence for {name}"
    if kind == "contrast":
        title = f"{name} against {other}"
    return _figure(
        f"{title}, layer {layer}",
        _img(pixels, alt),
        _legend(kind, *ends) + _caption(told),
    )


def input_html(seen: Seen) -> str:
    """The pixels that the model reads, and no more."""
    image = seen.image[0]
    height, width = image.shape[:2]
    told = f"All that the network gets of it: {width} x {height} pixels."
    image = _img(image, "the photo as the network reads it")
    return (
        '<div class="fa-input">'
        + _figure("What it looks at", image, _caption(told))
        + "</div>"
    )


def grad_cam_html(model: typing.Any, seen: Seen, c: int, layer: int) -> str:
    """Grad-CAM of the same class and layer, and how far it agrees."""
    from keras_facnn.plots import colorize

    map_ = see_grad_cam(model, seen, c, layer)
    name = _text(seen.names[c])
    told = "Made by running the network again, backwards. "
    pair = [map_[None], seen.maps[layer][None, ..., c]]
    if any(are_constant(m).all() for m in pair):
        told += "Here it finds nothing." if not map_.any() else ""
    else:
        (r,) = pearson(*pair)
        told += (
            f"Its agreement with the raw map is r&nbsp;=&nbsp;{r:.2f}"
            + (", that is, it is the same map" if r > 0.9995 else "")
            + " (1 is equal, 0 is unrelated)."
        )
    alt = f"Grad-CAM for {seen.names[c]} at layer {layer}"
    title = f"Grad-CAM for {name}, layer {layer}"
    image = _img(colorize(seen.view, map_, float(np.abs(map_).max())), alt)
    return _figure(
        title, image, _legend("raw", "none", "most") + _caption(told)
    )


def evidence_html(seen: Seen, c: int, layer: int, kind: str, rival: int) -> str:
    """Each layer's share of the score as a bar chart, in SVG."""
    values = of_kind(seen.evidence, kind, c, rival)
    total = float(values.sum())
    name, other = _text(seen.names[c]), _text(seen.names[rival])
    what = {
        "raw": f"the score of <b>{name}</b>",
        "centered": f"the score of <b>{name}</b> less the average score",
        "contrast": f"the score of <b>{name}</b> less that of <b>{other}</b>",
    }[kind]
    count = len(values)
    top, bottom = max(values.max(), 0.0), min(values.min(), 0.0)
    span = max(top - bottom, 1e-30)
    most = int(np.abs(values).argmax())
    width, height, pad = 600, 150, 24
    # Below a bar that points down, its label; below that, the layers' numbers.
    room = height - 2 * pad - (0 if values[most] >= 0 else 16)
    step = width / count
    thick = min(0.7 * step, 48)
    zero = pad + room * top / span
    bars = []
    for i, value in enumerate(values):
        length = room * abs(value) / span
        source = f"layer {i}" if i else seen.source
        x = (i + 0.5) * step - thick / 2
        y = zero - length if value > 0 else zero
        bars.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{thick:.1f}" '
            f'height="{max(length, 0.5):.1f}" rx="1.5" '
            f'class="{"fa-for" if value >= 0 else "fa-against"}'
            f'{" fa-here" if i == layer else ""}">'
            f"<title>{source}: {value:.3g}</title></rect>"
        )
    every = max(1, -(-count // 9))
    ticks = "".join(
        f'<text x="{(i + 0.5) * step:.1f}" y="{height - 4}">{i}</text>'
        for i in range(0, count, every)
    )
    peak = zero - room * values[most] / span
    beyond = peak - 6 if values[most] >= 0 else peak + 14
    # Where bars are thin, a label at an end would stick out.
    at_start, at_end = most < 2 and step < 40, most > count - 3 and step < 40
    anchor = "start" if at_start else "end" if at_end else "middle"
    x = {"start": most, "end": most + 1, "middle": most + 0.5}[anchor] * step
    label = (
        f'<text x="{x:.1f}" y="{beyond:.1f}" '
        f'style="text-anchor:{anchor}">{values[most]:.2f}</text>'
    )
    sentence = (
        f"Each bar is what one layer adds; 0 is {seen.source}. Together "
        f"they are {_number(total, kind)}, {what}"
    )
    if kind == "raw" and seen.offset:
        sentence += f" (and its fixed part, {seen.offset:.2f})"
    chart = (
        f'<svg viewBox="0 0 {width} {height}" role="img" class="fa-chart" '
        f'aria-label="Evidence by layer; sum {total:.2f}" '
        f'data-sum="{total:.6g}">'
        f'{"".join(bars)}<line x1="0" x2="{width}" y1="{zero:.1f}" '
        f'y2="{zero:.1f}"/>{ticks}{label}</svg>'
    )
    return _section(
        "Which layers gave the evidence", chart + _caption(sentence + ".")
    )


def drop_zone_html(most: int) -> str:
    """Where a photo of at most so many bytes is dropped or chosen."""
    limit = f"{most // 2**20} MB"
    return (
        f'<label class="fa-drop" data-most="{most}" data-refusal="The file has '
        f'more than {limit}. At most {limit} are read.">'
        '<input type="file" accept="image/*"><b>Drop a photo here</b>'
        f"<span>or click to choose one (at most {limit})</span></label>"
        '<div class="fa-error" role="alert" hidden></div>'
    )


def samples_html(paths: typing.Sequence[pathlib.Path]) -> str:
    """Pictures to pick from, as buttons."""
    buttons = []
    for i, path in enumerate(paths):
        name = _text(path.stem.replace("_", " "))
        pixels = read_picture(path, (96, 96, 3))
        buttons.append(
            f'<button type="button" class="fa-sample" data-index="{i}" '
            f'title="{name}">{_img(pixels, path.stem.replace("_", " "))}'
            "</button>"
        )
    return (
        '<p class="fa-hint">Or pick one of these:</p>'
        f'<div class="fa-samples">{"".join(buttons)}</div>'
    )


def about_html(model: typing.Any, preset: str) -> str:
    """What the model knows, and what its answers are not."""
    names = model.class_names
    count = model.num_classes
    known = ""
    if names is not None:
        listed = ", ".join(_text(name.split(",")[0]) for name in names)
        known = (
            f"<details><summary>The {count} things it knows</summary>"
            f"<p>{listed}</p></details>"
            if count > 12
            else f"<p>It knows {listed}.</p>"
        )
    answers = (
        f"<b>Each of the model's {count} classes gets a chance of its own</b>: "
        "a photo may show several of them, or none. What the network, <code>"
        f"{_text(preset)}</code>, knows no class for, it cannot name."
        if model.threshold
        else f"<b>Any photo gets one of the model's {count} classes</b>, even "
        f"a photo of something else: the network, <code>{_text(preset)}"
        "</code>, knows no other answer. The map then shows what misled it."
    )
    return _section(
        "Good to know",
        f"<p>{answers}</p>"
        f"{known}"
        "<p>The network keeps a few maps for each class at every layer. What "
        "you see is their mean, as it is: nothing is fitted afterwards. A "
        "class' score is the mean of its map at the last layer times one "
        "fixed number, so the map is the whole reason. It is not proof that "
        "the network looks at the right thing; that is for you to judge.</p>",
    )


def error_html(error: Exception | str) -> str:
    """A message about a picture that was not taken."""
    message = " ".join(str(error).split()).rstrip(".")
    return f'<div class="fa-error" role="alert">{_text(message)}.</div>'


def _section(title, body):
    return f'<section class="fa-section"><h3>{title}</h3>{body}</section>'


def _figure(title, image, caption):
    return (
        f'<figure class="fa-figure"><h3>{title}</h3>{image}'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _caption(text):
    return f'<p class="fa-caption">{text}</p>'


def _legend(kind, least, most):
    """The colors, from least to most, over middle gray."""
    from keras_facnn.plots import colorize

    values = np.linspace(0 if kind == "raw" else -1, 1, 32)[None]
    gray = np.full((1, 32, 3), 160, "uint8")
    colors = ",".join(
        f"rgb({r},{g},{b})" for r, g, b in colorize(gray, values, 1)[0]
    )
    return (
        f'<div class="fa-legend"><span>{least}</span><span class="fa-colors" '
        f'style="background:linear-gradient(90deg,{colors})"></span>'
        f"<span>{most}</span></div>"
    )


def _img(pixels, alt):
    from PIL import Image

    file = io.BytesIO()
    pixels = np.asarray(pixels).round().astype("uint8")
    Image.fromarray(pixels.squeeze()).convert("RGB").save(
        file, "JPEG", quality=90, subsampling=0
    )
    data = base64.b64encode(file.getvalue()).decode()
    height, width = pixels.shape[:2]
    return (
        f'<img alt="{_text(alt)}" width="{width}" height="{height}" '
        f'src="data:image/jpeg;base64,{data}">'
    )


def _text(text):
    return html.escape(str(text))


def _percent(p):
    return f"{p:.1%}" if p >= 0.0005 else "< 0.1%"


def _number(value, kind):
    return f"{value:.2f}" if kind == "raw" else f"{value:+.2f}"
