"""Answer the actions of a visitor of the page."""

import pathlib
import threading
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from keras_facnn.demo.analysis import Analysis
from keras_facnn.demo.analysis import analyze
from keras_facnn.demo.chart import evidence_html
from keras_facnn.demo.drawing import bars_html
from keras_facnn.demo.drawing import error_html
from keras_facnn.demo.drawing import grad_cam_html
from keras_facnn.demo.drawing import input_html
from keras_facnn.demo.drawing import photo_html
from keras_facnn.demo.drawing import view_html
from keras_facnn.demo.layout import Components

_FORGOTTEN = "The page no longer has this photo. Choose it again"

# Held while the model runs, because one photo may take much memory.
_one_at_a_time = threading.Lock()


class Answers:
    """The functions that Gradio calls, each with the values of components.

    Args:
        model: A `FACNN` of images of 1 or 3 channels, of one size.
        components: The components of the page.
        samples: Paths of the pictures to pick from.
        photos: The photos that requests bring along, by the key that stands
            for each in its request.
    """

    def __init__(
        self,
        model: Any,
        components: Components,
        samples: Sequence[pathlib.Path],
        photos: Mapping[str, bytes],
    ):
        self._model = model
        self._components = components
        self._samples = samples
        self._photos = photos

    def draw(
        self,
        seen: Analysis | None,
        last_sample: str | None,
        file: str | None,
        sample: str | None,
        class_: int | None,
        layer: int,
        kind: str,
        rival: int | None,
    ) -> Any:
        """Return new values of all components that changed, by component.

        All but what is beside the map, which `draw_beside` returns.
        """
        import gradio as gr

        on_page = self._components
        data = self._new_photo(seen, last_sample, file, sample, class_)
        shown: dict[Any, Any] = {}
        if data is not None:
            shown = {on_page.last_sample: sample, on_page.file: None}
            try:
                with _one_at_a_time:
                    seen = analyze(self._model, data)
            except ValueError as e:
                return {**shown, on_page.message: _refusal(e)}
            class_, rival = seen.ranking[0], None
            shown |= {
                on_page.seen: seen,
                on_page.photo: gr.update(value=photo_html(seen), visible=True),
                on_page.class_: gr.update(value=class_, visible=True),
                on_page.message: gr.update(value="", visible=False),
                on_page.results: gr.update(visible=True),
            }
        if seen is None and class_ is not None:
            return {on_page.message: _refusal(_FORGOTTEN)}
        if seen is None:
            return gr.skip()
        if class_ is None:
            class_ = seen.ranking[0]
        against: dict[str, Any] = {"visible": kind == "contrast"}
        # Until a rival can be chosen, it is the likeliest other class.
        if rival is None or rival == class_ or kind != "contrast":
            rival = against["value"] = seen.rival_of(class_)
        return {
            **shown,
            on_page.bars: gr.update(
                value=bars_html(seen, class_), visible=True
            ),
            on_page.rival: gr.update(**against),
            on_page.view: view_html(seen, class_, layer, kind, rival),
            on_page.evidence: evidence_html(seen, class_, layer, kind, rival)
            if seen.has_layers
            else "",
        }

    def draw_beside(
        self,
        seen: Analysis | None,
        class_: int | None,
        layer: int,
        with_grad_cam: bool,
    ) -> Any:
        """Return what is beside the map, as HTML."""
        import gradio as gr

        if seen is None or class_ is None:
            return gr.skip()
        if not with_grad_cam:
            return input_html(seen)
        with _one_at_a_time:
            return grad_cam_html(self._model, seen, class_, layer)

    def _new_photo(
        self,
        seen: Analysis | None,
        last_sample: str | None,
        file: str | None,
        sample: str | None,
        class_: int | None,
    ) -> bytes | None:
        """Return the bytes of a photo that has not been looked at, or None."""
        if file is not None and file in self._photos:
            return self._photos[file]
        if sample is not None and sample != last_sample:
            return self._samples[int(sample.split()[0])].read_bytes()
        # The page has just opened, so that no class is chosen.
        if seen is None and class_ is None and self._samples:
            return self._samples[0].read_bytes()
        return None


def _refusal(why: Exception | str) -> Any:
    import gradio as gr

    return gr.update(value=error_html(why), visible=True)
