"""Compare formats for inference: Keras, and files that run without it.

    KERAS_BACKEND=torch python -m zoo.inference --preset cifar10

prints two tables. The first is of the files: their size, and how their logits
and maps differ from those of Keras in float32. The second is of speed, with
maps and without. All ways are timed in turn, round after round, so that other
work of the machine affects all of them. The table has medians, and the images
per second divided by those of `predict_on_batch`.

The backend decides which files there are: ONNX and OpenVINO on PyTorch, LiteRT
on TensorFlow, SavedModel on TensorFlow and JAX. They need
`pip install '.[export]'`. With `--data`, agreement is measured on images of
the split instead of noise, and there is an ONNX file in int8, calibrated by
other images of the split.
"""

from __future__ import annotations

import functools
import os
import pathlib
import tempfile
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any
from typing import NamedTuple

import numpy as np
from absl import flags

from zoo import inputs

if TYPE_CHECKING:
    from keras_facnn import FACNN

FLAGS = flags.FLAGS
BASE = "Keras, only logits"
CALIBRATION = 64

Run = Callable[[np.ndarray], Any]


class Way(NamedTuple):
    """A way to run a model.

    Attributes:
        run: Function of images to a pair of logits and maps, or to anything.
        has_maps: Whether it returns such a pair.
        size: Bytes of the file or folder that it runs, or None.
    """

    run: Run
    has_maps: bool = False
    size: int | None = None


def define_flags() -> None:
    inputs.define_preset_flags(data_required=False)
    # Or `--help` leaves them out.
    flags.adopt_module_key_flags(inputs)
    inputs.define_integers("batch_sizes", [1, 32], "Images per forward pass.")
    flags.DEFINE_integer(
        "images", 256, "Images to measure agreement on, evenly spread.", 2
    )
    flags.DEFINE_integer("rounds", 7, "How often each is timed.", 1)
    inputs.define_number(
        "seconds", 0.3, "Least time of each, each time.", 0.001, 60.0
    )


def main() -> None:
    import keras

    from keras_facnn import FACNN

    sizes = FLAGS.batch_sizes
    if FLAGS.data is None:
        model = FACNN.from_preset(FLAGS.preset)
        inputs.check_size(model)
        images, calibration = noise(model, FLAGS.images), None
        of_what = f"{FLAGS.images} images of noise"
    else:
        model, images, _, _ = inputs.preset_and_images()
        images, calibration = apart(images)
        of_what = f"{len(images)} images of {FLAGS.split}"
    with tempfile.TemporaryDirectory() as folder:
        files = in_files(model, pathlib.Path(folder), calibration)
        if files:
            print_agreement(model, files, images, of_what)
        ways = {**in_keras(model), **files}
        rates = {size: measure(ways, noise(model, size)) for size in sizes}
    print(f"{keras.backend.backend()}, {FLAGS.preset}")
    heads = [f"batch {n}: ms | images/s | of `predict`" for n in sizes]
    print(f"| way | {' | '.join(heads)} |")
    print(f"|---|{'---|---|---|' * len(sizes)}")
    for name in ways:
        cells = [
            f"{1000 * n / rates[n][name]:.4g} | {rates[n][name]:.4g} | "
            f"{rates[n][name] / rates[n][BASE]:.2f}"
            for n in sizes
        ]
        print(f"| {name} | {' | '.join(cells)} |")


def noise(model: FACNN, count: int) -> np.ndarray:
    """Return images of noise."""
    rng = np.random.default_rng(0)
    shape = (count, *model.image_shape)
    return rng.uniform(0, 255, shape).astype("float32")


def apart(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return images to measure on, and others to calibrate with."""
    chosen = inputs.spread(np.arange(len(images)), FLAGS.images + CALIBRATION)
    calibration = inputs.spread(chosen, min(CALIBRATION, len(chosen) // 2))
    measured = np.setdiff1d(chosen, calibration)
    return images[measured].astype("float32"), images[calibration].astype(
        "float32"
    )


def print_agreement(
    model: FACNN, ways: dict[str, Way], images: np.ndarray, of_what: str
) -> None:
    """Print the table of those ways that give maps."""
    from keras_facnn import metrics

    def in_batches(run: Run) -> Iterator[np.ndarray]:
        pairs = [
            run(images[i : i + FLAGS.batch_size])
            for i in range(0, len(images), FLAGS.batch_size)
        ]
        return (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))

    logits, maps = in_batches(model.predict_with_maps)
    each, best = np.arange(len(images)), logits.argmax(-1)
    print(f"Agreement with Keras in float32 over {of_what}:")
    print(
        "| file | MB | largest difference of logits | of maps | mean "
        "correlation of predicted class' maps | same class |"
    )
    print("|---|---|---|---|---|---|")
    for name, way in ways.items():
        if not way.has_maps:
            continue
        found, found_maps = in_batches(way.run)
        correlation = metrics.pearson(
            found_maps[each, ..., best], maps[each, ..., best]
        ).mean
        cells = (
            name,
            f"{way.size / 1e6:.3g}",
            f"{np.abs(found - logits).max():.1e}",
            f"{np.abs(found_maps - maps).max():.1e}",
            f"{correlation:.6f}",
            f"{100 * (found.argmax(-1) == best).mean():.1f} %",
        )
        print(f"| {' | '.join(cells)} |", flush=True)


def measure(ways: dict[str, Way], images: np.ndarray) -> dict[str, float]:
    """Return the images per second of each way, the median over the rounds."""
    calls = {}
    for name, way in ways.items():
        print(f"Warming up: {name}, batches of {len(images)}", flush=True)
        way.run(images)
        start = time.perf_counter()
        way.run(images)
        taken = time.perf_counter() - start
        calls[name] = max(1, round(FLAGS.seconds / taken))
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(FLAGS.rounds):
        print(f"Round {number + 1} of {FLAGS.rounds}", flush=True)
        for name, way in ways.items():
            start = time.perf_counter()
            for _ in range(calls[name]):
                way.run(images)
            taken = time.perf_counter() - start
            rates[name].append(calls[name] * len(images) / taken)
    return {name: float(np.median(values)) for name, values in rates.items()}


def in_keras(model: FACNN) -> dict[str, Way]:
    """Return ways by name; the first one is the base."""
    from keras_facnn import FACNN
    from keras_facnn import attribution

    half = FACNN.from_preset(FLAGS.preset, dtype="mixed_bfloat16")

    def maps(model: FACNN, images: np.ndarray) -> tuple:
        return model.predict_with_maps(images, batch_size=len(images))

    def grad_cam(images: np.ndarray) -> np.ndarray:
        last = f"fa_{model.num_layers}"
        return attribution.grad_cam(
            model, images, 0, layer=last, batch_size=len(images)
        )

    return {
        BASE: Way(model.predict_on_batch),
        "Keras, all maps": Way(functools.partial(maps, model)),
        "Keras fused, all maps": Way(functools.partial(maps, model.fuse())),
        "Keras bfloat16, all maps": Way(functools.partial(maps, half)),
        "Keras, Grad-CAM of one class": Way(grad_cam),
    }


def in_files(
    model: FACNN, folder: pathlib.Path, calibration: np.ndarray | None
) -> dict[str, Way]:
    """Return ways by name, of the files that this backend can write.

    Args:
        model: A `FACNN`.
        folder: Path of the folder to write into.
        calibration: Images for int8, or None.
    """
    import keras

    backend = keras.backend.backend()
    ways: dict[str, Way] = {}
    if backend == "torch":
        onnx, openvino = folder / "model.onnx", folder / "model.xml"
        model.export(onnx)
        model.export(openvino)
        ways |= {
            "ONNX Runtime, only logits": _onnx(onnx, ["logits"]),
            "ONNX Runtime, all maps": _onnx(onnx),
            "OpenVINO f32, only logits": _openvino(openvino, "f32", 1),
            "OpenVINO f32, all maps": _openvino(openvino, "f32"),
            "OpenVINO bf16, all maps": _openvino(openvino, "bf16"),
        }
        if calibration is not None:
            int8 = folder / "int8.onnx"
            quantize(onnx, int8, calibration)
            ways["ONNX Runtime int8, all maps"] = _onnx(int8)
    if backend == "tensorflow":
        path, logits = folder / "model.tflite", folder / "logits.tflite"
        model.export(path)
        _export_logits(model, logits, "litert")
        ways["LiteRT, only logits"] = _litert(logits)
        ways["LiteRT, all maps"] = _litert(path)
    if backend in ("tensorflow", "jax"):
        path, logits = folder / "model", folder / "logits"
        model.export(path)
        _export_logits(model, logits, "tf_saved_model")
        ways["SavedModel, only logits"] = _saved_model(logits)
        ways["SavedModel, all maps"] = _saved_model(path)
    return ways


def quantize(path: pathlib.Path, to: pathlib.Path, images: np.ndarray) -> None:
    """Write an ONNX file whose convolutions are in int8."""
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(np.split(images, len(images)))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"images": batch}

    quantization.quantize_static(
        path, to, Reader(), per_channel=True, op_types_to_quantize=["Conv"]
    )


def _export_logits(model: FACNN, path: pathlib.Path, format: str) -> None:
    import keras

    # Keras' own export, which has no maps.
    keras.Model.export(model.fuse(), path, format=format, verbose=False)


def _onnx(
    path: pathlib.Path, outputs: Sequence[str] = ("logits", "class_maps")
) -> Way:
    import onnxruntime

    session = onnxruntime.InferenceSession(path)

    def run(images: np.ndarray) -> Any:
        return session.run(outputs, {"images": images})

    return Way(run, len(outputs) == 2, _size(path))


def _openvino(path: pathlib.Path, precision: str, outputs: int = 2) -> Way:
    import openvino

    graph = openvino.Core().read_model(path)
    graph = openvino.Model(graph.outputs[:outputs], graph.get_parameters(), "m")
    compiled = openvino.Core().compile_model(
        graph, "CPU", {"INFERENCE_PRECISION_HINT": precision}
    )

    def run(images: np.ndarray) -> Any:
        return list(compiled({"images": images}).values())

    return Way(run, outputs == 2, _size(path, path.with_suffix(".bin")))


def _litert(path: pathlib.Path) -> Way:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=os.cpu_count())
    runner = interpreter.get_signature_runner()

    def run(images: np.ndarray) -> Any:
        return _pair(runner(images=images))

    has_maps = "class_maps" in runner.get_output_details()
    return Way(run, has_maps, _size(path))


def _saved_model(path: pathlib.Path) -> Way:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))

    def run(images: np.ndarray) -> Any:
        return _pair(loaded.serve(images))

    has_maps = (
        "class_maps" in loaded.signatures["serving_default"].structured_outputs
    )
    return Way(run, has_maps, _size(*path.rglob("*")))


def _pair(outputs: Any) -> Any:
    if isinstance(outputs, dict) and "class_maps" in outputs:
        return tuple(np.array(outputs[key]) for key in ("logits", "class_maps"))
    return outputs


def _size(*paths: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
