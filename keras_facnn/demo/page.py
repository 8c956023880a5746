"""The page: what is where, and what follows what."""

import pathlib
import threading
import typing

from keras_facnn.demo.drawing import KINDS
from keras_facnn.demo.drawing import about_html
from keras_facnn.demo.drawing import bars_html
from keras_facnn.demo.drawing import drop_zone_html
from keras_facnn.demo.drawing import error_html
from keras_facnn.demo.drawing import evidence_html
from keras_facnn.demo.drawing import grad_cam_html
from keras_facnn.demo.drawing import input_html
from keras_facnn.demo.drawing import photo_html
from keras_facnn.demo.drawing import samples_html
from keras_facnn.demo.drawing import view_html
from keras_facnn.demo.looking import MAX_BYTES
from keras_facnn.demo.looking import Seen
from keras_facnn.demo.looking import look
from keras_facnn.demo.looking import names_of

# The photo travels inside the request that asks for its maps, so it never is a
# file of the server. The answer empties the value. A photo that is chosen in
# the meantime waits for that.
_DROP_PHOTO = """
const [input, refusal] = element.querySelectorAll("input, [role=alert]");
const zone = element.querySelector("label");
let next = null;
const send = (url) => {
  if (props.value) next = url;
  else props.value = url;
  trigger("upload");
};
watch("value", () => {
  if (props.value || !next) return;
  const url = next;
  next = null;
  send(url);
});
const take = (file) => {
  refusal.hidden = true;
  const refuse = (text) => {
    refusal.textContent = text;
    refusal.hidden = false;
  };
  if (file.size > Number(zone.dataset.most)) {
    refuse(zone.dataset.refusal);
    return;
  }
  const reader = new FileReader();
  reader.onload = () => send(reader.result);
  reader.onerror = () => refuse("The browser cannot read this file.");
  reader.readAsDataURL(file);
};
input.addEventListener("change", () => {
  if (input.files.length) take(input.files[0]);
  // So that the same file can be chosen again.
  input.value = "";
});
zone.addEventListener("dragover", (event) => {
  event.preventDefault();
  zone.classList.add("fa-over");
});
zone.addEventListener("dragleave", () => zone.classList.remove("fa-over"));
zone.addEventListener("drop", (event) => {
  event.preventDefault();
  zone.classList.remove("fa-over");
  if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
});
"""
# The sample that was clicked, which may be the one of before.
_PICK_SAMPLE = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-index]");
  if (!button) return;
  props.value = button.dataset.index + " " + Date.now();
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

_FORGOTTEN = "The page no longer has this photo. Choose it again"

# Whatever runs the model: a photo may take much memory.
_one_at_a_time = threading.Lock()


def page(
    model: typing.Any,
    preset: str,
    samples: typing.Sequence[pathlib.Path] = (),
    here: bool = True,
    photos: typing.Mapping[str, bytes] | None = None,
) -> typing.Any:
    """The page, as a `gradio.Blocks`.

    Args:
        model: A `FACNN` of images of 1 or 3 channels, of one size.
        preset: Name of the model, to show.
        samples: Paths of pictures to pick from; the page opens with the first.
        here: Whether the page is served to this computer only.
        photos: The files that requests brought along, by what stands in the
            request in their place, as `Visits` fills it.

    Returns:
        A `gradio.Blocks`.

    Raises:
        ImportError: If Gradio is missing.
    """
    import gradio as gr

    layers = model.num_layers
    brought = {} if photos is None else photos
    where = (
        "All of it runs on this computer: no photo leaves it."
        if here
        else "Photos go to the computer that serves this page, nowhere else, "
        "and are not kept."
    )

    def new_photo(
        seen: Seen | None,
        last: str | None,
        file: str | None,
        sample: str,
        c: int | None,
    ) -> bytes | None:
        """The bytes of the photo that was asked for, if it is another one."""
        if file is not None and file in brought:
            return brought[file]
        if sample != last:
            return samples[int(sample.split()[0])].read_bytes()
        # The page has just opened, and no class is chosen yet.
        if seen is None and c is None and samples:
            return samples[0].read_bytes()
        return None

    def draw(
        seen: Seen | None,
        last: str | None,
        file: str | None,
        sample: str,
        c: int | None,
        layer: int,
        kind: str,
        rival: int | None,
    ) -> typing.Any:
        """All but what is beside the map."""
        data = new_photo(seen, last, file, sample, c)
        shown = {}
        if data is not None:
            shown = {last_sample: sample, file_input: None}
            try:
                with _one_at_a_time:
                    seen = look(model, data)
            except ValueError as e:
                return {**shown, message: refusal(e)}
            c, rival = seen.ranking[0], None
            shown |= {
                state: seen,
                photo: gr.update(value=photo_html(seen), visible=True),
                chosen: c,
                message: gr.update(value="", visible=False),
                results: gr.update(visible=True),
            }
        if seen is None and c is not None:
            return {message: refusal(_FORGOTTEN)}
        if seen is None:
            return gr.skip()
        if c is None:
            c = seen.ranking[0]
        against: dict[str, typing.Any] = {"visible": kind == "contrast"}
        if rival is None or rival == c:
            rival = against["value"] = seen.rival_of(c)
        return {
            **shown,
            bars: gr.update(value=bars_html(seen, c), visible=True),
            rival_input: gr.update(**against),
            view: view_html(seen, c, layer, kind, rival),
            evidence: evidence_html(seen, c, layer, kind, rival),
        }

    def refusal(why: Exception | str) -> typing.Any:
        return gr.update(value=error_html(why), visible=True)

    def beside(
        seen: Seen | None, c: int | None, layer: int, asked: bool
    ) -> typing.Any:
        if seen is None or c is None:
            return gr.skip()
        if not asked:
            return input_html(seen)
        with _one_at_a_time:
            return grad_cam_html(model, seen, c, layer)

    choices = [(name, c) for c, name in enumerate(names_of(model))]
    with gr.Blocks(
        title="What does it see, and why?",
        analytics_enabled=False,
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
                file_input = gr.HTML(
                    html_template=drop_zone_html(MAX_BYTES),
                    js_on_load=_DROP_PHOTO,
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
                        value=None,
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
