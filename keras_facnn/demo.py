"""A page to play with: `python -m keras_facnn demo`. Needs Gradio."""

import base64
import dataclasses
import html
import importlib
import io
import os
import pathlib
import socket
import tempfile
import threading
import typing
import warnings

import numpy as np
from keras import ops

from keras_facnn.attribution import grad_cam
from keras_facnn.maps import as_probabilities
from keras_facnn.maps import constant_maps
from keras_facnn.metrics import pearson
from keras_facnn.pictures import read_picture

# What phones write is smaller. Pixels are limited where pictures are read.
MAX_BYTES = 32 * 2**20

# Fewer show nothing that a person could judge.
_LEAST_SIDE = 16
# Pixels of the longer side of pictures on the page.
_SIDE = 480
_TOP = 5
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

_KINDS = {
    "raw": "All evidence (raw)",
    "centered": "Beyond the average class (centered)",
    "contrast": "Against another class (contrast)",
}


# --- What one forward pass tells ---


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """All that the page draws of a photo, from one forward pass.

    Args:
        photo: Array `(H, W, 1 or 3)`, 0..255: the whole picture.
        view: Array `(H, W, 1 or 3)`, 0..255: its centre, at which the model
            looks, in more pixels than the model reads.
        image: Array `(1, H, W, channels)`, 0..255, as the model read it.
        names: C strings.
        probabilities: Array `(C,)`.
        logits: Array `(C,)`.
        offset: Float, the constant of a head with a threshold, which is part of
            every logit and of no map.
        maps: Dict from the numbers 1..L of the FA layers to arrays `(h, w, C)`.
        layer_probabilities: Array `(L, C)`.
        evidence: Array `(L + 1, C)`, each layer's share of the logits.
        source: What layer 0 is, in words.
        grad_cams: Dict from a class and a layer to the map `(h, w)`, of those
            that were asked for.
    """

    photo: np.ndarray
    view: np.ndarray
    image: np.ndarray
    names: typing.Sequence[str]
    probabilities: np.ndarray
    logits: np.ndarray
    offset: float
    maps: dict[int, np.ndarray]
    layer_probabilities: np.ndarray
    evidence: np.ndarray
    source: str
    grad_cams: dict[tuple[int, int], np.ndarray] = dataclasses.field(
        default_factory=dict
    )

    @property
    def ranking(self) -> list[int]:
        """All classes, the likeliest first."""
        return np.argsort(-self.probabilities, kind="stable").tolist()

    def rival_of(self, index: int) -> int:
        """The likeliest other class, or the class itself if it is the only."""
        return next((c for c in self.ranking if c != index), index)


def look(model: typing.Any, data: bytes) -> Seen:
    """Reads a picture, and runs the model on it, once.

    Args:
        model: A `FACNN` of images of 1 or 3 channels, of one size.
        data: The bytes of a picture's file.

    Returns:
        A `Seen`.

    Raises:
        ValueError: If the picture cannot be read, or is too large or too small.

    Example:

    >>> model = keras_facnn.FACNN(3, (16, 16, 3), (2,), (1,))
    >>> data = pathlib.Path("samples/cat.jpg").read_bytes()
    >>> seen = keras_facnn.demo.look(model, data)
    >>> seen.maps[1].shape, seen.evidence.shape
    ((16, 16, 3), (3, 3))
    """
    from PIL import Image
    from PIL import ImageOps

    if len(data) > MAX_BYTES:
        raise ValueError(
            f"The picture has {len(data) / 2**20:.0f} MB. At most "
            f"{MAX_BYTES // 2**20} are read"
        )
    height, width, channels = model.image_shape
    image = read_picture(data, (height, width, channels))[None]
    with Image.open(io.BytesIO(data)) as opened:
        sides = opened.size
    if min(sides) < _LEAST_SIDE:
        raise ValueError(
            f"The picture has {sides[0]} x {sides[1]} pixels, too few to see "
            f"anything in. Each side must have at least {_LEAST_SIDE}"
        )
    photo = read_picture(data, (2 * _SIDE, 2 * _SIDE, channels), "within")
    scale = _SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    view = np.array(
        ImageOps.fit(
            Image.fromarray(photo.squeeze(-1) if channels == 1 else photo),
            size,
            Image.Resampling.LANCZOS,
        )
    ).reshape(size[1], size[0], channels)

    names = [f"fa_{level}" for level in range(1, model.num_layers + 1)]
    sources, evidence_maps = model._evidence()

    def read(outputs):
        head = model.head
        return {
            "maps": [head.class_maps(outputs[name]) for name in names],
            "logits": ops.stack(
                [head.logits(outputs[name]) for name in names], axis=1
            ),
            "evidence": head.scale
            * ops.mean(evidence_maps(outputs), axis=(2, 3)),
        }

    logits, told = model._read(image, "page", [*names, *sources], read, 1)
    class_names = model.class_names
    return Seen(
        photo=photo,
        view=view,
        image=image,
        names=class_names or [f"class {c}" for c in range(model.num_classes)],
        probabilities=as_probabilities(logits)[0],
        logits=logits[0],
        offset=float(ops.convert_to_numpy(model.head.offset)),
        maps={n: maps[0] for n, maps in enumerate(told["maps"], start=1)},
        layer_probabilities=as_probabilities(told["logits"])[0],
        evidence=told["evidence"][0],
        source="the photo itself" if model.backbone is None else "the backbone",
    )


def of_kind(values: np.ndarray, kind: str, c: int, rival: int) -> np.ndarray:
    """What maps, logits or evidence `(..., C)` say of one class.

    Args:
        values: Array `(..., C)`.
        kind: `"raw"`, `"centered"` for what is more than the mean of all
            classes, or `"contrast"` for what is more than the rival's.
        c: The class.
        rival: The other class, for `"contrast"`.

    Returns:
        An array `(...)`. All three are linear, so what they are of the maps
        sums to what they are of the logits.

    Example:

    >>> keras_facnn.demo.of_kind(np.array([3.0, 1.0, 2.0]), "centered", 0, 1)
    np.float64(1.0)
    """
    if kind == "contrast":
        return values[..., c] - values[..., rival]
    if kind == "centered":
        return values[..., c] - values.mean(axis=-1)
    return values[..., c]


def brightest(maps: np.ndarray, kind: str, c: int, rival: int) -> float:
    """The value that gets the brightest colour: alike for all classes.

    Args:
        maps: Array `(h, w, C)` of a layer.
        kind: As in `of_kind`.
        c: The class.
        rival: The other class, for `"contrast"`.

    Example:

    >>> maps = np.array([[[1.0, 4.0]]])
    >>> keras_facnn.demo.brightest(maps, "raw", 0, 1)
    4.0
    """
    if kind == "contrast":
        maps = of_kind(maps, kind, c, rival)
    elif kind == "centered":
        maps = maps - maps.mean(axis=-1, keepdims=True)
    return float(np.abs(maps).max())


def see_grad_cam(
    model: typing.Any, seen: Seen, c: int, layer: int
) -> np.ndarray:
    """Grad-CAM of a class at a layer. Runs the model, the first time."""
    if (c, layer) not in seen.grad_cams:
        (seen.grad_cams[c, layer],) = grad_cam(
            model, seen.image, c, layer=layer
        )
    return seen.grad_cams[c, layer]


# --- What the page shows, as HTML ---


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
    return (
        '<p class="fa-hint">Click one to see what speaks for it.</p>'
        + "".join(rows)
    )


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
    from keras_facnn.plots import painted

    maps = seen.maps[layer]
    map_ = of_kind(maps, kind, c, rival)
    pixels = painted(seen.view, map_, brightest(maps, kind, c, rival))
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
        told += (
            f" Stopped at layer {layer} of {len(seen.maps)}, the network would "
            f"say {_text(seen.names[int(p.argmax())])} "
            f"({_percent(p.max())})."
        )
    alt = f"{_KINDS[kind]} for {seen.names[c]} at layer {layer}"
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
    from keras_facnn.plots import painted

    map_ = see_grad_cam(model, seen, c, layer)
    name = _text(seen.names[c])
    told = "Made by running the network again, backwards. "
    pair = [map_[None], seen.maps[layer][None, ..., c]]
    if any(constant_maps(m).all() for m in pair):
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
    image = _img(painted(seen.view, map_, float(np.abs(map_).max())), alt)
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
    width, height, pad = 600, 150, 24
    step = width / count
    thick = min(0.7 * step, 48)
    zero = pad + (height - 2 * pad) * top / span
    bars = []
    for i, value in enumerate(values):
        length = (height - 2 * pad) * abs(value) / span
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
    most = int(np.abs(values).argmax())
    peak = zero - (height - 2 * pad) * values[most] / span
    above = peak - 6 if values[most] >= 0 else min(peak + 15, height - pad)
    # Where bars are thin, a label at an end would stick out.
    at_start, at_end = most < 2 and step < 40, most > count - 3 and step < 40
    anchor = "start" if at_start else "end" if at_end else "middle"
    x = {"start": most, "end": most + 1, "middle": most + 0.5}[anchor] * step
    label = (
        f'<text x="{x:.1f}" y="{above:.1f}" '
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
    return _section(
        "Good to know",
        f"<p><b>Any photo gets one of the model's {count} classes</b>, even a "
        "photo of something else: the network, <code>"
        f"{_text(preset)}</code>, knows no other answer. The map then shows "
        "what misled it.</p>"
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
    """The colours, from least to most, over middle grey."""
    from keras_facnn.plots import painted

    values = np.linspace(0 if kind == "raw" else -1, 1, 32)[None]
    grey = np.full((1, 32, 3), 160, "uint8")
    colors = ",".join(
        f"rgb({r},{g},{b})" for r, g, b in painted(grey, values, 1)[0]
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


_CSS = """
.gradio-container { max-width: 1180px !important; margin: 0 auto !important; }
.gradio-container .html-container { padding: 0 !important; }
.fa-head h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
.fa-head p { margin: 0; font-size: 1.02rem; max-width: 46rem; }
.fa-section h3, .fa-figure h3 {
  font-size: 1rem; margin: 0 0 .4rem; font-weight: 600;
}
.fa-section p { margin: 0 0 .5rem; line-height: 1.5; }
.fa-section summary { cursor: pointer; margin: 0 0 .5rem; }
.fa-hint, .fa-caption {
  font-size: .875rem; line-height: 1.45; margin: 0 0 .5rem; opacity: .8;
}
.fa-caption { margin: .4rem 0 0; }
.fa-figure { margin: 0; }
.fa-figure img {
  width: 100%; height: auto; border-radius: 8px; display: block;
}
.fa-input img { image-rendering: pixelated; }
.fa-photo img {
  max-width: 100%; max-height: 220px; width: auto; height: auto;
  min-height: 110px; border-radius: 8px; display: block;
}
.fa-samples { display: flex; flex-wrap: wrap; gap: 6px; }
.fa-sample {
  padding: 0; border: 2px solid transparent; border-radius: 8px;
  cursor: pointer; background: none; overflow: hidden;
  width: 60px; height: 60px;
}
.fa-sample img { width: 100%; height: 100%; object-fit: cover; }
.fa-sample:hover, .fa-sample:focus-visible, .fa-bar:focus-visible {
  border-color: var(--color-accent); outline: none;
}
.fa-bar {
  display: grid; grid-template-columns: 1fr auto; gap: 2px 8px; width: 100%;
  padding: 6px 8px; margin: 0 0 4px; cursor: pointer; text-align: left;
  border: 1px solid transparent; border-radius: 8px; background: none;
  color: var(--body-text-color); font: inherit;
}
.fa-bar:hover { background: var(--background-fill-secondary); }
.fa-bar[aria-pressed="true"] {
  background: var(--background-fill-secondary);
  border-color: var(--color-accent); font-weight: 600;
}
.fa-name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.fa-share { font-variant-numeric: tabular-nums; }
.fa-track {
  grid-column: 1 / 3; height: 8px; border-radius: 4px; overflow: hidden;
  background: var(--border-color-primary);
}
.fa-track span {
  display: block; height: 100%; min-width: 2px; border-radius: 4px;
  background: #e8590c;
}
.fa-legend {
  display: flex; align-items: center; gap: 8px; font-size: .8rem;
  margin: .5rem 0 0; opacity: .8;
}
.fa-legend > span {
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
}
.fa-legend > .fa-colors {
  flex: 1 0 90px; height: 10px; border-radius: 5px; max-width: 260px;
}
.fa-chart { width: 100%; height: auto; display: block; }
.fa-chart text {
  fill: var(--body-text-color); font-size: 13px; text-anchor: middle;
}
.fa-chart line { stroke: var(--body-text-color-subdued); stroke-width: 1; }
.fa-for { fill: #f4a261; }
.fa-against { fill: #74a9cf; }
.fa-for.fa-here { fill: #d9480f; }
.fa-against.fa-here { fill: #0b5394; }
.fa-error {
  padding: .7rem .9rem; border-radius: 8px; line-height: 1.4;
  border: 1px solid #e03131; background: #e0313118;
}
@media (max-width: 640px) {
  .gradio-container .html-container { padding: 0 !important; }
.fa-head h1 { font-size: 1.35rem; }
  .fa-chart text { font-size: 20px; }
  .fa-input { display: none; }
}
"""

# The sample that was clicked, which may be the one of before.
_PICK_SAMPLE = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-index]");
  if (!button) return;
  props.value = { index: Number(button.dataset.index), at: Date.now() };
  trigger("click");
});
"""
_PRESS_BAR = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-index]");
  if (!button) return;
  for (const other of element.querySelectorAll("button[data-index]"))
    other.setAttribute("aria-pressed", other === button);
  trigger("click");
});
"""
_PRESSED_BAR = """
() => Number(
  document.querySelector("#fa-bars [aria-pressed=true]").dataset.index
)
"""

# Whatever runs the model: a photo may take much memory.
_one_at_a_time = threading.Lock()


def sample_paths(preset: str) -> list[pathlib.Path]:
    """The pictures that the package has for a bundled preset.

    Example:

    >>> "cat_face" in [p.stem for p in keras_facnn.demo.sample_paths("cifar10")]
    True
    """
    if not preset.isidentifier():
        return []
    folder = pathlib.Path(__file__).parent / "samples" / preset
    return sorted(folder.glob("*.jpg"))


def page(
    model: typing.Any,
    preset: str,
    samples: typing.Sequence[pathlib.Path] = (),
    here: bool = True,
) -> typing.Any:
    """The page, as a `gradio.Blocks`.

    Args:
        model: A `FACNN` of images of 1 or 3 channels, of one size.
        preset: Name of the model, to show.
        samples: Paths of pictures to pick from; the page opens with the first.
        here: Whether the page is served to this computer alone.

    Returns:
        A `gradio.Blocks`.

    Raises:
        ImportError: If Gradio is missing.
    """
    check_installed()
    import gradio as gr

    layers = model.num_layers
    where = (
        "All of it runs on this computer: no photo leaves it."
        if here
        else "Photos go to the computer that serves this page, nowhere else, "
        "and are not kept."
    )

    def new_photo(seen, last, file, sample):
        """The bytes of the photo that was asked for, if it is another one."""
        if file is not None:
            path = pathlib.Path(file)
            data = path.read_bytes()
            # It is not needed again, and is the user's own.
            path.unlink(missing_ok=True)
            return data
        if sample != last:
            return samples[sample["index"]].read_bytes()
        if seen is None and samples:
            return samples[0].read_bytes()
        return None

    def draw(seen, last, file, sample, c, layer, kind, rival):
        """All but what is beside the map."""
        data = new_photo(seen, last, file, sample)
        shown = {}
        if data is not None:
            shown = {last_sample: sample, file_input: None}
            try:
                with _one_at_a_time:
                    seen = look(model, data)
            except ValueError as e:
                told = gr.update(value=error_html(e), visible=True)
                return {**shown, message: told}
            c, rival = seen.ranking[0], None
            shown |= {
                state: seen,
                photo: gr.update(value=photo_html(seen), visible=True),
                chosen: c,
                message: gr.update(value="", visible=False),
                results: gr.update(visible=True),
            }
        if seen is None:
            return gr.skip()
        against = {"visible": kind == "contrast"}
        if rival is None or rival == c:
            rival = against["value"] = seen.rival_of(c)
        return {
            **shown,
            bars: gr.update(value=bars_html(seen, c), visible=True),
            rival_input: gr.update(**against),
            view: view_html(seen, c, layer, kind, rival),
            evidence: evidence_html(seen, c, layer, kind, rival),
        }

    def beside(seen, c, layer, asked):
        if seen is None:
            return gr.skip()
        if not asked:
            return input_html(seen)
        with _one_at_a_time:
            return grad_cam_html(model, seen, c, layer)

    names = model.class_names or [
        f"class {c}" for c in range(model.num_classes)
    ]
    choices = [(name, c) for c, name in enumerate(names)]
    with gr.Blocks(
        title="What does it see, and why?",
        analytics_enabled=False,
        # Uploads that no handler took.
        delete_cache=(600, 600),
    ) as blocks:
        state = gr.State(None)
        last_sample = gr.State(None)
        gr.HTML(
            '<header class="fa-head"><h1>What does it see, and why?</h1><p>'
            "Drop in a photo. The network says what it sees and shows which "
            f"parts of the photo speak for each answer. {where}</p></header>"
        )
        with gr.Row():
            with gr.Column(scale=3, min_width=280):
                file_input = gr.File(
                    label=f"Your photo (at most {MAX_BYTES // 2**20} MB)",
                    file_types=["image"],
                    height=150,
                    elem_id="fa-file",
                )
                message = gr.HTML(visible=False, elem_id="fa-message")
                sample = gr.HTML(
                    html_template=samples_html(samples),
                    js_on_load=_PICK_SAMPLE,
                    visible=bool(samples),
                    elem_id="fa-samples",
                )
                photo = gr.HTML(visible=False, elem_id="fa-photo")
                bars = gr.HTML(
                    js_on_load=_PRESS_BAR, visible=False, elem_id="fa-bars"
                )
            with gr.Column(scale=9, min_width=280, visible=False) as results:
                with gr.Row():
                    with gr.Column(min_width=280):
                        view = gr.HTML(elem_id="fa-view")
                        layer = gr.Slider(
                            1,
                            layers,
                            layers,
                            step=1,
                            label="Layer: slide to watch the evidence form",
                            elem_id="fa-layer",
                            buttons=[],
                        )
                    with gr.Column(min_width=280):
                        second = gr.HTML(elem_id="fa-second")
                        asked = gr.Checkbox(
                            label="Compare with Grad-CAM",
                            info="The usual method; runs the network again.",
                            elem_id="fa-ask",
                        )
                kind = gr.Radio(
                    [(label, value) for value, label in _KINDS.items()],
                    value="raw",
                    label="What to show",
                    elem_id="fa-kind",
                )
                with gr.Row():
                    chosen = gr.Dropdown(
                        choices,
                        label="Evidence for",
                        min_width=140,
                        elem_id="fa-class",
                    )
                    rival_input = gr.Dropdown(
                        choices,
                        label="Against",
                        min_width=140,
                        visible=False,
                        elem_id="fa-rival",
                    )
                evidence = gr.HTML(elem_id="fa-evidence")
        gr.HTML(about_html(model, preset))

        # Not by Gradio's queue: it loses what is asked for as it closes the
        # stream of its answers. And what is drawn of what by one listener
        # alone, from values, not events: the last that was asked for is drawn,
        # and drawn last.
        options = {
            "queue": False,
            "trigger_mode": "always_last",
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        bars.click(None, None, chosen, js=_PRESSED_BAR, queue=False)
        asked_for = [
            blocks.load,
            file_input.upload,
            sample.click,
            chosen.change,
            kind.input,
            rival_input.input,
            layer.input,
            asked.input,
        ]
        inputs = [file_input, sample, chosen, layer, kind, rival_input]
        gr.on(
            asked_for,
            draw,
            [state, last_sample, *inputs],
            [
                state,
                last_sample,
                file_input,
                message,
                photo,
                chosen,
                bars,
                rival_input,
                view,
                evidence,
                results,
            ],
            **options,
        ).then(beside, [state, chosen, layer, asked], second, **options)
    return blocks


def serve(
    model: typing.Any,
    preset: str,
    host: str = "127.0.0.1",
    port: int = 7860,
) -> None:
    """Serves the page until Ctrl-C.

    Args:
        model: A `FACNN` of images of 1 or 3 channels, of one size.
        preset: Name of the model, to show.
        host: Address to listen at.
        port: Port to listen at; 0 is any free one.

    Raises:
        ImportError: If Gradio is missing.
        OSError: If the port cannot be had.
    """
    check_installed()
    import fastapi
    import gradio as gr
    import uvicorn

    here = host in _LOOPBACK
    # Pillow's, of what the reader refuses.
    warnings.filterwarnings("ignore", "Image size .* exceeds limit")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as e:
        raise OSError(
            f"The page cannot be served at {host}, port {port} "
            f"({e.strerror or e}). Name another by --host or --port"
        ) from e
    with listener, tempfile.TemporaryDirectory() as folder:
        # Where uploads lie until they are read.
        os.environ["GRADIO_TEMP_DIR"] = folder
        app = gr.mount_gradio_app(
            fastapi.FastAPI(openapi_url=None),
            page(model, preset, sample_paths(preset), here),
            path="/",
            server_name=host,
            server_port=listener.getsockname()[1],
            footer_links=[],
            run_history=False,
            max_file_size=MAX_BYTES,
            ssr_mode=False,
            enable_monitoring=False,
            pwa=False,
            mcp_server=False,
            # Fonts of the system: the default theme's would come from afar.
            theme=gr.themes.Base(
                primary_hue="orange",
                font=("system-ui", "sans-serif"),
                font_mono=("ui-monospace", "monospace"),
            ),
            css=_CSS,
        )
        name = f"[{host}]" if ":" in host else host
        url = f"http://{name}:{listener.getsockname()[1]}"
        print(f"The page is at {url} (Ctrl-C ends it)", flush=True)
        if not here:
            print("Whoever reaches this address can use it", flush=True)
        server = uvicorn.Server(
            uvicorn.Config(
                app, log_level="critical", timeout_graceful_shutdown=1
            )
        )
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            pass
        print("The page is closed", flush=True)


def check_installed() -> None:
    """Raises an ImportError that says what to install, if Gradio is missing."""
    try:
        importlib.import_module("gradio")
    except ImportError as e:
        raise ImportError(
            f"The page needs Gradio ({e}): pip install keras-facnn[demo]"
        ) from e
