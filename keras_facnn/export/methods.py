"""Export a model: logits and class maps as one graph that needs no Keras."""

import inspect
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import keras

from keras_facnn._checks.arguments import check_argument_names
from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.arguments import check_verbose
from keras_facnn._graph.nodes import check_graph_model
from keras_facnn.explaining.layer_readers import check_layers
from keras_facnn.export.comparison import check_file
from keras_facnn.export.facts import collect_facts
from keras_facnn.export.facts import write_facts_of
from keras_facnn.export.files import check_destination
from keras_facnn.export.files import facts_path
from keras_facnn.export.files import writing_aside
from keras_facnn.export.formats import FORMATS
from keras_facnn.export.formats import FormatName
from keras_facnn.export.formats import check_can_write
from keras_facnn.export.formats import find_format
from keras_facnn.export.graph import make_graph
from keras_facnn.export.graph import write_graph
from keras_facnn.types import LayerName


class Exporting:
    """The method of a `FACNN` that writes it as a file."""

    image_shape: Any
    size_rules: tuple[int, int]

    def export(
        self,
        filepath: str | os.PathLike,
        format: FormatName | None = None,
        verbose: bool | None = None,
        *,
        layers: LayerName | Sequence[LayerName] | None = None,
        centered: bool = False,
        fuse: bool = True,
        **kwargs: Any,
    ) -> None:
        """Write logits and class maps as one graph that needs no Keras.

        Input `images` is `(B, H, W, channels)`, float32, 0..255; the model's
        own preprocessing is part of the graph. Outputs are `logits` `(B, C)`
        and `class_maps` `(B, h, w, C)`, as `predict_with_maps` returns them.
        So the file explains every class wherever it runs, without a gradient.

        | `format` | ending | written on | runs in |
        |---|---|---|---|
        | `"onnx"` | `.onnx` | PyTorch | ONNX Runtime, also in browsers |
        | `"openvino"` | `.xml` | PyTorch | OpenVINO |
        | `"litert"` | `.tflite` | TensorFlow | LiteRT, also on phones |
        | `"tf_saved_model"` | none, a folder | TensorFlow, JAX | TensorFlow |

        The names of the classes and facts about the model are written to a
        JSON file beside it, such as `model.onnx.json`; a SavedModel has
        `assets.extra/keras_facnn.json`. The file itself holds them too: as
        properties of an ONNX model, as `rt_info` of an OpenVINO model, and at
        the end of a `.tflite` file, which `zipfile` opens. The written file is
        run on random images. If it answers differently from the model, it is
        not kept.

        On CPUs that support bfloat16, OpenVINO computes in it by default. For
        the model's own numbers, compile with
        `{"INFERENCE_PRECISION_HINT": "f32"}`.

        Args:
            filepath: Where to write. OpenVINO's `.xml` file gets a `.bin` file
                beside it, which holds the weights.
            format: A name from the table. None chooses by the ending of
                `filepath`.
            verbose: Whether to print where the file is. None means True.
            layers: Numbers or names of further FA layers whose maps are
                outputs, named `class_maps_l`.
            centered: Whether all maps are centered, as in `class_maps`.
            fuse: Whether norm and branch weights are folded into the
                convolutions first, as `fuse` does. The numbers are the same,
                and the file is faster.
            **kwargs: Further arguments of `keras.Model.export` for the format.

        Raises:
            ImportError: If a package that the format needs is not installed.
            RuntimeError: If the backend can't write the format, or if the
                written file answers differently.
            ValueError: If `filepath` does not have the ending of the format,
                if a file is there that is no export of this package, or if the
                backend can't write a model of any image size in the format.

        Example:

        >>> import tempfile
        >>> import keras
        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> if keras.backend.backend() == "torch":
        ...     path = f"{tempfile.mkdtemp()}/model.onnx"
        ...     model.export(path, layers=(1,), verbose=False)
        """
        name = find_format(filepath, format)
        form = FORMATS[name]
        # Keras ignores arguments that it does not know.
        if form.options is not None:
            signature = inspect.signature(Exporting.export).parameters
            own = [n for n in signature if n not in ("self", "kwargs")]
            check_argument_names("`export`", kwargs, [*own, *form.options])
        centered = check_bool("centered", centered)
        fuse = check_bool("fuse", fuse)
        prints = check_verbose(True if verbose is None else verbose)
        more_layers = [] if layers is None else check_layers(self, layers)
        check_can_write(name)
        check_graph_model(self)
        _check_image_shape(self.image_shape, name)
        path = pathlib.Path(filepath).expanduser().absolute()
        check_destination(path, form)
        graph = make_graph(self, more_layers, centered, fuse)
        facts = collect_facts(self, more_layers, centered)
        with writing_aside(path, form) as written:
            write_graph(graph, name, written, kwargs)
            form.finish(written, list(graph.output), facts)
            check_file(graph, self.size_rules, form.load(written), name)
            beside = facts_path(written, form)
            if beside is not None:
                write_facts_of(written, beside, facts)
        if prints:
            print(f"Saved {path}, which answers as the model does.")


def _check_image_shape(shape: Sequence[int | None], name: str) -> None:
    """Raise if the file would take one size of images, and not any size.

    On some backends Keras traces a model of any size at one pixel.
    """
    backend = keras.backend.backend()
    if None not in shape or backend in FORMATS[name].any_size:
        return
    raise ValueError(
        "`image_shape` of the model must say the height and width for "
        f"format={name!r} on the backend {backend}: load its preset with "
        "`from_preset(..., image_shape=(224, 224, 3))`, or on the command line "
        "with `--size 224`. The formats 'litert' and 'tf_saved_model', written "
        f"on TensorFlow, take any size. Received: image_shape={tuple(shape)}"
    )
