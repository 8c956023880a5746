"""The page: what is where, and what follows what."""

import pathlib
import threading
import typing

from keras_facnn.demo.drawing import KINDS
from keras_facnn.demo.drawing import about_html
from keras_facnn.demo.drawing import bars_html
from keras_facnn.demo.drawing import error_html
from keras_facnn.demo.drawing import evidence_html
from keras_facnn.demo.drawing import grad_cam_html
from keras_facnn.demo.drawing import input_html
from keras_facnn.demo.drawing import photo_html
from keras_facnn.demo.drawing import samples_html
from keras_facnn.demo.drawing import view_html
from keras_facnn.demo.looking import MAX_BYTES
from keras_facnn.demo.looking import look
from keras_facnn.demo.looking import names_of

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

    choices = [(name, c) for c, name in enumerate(names_of(model))]
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
                    [(label, value) for value, label in KINDS.items()],
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
