"""The page, and which answer follows which action of a visitor."""

import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from keras_facnn.demo.handlers import Answers
from keras_facnn.demo.layout import TITLE
from keras_facnn.demo.layout import Components
from keras_facnn.demo.layout import lay_out
from keras_facnn.demo.scripts import PRESSED_BAR


def make_page(
    model: Any,
    preset: str,
    samples: Sequence[pathlib.Path] = (),
    is_local: bool = True,
    photos: Mapping[str, bytes] | None = None,
) -> Any:
    """Return the page, a `gradio.Blocks`.

    Args:
        model: A `FACNN` of images of 1 or 3 channels, of one size.
        preset: Name of the model, to show.
        samples: Paths of pictures to pick from; the page opens with the first.
        is_local: Whether the page is served to this computer only.
        photos: The photos that requests bring along, by the key that stands
            for each in its request. `Visits` fills it.

    Raises:
        ImportError: If Gradio is not installed.
    """
    import gradio as gr

    photos = {} if photos is None else photos
    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        components = lay_out(model, preset, samples, is_local)
        answers = Answers(model, components, samples, photos)
        _connect(blocks, components, answers)
    return blocks


def _connect(blocks: Any, on_page: Components, answers: Answers) -> None:
    """Have Gradio call the answers, within the context of the page.

    Gradio's queue is not used: it loses questions as it closes the stream of
    its answers. A single listener draws everything, from the values of all
    components and not from events, so that what is drawn last is what was asked
    for last.
    """
    import gradio as gr

    options = {
        "queue": False,
        "trigger_mode": "always_last",
        "show_progress": "hidden",
        "api_visibility": "private",
    }
    on_page.bars.click(None, None, on_page.class_, js=PRESSED_BAR, queue=False)
    gr.on(
        [
            blocks.load,
            on_page.file.upload,
            on_page.sample.click,
            on_page.class_.change,
            on_page.kind.input,
            on_page.rival.input,
            on_page.layer.input,
            on_page.grad_cam.input,
        ],
        answers.draw,
        [
            on_page.seen,
            on_page.last_sample,
            on_page.file,
            on_page.sample,
            on_page.class_,
            on_page.layer,
            on_page.kind,
            on_page.rival,
        ],
        [
            on_page.seen,
            on_page.last_sample,
            on_page.file,
            on_page.message,
            on_page.photo,
            on_page.class_,
            on_page.bars,
            on_page.rival,
            on_page.view,
            on_page.evidence,
            on_page.results,
        ],
        **options,
    ).then(
        answers.draw_beside,
        [on_page.seen, on_page.class_, on_page.layer, on_page.grad_cam],
        on_page.beside,
        **options,
    )
