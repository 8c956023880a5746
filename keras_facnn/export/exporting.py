"""Takes a model out of Keras: one file that gives logits and class maps."""

import contextlib
import dataclasses
import importlib.util
import inspect
import json
import os
import pathlib
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import keras
import numpy as np
from keras import ops

from keras_facnn._backend.compilation import compiled_function
from keras_facnn._checks.arguments import check_argument_names
from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.arguments import check_option
from keras_facnn._checks.arguments import check_verbose
from keras_facnn._checks.packages import how_to_install
from keras_facnn._checks.text import printable
from keras_facnn._graph.nodes import check_graph_model
from keras_facnn.layers import ClassMean
from keras_facnn.presets import folders
from keras_facnn.types import LayerName
from keras_facnn.version import __version__


class Exporting:
    """The method that takes a graph of FA layers out of Keras.

    For a `FACNN`.
    """

    def export(
        self,
        filepath: str | os.PathLike,
        format: str | None = None,
        verbose: bool | None = None,
        *,
        layers: LayerName | Sequence[LayerName] | None = None,
        centered: bool = False,
        fuse: bool = True,
        **kwargs: Any,
    ) -> None:
        """Writes logits and class maps as one graph that needs no Keras.

        Input `images` is `(B, H, W, channels)`, float32, 0..255; the model's
        own preprocessing is in the graph. Outputs are `logits` `(B, C)` and
        `class_maps` `(B, h, w, C)`, as `predict_with_maps` gives them: every
        class explains itself wherever the file runs, without a gradient.

        | `format` | ending | written on | runs in |
        |---|---|---|---|
        | `"onnx"` | `.onnx` | PyTorch | ONNX Runtime, also in browsers |
        | `"openvino"` | `.xml` | PyTorch | OpenVINO |
        | `"litert"` | `.tflite` | TensorFlow | LiteRT, also on phones |
        | `"tf_saved_model"` | none, a folder | TensorFlow, JAX | TensorFlow |

        Names of the classes and facts of the preset go along: as properties
        of an ONNX model, as `rt_info` of OpenVINO's, as `keras_facnn.json`
        in `assets.extra` of a SavedModel and at the end of a `.tflite` file,
        which `zipfile` opens. The written file is run twice, on random images,
        and is not kept if it answers otherwise than the model.

        OpenVINO computes in bfloat16 by itself on CPUs that can; to have the
        model's own numbers, compile with `{"INFERENCE_PRECISION_HINT": "f32"}`.

        Args:
            filepath: Where to write. Next to OpenVINO's `.xml` file there is a
                `.bin` file with the weights.
            format: As in the table. None goes by the ending of `filepath`.
            verbose: Whether to print where the file is.
            layers: Further FA layers to put out the maps of, numbers or names,
                as outputs `class_maps_l`.
            centered: Whether all maps are centered, as in `class_maps`.
            fuse: Whether norm and branch weights are folded into the
                convolutions first, as by `fuse`: the same numbers, faster.
            **kwargs: What else `keras.Model.export` takes for the format.

        Raises:
            ImportError: A package that the format needs is not installed.
            RuntimeError: The backend can't write the format, or what was
                written answers otherwise.
            ValueError: `filepath` has another ending than the format, or a
                file stands there that is no export of this package; or the
                backend can't write a model of any size in the format.

        Example:

        >>> import tempfile
        >>> import keras
        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> if keras.backend.backend() == "torch":
        ...     path = f"{tempfile.mkdtemp()}/model.onnx"
        ...     model.export(path, layers=(1,), verbose=False)
        """
        write(
            self,
            filepath,
            format,
            verbose,
            layers=layers,
            centered=centered,
            fuse=fuse,
            **kwargs,
        )


@dataclasses.dataclass(frozen=True)
class Format:
    """What Keras and this module need for a format.

    Attributes:
        ending: Of the file's name; empty for a folder.
        backends: Those that Keras writes it on, the first one best.
        any_size: Those on which the file takes images of any size.
        options: What else `keras.Model.export` takes; None is what a package
            takes, which Keras hands over.
        packages: Those to import, and what to `pip install` for them.
        finish: Names inputs and outputs, and adds the facts.
        load: Makes a function of a float32 array to a dict of outputs.
        facts: Reads the facts that `finish` has added, a dict. It may raise
            anything at another file.
    """

    ending: str
    backends: tuple[str, ...]
    any_size: tuple[str, ...]
    options: tuple[str, ...] | None
    packages: dict[str, str]
    finish: Callable
    load: Callable
    facts: Callable


def format_of(filepath: str | os.PathLike, format: str | None = None) -> str:
    """The name of the format to write, or raises."""
    path = pathlib.Path(filepath)
    if path.name.lower() in {form.ending for form in FORMATS.values()}:
        raise ValueError(
            "`filepath` must name a file, such as 'model.onnx', or a folder. "
            f"Received: filepath={str(filepath)!r}"
        )
    ending = path.suffix.lower()
    if format is None:
        for name, known in FORMATS.items():
            if ending == known.ending:
                return name
        endings = ", ".join(f.ending for f in FORMATS.values() if f.ending)
        raise ValueError(
            f"`filepath` must end in one of {endings}, or in nothing, for a "
            f"SavedModel; or name the `format`. Received: {filepath}"
        )
    expected = FORMATS[check_option("format", format, tuple(FORMATS))].ending
    if expected and ending != expected:
        raise ValueError(
            f"`filepath` must end in {expected} for format={format!r}. "
            f"Received: {filepath}"
        )
    return format


def check_can_write(name: str) -> None:
    """Raises where the backend or a missing package can't write a format."""
    form = FORMATS[name]
    backend = keras.backend.backend()
    if backend not in form.backends:
        raise RuntimeError(
            f"format={name!r} cannot be written on the backend {backend}. "
            f"It can on {' and '.join(form.backends)}: save the model by "
            "`save_to_preset`, and run `KERAS_BACKEND="
            f"{form.backends[0]} python -m keras_facnn export FOLDER OUT`."
        )
    missing = [
        package
        for module, package in form.packages.items()
        if not _is_installed(module)
    ]
    if missing:
        raise ImportError(
            f"format={name!r} needs {' and '.join(missing)}: "
            + how_to_install(form.backends[0], "export")
        )


def write(
    model: Any,
    filepath: str | os.PathLike,
    format: str | None = None,
    verbose: bool | None = None,
    *,
    layers: LayerName | Sequence[LayerName] | None = None,
    centered: bool = False,
    fuse: bool = True,
    **kwargs: Any,
) -> None:
    """Writes a model as `Exporting.export` says."""
    name = format_of(filepath, format)
    form = FORMATS[name]
    # Keras passes over what it doesn't know.
    if form.options is not None:
        signature = inspect.signature(write).parameters
        own = [n for n in signature if n not in ("model", "kwargs")]
        check_argument_names("`export`", kwargs, [*own, *form.options])
    centered = check_bool("centered", centered)
    fuse = check_bool("fuse", fuse)
    verbose = bool(check_verbose(True if verbose is None else verbose))
    levels = [] if layers is None else model.fa_levels(layers)
    check_can_write(name)
    check_graph_model(model)
    _check_size(model, name)
    path = pathlib.Path(filepath).expanduser().absolute()
    _check_place(path, form)
    source = _in_float32(model.fuse() if fuse else model)
    outputs = {"logits": source.output}
    for level in dict.fromkeys([model.num_layers, *levels]):
        key = (
            "class_maps" if level == model.num_layers else f"class_maps_{level}"
        )
        maps = ClassMean(model.num_classes, name=key)(
            source.get_layer(f"fa_{level}").output
        )
        if centered:
            maps = maps - ops.mean(maps, axis=-1, keepdims=True)
        outputs[key] = maps
    facts = _facts(model, centered)
    with _aside(path, form) as written:
        _write_by_keras(source, outputs, name, written, kwargs)
        form.finish(written, list(outputs), facts)
        _compare(source, outputs, form.load(written), name)
    if verbose:
        print(f"Saved {path}, which answers as the model does.")


def _check_size(model, name):
    """Raises where Keras would trace a model of any size at one pixel."""
    backend = keras.backend.backend()
    if None not in model.image_shape or backend in FORMATS[name].any_size:
        return
    raise ValueError(
        "`image_shape` of the model must say the height and width for "
        f"format={name!r} on the backend {backend}: load its preset by "
        "`from_preset(..., image_shape=(224, 224, 3))`, or on the command line "
        "with `--size 224`. Files that take any size are format='litert' and "
        "'tf_saved_model', written on TensorFlow. "
        f"Received: image_shape={tuple(model.image_shape)}"
    )


def _write_by_keras(source, outputs, name, path, kwargs):
    # Formats that know no names of their own keep the order.
    named = name in ("litert", "tf_saved_model")
    graph = keras.Model(
        source.input, outputs if named else list(outputs.values())
    )
    # Keras traces some formats without `training=False`.
    images = keras.Input(source.image_shape, name="images")
    graph = keras.Model(images, graph(images, training=False))
    signature = [
        keras.InputSpec(
            shape=(None, *source.image_shape), dtype="float32", name="images"
        )
    ]
    with warnings.catch_warnings(), _quiet(), _sizes_of_norms():
        # What the exporters say of their own insides.
        warnings.simplefilter("ignore")
        graph.export(
            str(path),
            format=name,
            verbose=False,
            input_signature=signature,
            **kwargs,
        )


@contextlib.contextmanager
def _sizes_of_norms():
    """Makes numbers of the sizes that PyTorch's `layer_norm` gets.

    Where PyTorch traces, Keras' LayerNormalization hands it tensors, which
    ONNX has no place for.
    """
    if keras.backend.backend() != "torch":
        yield
        return
    from torch.nn import functional

    layer_norm = functional.layer_norm

    def of_numbers(x, normalized_shape, *args, **kwargs):
        return layer_norm(
            x, [int(n) for n in normalized_shape], *args, **kwargs
        )

    functional.layer_norm = of_numbers
    try:
        yield
    finally:
        functional.layer_norm = layer_norm


def _in_float32(model):
    """The model, or a float32 one of its weights: exporters want that."""
    config = model.get_config()
    if config["dtype"] == "float32":
        return model
    copied = type(model).from_config({**config, "dtype": "float32"})
    copied.set_weights(model.get_weights())
    return copied


def _facts(model, centered):
    """What a reader of the file should know, a dict of strings."""
    preset = model.provenance.valid_metadata(model)
    scale = ops.convert_to_numpy(model.head.scale)
    facts = {
        "class_names": model.class_names,
        "image_shape": list(model.image_shape),
        "image_range": [0, 255],
        "maps": "centered" if centered else "raw",
        # What makes probabilities of the logits.
        "probabilities": "sigmoid" if model.threshold else "softmax",
        # A raw map's mean, times this, is the logit.
        "scale": float(scale),
        "keras_facnn": __version__,
        **{
            key: preset[key]
            for key in ("description", "license", "dataset")
            if key in preset
        },
    }
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in facts.items()
    }


# --- What was written ---

# How many images a written file and the model must answer alike.
_COMPARED = 8


def _compare(source, outputs, function, name):
    """Raises where the written file answers otherwise than the model."""
    multiple, least = source.size_rules
    side = -(-max(least, 4 * multiple) // multiple) * multiple
    graph = keras.Model(source.input, outputs)
    answers = compiled_function(
        lambda x: graph(x, training=False), graph.variables
    )
    rng = np.random.default_rng(0)
    # Twice, since a file that answers at random may be right by chance; and at
    # two sizes, where the model takes any.
    for i in range(2):
        height, width, channels = (
            n or side + i * multiple for n in source.image_shape
        )
        images = rng.uniform(0, 255, (_COMPARED, height, width, channels))
        images = images.astype("float32")
        expected = {
            k: ops.convert_to_numpy(v) for k, v in answers(images).items()
        }
        for _ in range(2):
            _check_answers(function(images), expected, name)


def _check_answers(found, expected, name):
    """Raises where the answers of a written file are not those expected."""
    for key, tensor in expected.items():
        if key not in found or found[key].shape != tensor.shape:
            raise RuntimeError(
                f"format={name!r}: the written file has no output {key!r} of "
                f"shape {tensor.shape}, and was not kept. It has "
                f"{ {k: v.shape for k, v in found.items()} }"
            )
        error = float(np.abs(found[key] - tensor).max())
        largest = float(np.abs(tensor).max())
        # Written so that NaN fails it.
        if not error <= 1e-3 * max(largest, 1.0):
            raise RuntimeError(
                f"format={name!r}: the output {key!r} of the written file is "
                f"{error:.3g} off, of values up to {largest:.3g}, and the file "
                "was not kept."
            )


def _check_place(path, form):
    folders.check_place("filepath", path)
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(
            "`filepath` must be text in UTF-8, as those who write files of "
            f"this kind take it. Received: filepath={str(path)!r}"
        ) from None
    if not path.parent.is_dir():
        raise ValueError(f"`filepath`: there is no folder {path.parent}.")
    if form.ending and path.is_dir():
        raise ValueError(f"`filepath`: {path} is a folder.")
    if not form.ending and path.is_dir() and not any(path.iterdir()):
        return
    beside = [path]
    if form.ending == ".xml":
        beside.append(path.with_suffix(".bin"))
    taken = [p for p in beside if os.path.lexists(p)]
    if taken and not _is_ours(path, form):
        raise ValueError(
            f"`filepath`: {taken[0]} exists, and was not written by `export`. "
            "It would be replaced. Name another place, or move it away."
        )


def _is_ours(path, form):
    try:
        return "keras_facnn" in form.facts(path)
    # What is there may be anything, and readers raise what they like.
    except Exception:
        return False


@contextlib.contextmanager
def _aside(path, form):
    """Gives a path at the side, whose files take their place at the end."""
    if not form.ending:
        with folders.replacing(path) as folder:
            yield folder
        return
    with tempfile.TemporaryDirectory(
        prefix=f".{path.name}-", dir=path.parent
    ) as folder:
        # Keras knows endings in small letters only.
        written = pathlib.Path(folder, path.stem + form.ending)
        yield written
        # It may have come while this was written.
        _check_place(path, form)
        for file in pathlib.Path(folder).iterdir():
            name = path.name if file == written else file.name
            os.replace(file, path.parent / name)


@contextlib.contextmanager
def _quiet():
    """Keeps from the terminal what exporters print there."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _is_installed(module):
    return importlib.util.find_spec(module) is not None


# --- Formats ---


def _finish_onnx(path, names, facts):
    import onnx

    graph = onnx.load(path)
    renamed = dict(
        zip((o.name for o in graph.graph.output), names, strict=True)
    )
    for node in graph.graph.node:
        for side in (node.input, node.output):
            for i, name in enumerate(side):
                side[i] = renamed.get(name, name)
    for output, name in zip(graph.graph.output, names, strict=True):
        output.name = name
    onnx.helper.set_model_props(graph, facts)
    onnx.checker.check_model(graph)
    onnx.save(graph, path)


def _facts_of_onnx(path):
    import onnx

    graph = onnx.load(path, load_external_data=False)
    return {p.key: p.value for p in graph.metadata_props}


def _load_onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(
        path, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]

    def function(images):
        values = session.run(names, {"images": images})
        return dict(zip(names, values, strict=True))

    return function


def _finish_openvino(path, names, facts):
    import openvino

    graph = openvino.Core().read_model(path)
    (images,) = graph.inputs
    images.get_tensor().set_names({"images"})
    for output, name in zip(graph.outputs, names, strict=True):
        output.get_tensor().set_names({name})
    for key, value in facts.items():
        # XML has no place for control characters.
        graph.set_rt_info(printable(value), ["keras_facnn", key])
    named = path.with_name("named-" + path.name)
    openvino.save_model(graph, named, compress_to_fp16=False)
    # The weights' file is mapped as long as the graph lives.
    del graph
    for ending in (".xml", ".bin"):
        os.replace(named.with_suffix(ending), path.with_suffix(ending))


def _facts_of_openvino(path):
    # Not by OpenVINO, which would read the weights too.
    info = ElementTree.parse(path).find("rt_info/keras_facnn")
    return {one.tag: one.get("value") for one in info}


def _load_openvino(path):
    import openvino

    compiled = openvino.Core().compile_model(
        path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )

    def function(images):
        values = compiled({"images": images})
        return {o.get_any_name(): np.array(v) for o, v in values.items()}

    return function


def _finish_litert(path, names, facts):
    # Where TensorFlow Lite's own metadata keep their files.
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("keras_facnn.json", json.dumps(facts, indent=1))


def _facts_of_litert(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("keras_facnn.json"))


def _load_litert(path):
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(path)).get_signature_runner()

    def function(images):
        return runner(images=images)

    return function


def _finish_saved_model(path, names, facts):
    extra = path / "assets.extra"
    extra.mkdir()
    text = json.dumps(facts, indent=1)
    (extra / "keras_facnn.json").write_bytes(text.encode())


def _facts_of_saved_model(path):
    return json.loads((path / "assets.extra/keras_facnn.json").read_bytes())


def _load_saved_model(path):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))

    def outputs(images):
        signature = loaded.signatures["serving_default"]
        values = signature(images=tf.constant(images))
        return {key: value.numpy() for key, value in values.items()}

    return outputs


FORMATS = {
    "onnx": Format(
        ".onnx",
        ("torch",),
        (),
        ("opset_version",),
        {"onnx": "onnx", "onnxruntime": "onnxruntime"},
        _finish_onnx,
        _load_onnx,
        _facts_of_onnx,
    ),
    "openvino": Format(
        ".xml",
        # On TensorFlow, Keras' exporter drops all outputs but one.
        ("torch",),
        (),
        (),
        {"openvino": "openvino"},
        _finish_openvino,
        _load_openvino,
        _facts_of_openvino,
    ),
    "litert": Format(
        ".tflite",
        ("tensorflow",),
        ("tensorflow",),
        None,
        {"ai_edge_litert": "ai-edge-litert"},
        _finish_litert,
        _load_litert,
        _facts_of_litert,
    ),
    "tf_saved_model": Format(
        "",
        ("tensorflow", "jax"),
        ("tensorflow",),
        ("is_static", "jax2tf_kwargs"),
        {"tensorflow": "tensorflow"},
        _finish_saved_model,
        _load_saved_model,
        _facts_of_saved_model,
    ),
}
