"""Write what the page shows as HTML."""

import base64
import html
import io
import pathlib
import typing

import numpy as np

from keras_facnn.demo.analysis import Analysis
from keras_facnn.demo.analysis import brightest
from keras_facnn.demo.analysis import of_kind
from keras_facnn.demo.analysis import see_grad_cam
from keras_facnn.maps import are_constant
from keras_facnn.metrics import pearson
from keras_facnn.model import FACNN
from keras_facnn.pictures.reading import read_picture

KINDS = {
    "raw": "All evidence (raw)",
    "centered": "Beyond the average class (centered)",
    "contrast": "Against another class (contrast)",
}

# How many of the likeliest classes have a bar.
_TOP = 5


def bars_html(seen: Analysis, c: int) -> str:
    """Return buttons with bars for the likeliest classes and for class `c`."""
    shown = seen.ranking[:_TOP]
    shown += [] if c in shown else [c]
    return _section("What it sees", _bar_buttons(seen, shown, c))


def _bar_buttons(seen: Analysis, shown: typing.Sequence[int], c: int) -> str:
    """Return a button per class in `shown`, with that of `c` pressed."""
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
        note = _caption("The network looks at the middle; the rest is pale.")
    alt = "the photo"
    return f'<div class="fa-photo">{_img(pale, alt)}{note}</div>'


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
    pixels = colorize(seen.view, map_, brightest(maps, kind, c, rival))
    name, other = _text(seen.names[c]), _text(seen.names[rival])
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
    if layer == len(seen.maps):
        caption += f" All places together make {sums}: {_number(total, kind)}."
    else:
        caption += _sentence_on_layer(seen, layer)
    alt = f"{KINDS[kind]} for {seen.names[c]} at layer {layer}"
    title = f"Evidence for {name}"
    if kind == "contrast":
        title = f"{name} against {other}"
    return _figure(
        f"{title}, layer {layer}",
        _img(pixels, alt),
        _legend(kind, *ends) + _caption(caption),
    )


def _sentence_on_layer(seen: Analysis, layer: int) -> str:
    """Return what the network would say if it stopped at a layer."""
    p = seen.layer_probabilities[layer - 1]
    would = "find likeliest" if seen.several_labels else "say"
    return (
        f" Stopped at layer {layer} of {len(seen.maps)}, the network would "
        f"{would} {_text(seen.names[int(p.argmax())])} ({_percent(p.max())})."
    )


def input_html(seen: Analysis) -> str:
    """Return the pixels that the model reads."""
    image = seen.image[0]
    height, width = image.shape[:2]
    caption = f"This is all that the network reads: {width} x {height} pixels."
    image = _img(image, "the photo as the network reads it")
    return (
        '<div class="fa-input">'
        + _figure("What it looks at", image, _caption(caption))
        + "</div>"
    )


def grad_cam_html(model: FACNN, seen: Analysis, c: int, layer: int) -> str:
    """Return Grad-CAM of a class and layer, and how well it fits the map."""
    from keras_facnn.plots import colorize

    map_ = see_grad_cam(model, seen, c, layer)
    name = _text(seen.names[c])
    caption = "This runs the network again, backward. "
    pair = [map_[None], seen.maps[layer][None, ..., c]]
    if any(are_constant(m).all() for m in pair):
        caption += "Here it finds nothing." if not map_.any() else ""
    else:
        (r,) = pearson(*pair)
        caption += (
            f"Its agreement with the raw map is r&nbsp;=&nbsp;{r:.2f}"
            + (", that is, it is the same map" if r > 0.9995 else "")
            + " (1 is equal, 0 is unrelated)."
        )
    alt = f"Grad-CAM for {seen.names[c]} at layer {layer}"
    title = f"Grad-CAM for {name}, layer {layer}"
    image = _img(colorize(seen.view, map_, float(np.abs(map_).max())), alt)
    return _figure(
        title, image, _legend("raw", "none", "most") + _caption(caption)
    )


def evidence_html(
    seen: Analysis, c: int, layer: int, kind: str, rival: int
) -> str:
    """Return a bar chart of each layer's share of the score.

    Args:
        seen: What the model sees in the photo.
        c: The class.
        layer: The number of the FA layer whose bar is marked.
        kind: A key of `KINDS`.
        rival: The other class, for `"contrast"`.
    """
    values = of_kind(seen.evidence, kind, c, rival)
    name, other = _text(seen.names[c]), _text(seen.names[rival])
    score = {
        "raw": f"the score of <b>{name}</b>",
        "centered": f"the score of <b>{name}</b> less the average score",
        "contrast": f"the score of <b>{name}</b> less that of <b>{other}</b>",
    }[kind]
    caption = (
        f"Each bar is what one layer adds; 0 is {seen.source}. Together "
        f"they are {_number(float(values.sum()), kind)}, {score}"
    )
    if kind == "raw" and seen.offset:
        caption += f" (and its fixed part, {seen.offset:.2f})"
    return _section(
        "Which layers gave the evidence",
        _bar_chart(values, layer, seen.source) + _caption(f"{caption}."),
    )


# Sizes in the chart, in units of its view box.
_WIDTH, _HEIGHT, _PAD = 600, 150, 24


def _bar_chart(values: np.ndarray, layer: int, source: str) -> str:
    """Return a bar chart of values by layer, in SVG.

    Args:
        values: Array `(L + 1,)`, for the source and for each FA layer.
        layer: The number of the layer whose bar is marked.
        source: Name of what layer 0 is.
    """
    total = float(values.sum())
    count = len(values)
    top, bottom = max(values.max(), 0.0), min(values.min(), 0.0)
    span = max(top - bottom, 1e-30)
    longest = int(np.abs(values).argmax())
    # The numbers of the layers are at the bottom. Above them is room for the
    # label of the longest bar, if that bar points down.
    room = _HEIGHT - 2 * _PAD - (0 if values[longest] >= 0 else 16)
    step = _WIDTH / count
    thickness = min(0.7 * step, 48)
    zero = _PAD + room * top / span
    bars = []
    for i, value in enumerate(values):
        length = room * abs(value) / span
        name = f"layer {i}" if i else source
        x = (i + 0.5) * step - thickness / 2
        y = zero - length if value > 0 else zero
        bars.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{thickness:.1f}" '
            f'height="{max(length, 0.5):.1f}" rx="1.5" '
            f'class="{"fa-for" if value >= 0 else "fa-against"}'
            f'{" fa-here" if i == layer else ""}">'
            f"<title>{name}: {value:.3g}</title></rect>"
        )
    every = max(1, -(-count // 9))
    ticks = "".join(
        f'<text x="{(i + 0.5) * step:.1f}" y="{_HEIGHT - 4}">{i}</text>'
        for i in range(0, count, every)
    )
    end = zero - room * values[longest] / span
    label = _bar_label(values, longest, end)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" class="fa-chart" '
        f'aria-label="Evidence by layer; sum {total:.2f}" '
        f'data-sum="{total:.6g}">'
        f'{"".join(bars)}<line x1="0" x2="{_WIDTH}" y1="{zero:.1f}" '
        f'y2="{zero:.1f}"/>{ticks}{label}</svg>'
    )


def _bar_label(values: np.ndarray, bar: int, end: float) -> str:
    """Return the label of a bar, its value, in SVG.

    Args:
        values: The values of all bars.
        bar: The index of the bar.
        end: The vertical position of the bar's end.
    """
    step = _WIDTH / len(values)
    # Labels are wider than thin bars, so the first and the last bars' labels
    # would stick out of the chart if they were centered.
    anchor, at = "middle", bar + 0.5
    if step < 40 and bar < 2:
        anchor, at = "start", bar
    elif step < 40 and bar > len(values) - 3:
        anchor, at = "end", bar + 1
    y = end - 6 if values[bar] >= 0 else end + 14
    return (
        f'<text x="{at * step:.1f}" y="{y:.1f}" '
        f'style="text-anchor:{anchor}">{values[bar]:.2f}</text>'
    )


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


def about_html(model: FACNN, preset: str) -> str:
    """Return what the model knows, and what its answers don't say."""
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
        "a photo may show several of them, or none. The network, <code>"
        f"{_text(preset)}</code>, cannot name what it has no class for."
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
        "you see is their mean, unchanged: nothing is fitted afterwards. A "
        "class's score is the mean of its map at the last layer times one "
        "fixed number, so the map is the whole reason. It is not proof that "
        "the network looks at the right thing; that is for you to judge.</p>",
    )


def error_html(error: Exception | str) -> str:
    """Return a message about a picture that cannot be used."""
    message = " ".join(str(error).split()).rstrip(".")
    return f'<div class="fa-error" role="alert">{_text(message)}.</div>'


def _section(title: str, body: str) -> str:
    return f'<section class="fa-section"><h3>{title}</h3>{body}</section>'


def _figure(title: str, image: str, caption: str) -> str:
    return (
        f'<figure class="fa-figure"><h3>{title}</h3>{image}'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _caption(text: str) -> str:
    return f'<p class="fa-caption">{text}</p>'


def _legend(kind: str, least: str, most: str) -> str:
    """Return the color scale over middle gray, with names of its two ends."""
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


def _img(pixels: np.ndarray, alt: str) -> str:
    """Return an `img` element that contains its pixels, as JPEG."""
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


def _text(text: typing.Any) -> str:
    """Return text in which HTML has no markup."""
    return html.escape(str(text))


def _percent(p: float) -> str:
    return f"{p:.1%}" if p >= 0.0005 else "< 0.1%"


def _number(value: float, kind: str) -> str:
    return f"{value:.2f}" if kind == "raw" else f"{value:+.2f}"
