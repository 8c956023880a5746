"""Where everything is on the page."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from keras_facnn.demo.analysis import names_of
from keras_facnn.demo.drawing import KINDS
from keras_facnn.demo.scripts import DROP_PHOTO
from keras_facnn.demo.scripts import PICK_SAMPLE
from keras_facnn.demo.scripts import PRESS_BAR
from keras_facnn.demo.surroundings import about_html
from keras_facnn.demo.surroundings import drop_zone_html
from keras_facnn.demo.surroundings import samples_html
from keras_facnn.demo.upload_limits import MAX_BYTES

TITLE = "What does it see, and why?"


@dataclasses.dataclass(frozen=True, eq=False)
class Components:
    """The Gradio components of the page that answers read or change.

    Attributes:
        seen: State: what the model sees in the visitor's photo, a `Analysis`.
        last_sample: State: the sample that was picked last.
        file: Where a photo is dropped.
        message: Why a photo was refused.
        sample: The samples to pick from.
        photo: The whole photo.
        bars: The likeliest classes.
        results: The column of all parts that are listed after it. It is hidden
            before the user chooses a photo.
        view: The map of a class.
        layer: The slider of layers.
        beside: The picture beside the map: the pixels that the model reads, or
            Grad-CAM.
        grad_cam: Whether to compare with Grad-CAM.
        kind: The kind of the map.
        class_: The class whose evidence is shown.
        rival: The class to compare it with.
        evidence: Each layer's share of the score.
    """

    seen: Any
    last_sample: Any
    file: Any
    message: Any
    sample: Any
    photo: Any
    bars: Any
    results: Any
    view: Any
    layer: Any
    beside: Any
    grad_cam: Any
    kind: Any
    class_: Any
    rival: Any
    evidence: Any


def lay_out(
    model: Any, preset: str, samples: Sequence[pathlib.Path], is_local: bool
) -> Components:
    """Create the components, within the context of a `gradio.Blocks`.

    Args:
        model: A `FACNN` of images of 1 or 3 channels, of one size.
        preset: Name of the model, to show.
        samples: Paths of pictures to pick from.
        is_local: Whether the page is served to this computer only.
    """
    import gradio as gr

    states = {"seen": gr.State(None), "last_sample": gr.State(None)}
    gr.HTML(_header(is_local))
    with gr.Row():
        with gr.Column(scale=3, min_width=280):
            choosing = _choosing(model, samples)
        with gr.Column(scale=9, min_width=280, visible=False) as results:
            showing = _showing(model)
    gr.HTML(about_html(model, preset))
    return Components(**states, **choosing, results=results, **showing)


def _header(is_local: bool) -> str:
    where = (
        "All of it runs on this computer: no photo leaves it."
        if is_local
        else "Photos go to the computer that serves this page, nowhere else, "
        "and are not kept."
    )
    return (
        f'<header class="fa-head"><h1>{TITLE}</h1><p>'
        "Drop in a photo. The network says what it sees and shows which "
        f"parts of the photo speak for each answer. {where}</p></header>"
    )


def _choices(model: Any) -> list[tuple[str, int]]:
    return [(name, c) for c, name in enumerate(names_of(model))]


def _choosing(model: Any, samples: Sequence[pathlib.Path]) -> dict[str, Any]:
    """Create the column where a photo and a class are chosen."""
    import gradio as gr

    return {
        "file": gr.HTML(
            html_template=drop_zone_html(MAX_BYTES),
            js_on_load=DROP_PHOTO,
            elem_id="fa-file",
        ),
        "message": gr.HTML(visible=False, elem_id="fa-message"),
        "sample": gr.HTML(
            html_template=samples_html(samples),
            js_on_load=PICK_SAMPLE,
            visible=bool(samples),
            elem_id="fa-samples",
        ),
        "photo": gr.HTML(visible=False, elem_id="fa-photo"),
        "bars": gr.HTML(js_on_load=PRESS_BAR, visible=False, elem_id="fa-bars"),
        "class_": gr.Dropdown(
            _choices(model),
            value=None,
            label=f"Or find one of all {model.num_classes:,} classes",
            info="Type a part of its name.",
            visible=False,
            elem_id="fa-class",
        ),
    }


def _showing(model: Any) -> dict[str, Any]:
    """Create the column of maps and evidence."""
    import gradio as gr

    layers = model.num_layers
    with gr.Row():
        with gr.Column(min_width=280):
            view = gr.HTML(elem_id="fa-view")
            layer = gr.Slider(
                min(1, layers),
                max(1, layers),
                layers,
                step=1,
                visible=layers > 1,
                label="Layer: slide to watch the evidence form",
                elem_id="fa-layer",
                buttons=[],
            )
        with gr.Column(min_width=280):
            beside = gr.HTML(elem_id="fa-second")
            grad_cam = gr.Checkbox(
                label="Compare with Grad-CAM",
                info="The usual method; runs the network again.",
                elem_id="fa-ask",
            )
    kind = gr.Radio(
        [(label, value) for value, label in KINDS.items()],
        value=next(iter(KINDS)),
        label="What to show",
        elem_id="fa-kind",
    )
    rival = gr.Dropdown(
        _choices(model),
        label="Against (type to search)",
        visible=False,
        elem_id="fa-rival",
    )
    return {
        "view": view,
        "layer": layer,
        "beside": beside,
        "grad_cam": grad_cam,
        "kind": kind,
        "rival": rival,
        "evidence": gr.HTML(elem_id="fa-evidence"),
    }
