"""Speed of inference: Keras plain, fused, in bfloat16, and exported files.

    KERAS_BACKEND=torch python -m zoo.inference --preset cifar10

All are timed in turn, round after round, so that what else the machine does
meets all of them; the table has medians, and how many times the images a second
of `predict_on_batch`. Files need `pip install '.[export]'`; those that the
backend cannot write are left out (LiteRT's is written on TensorFlow).
"""

import functools
import os
import tempfile
import time

import numpy as np
from absl import flags

from zoo import inputs

FLAGS = flags.FLAGS
BASE = "Keras, logits alone"


def define_flags():
    flags.DEFINE_string(
        "preset", None, "Name, folder or URL of the preset.", required=True
    )
    flags.DEFINE_list("batch_sizes", ["1", "32"], "Images a forward pass.")
    flags.DEFINE_integer("rounds", 7, "How often each is timed.", 1)
    inputs.define_number(
        "seconds", 0.3, "Least time of each, each time.", 0.001, 60.0
    )


def main():
    import keras

    sizes = [int(size) for size in FLAGS.batch_sizes]
    with tempfile.TemporaryDirectory() as folder:
        ways = {**in_keras(), **in_files(folder)}
        rates = {size: measure(ways, size) for size in sizes}
    print(f"{keras.backend.backend()}, {FLAGS.preset}")
    heads = [f"batch {n}: images/s | of `predict`" for n in sizes]
    print(f"| way | {' | '.join(heads)} |")
    print(f"|---|{'---|---|' * len(sizes)}")
    for name in ways:
        cells = [
            f"{rates[n][name]:.0f} | {rates[n][name] / rates[n][BASE]:.2f}"
            for n in sizes
        ]
        print(f"| {name} | {' | '.join(cells)} |")


def measure(ways, batch_size):
    """Images a second of each way, the median over the rounds."""
    shape = ways[BASE].args[0].input_shape[1:]
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (batch_size, *shape)).astype("float32")
    calls = {}
    for name, way in ways.items():
        print(f"Warming up: {name}, batches of {batch_size}", flush=True)
        way(images)
        start = time.perf_counter()
        way(images)
        taken = time.perf_counter() - start
        calls[name] = max(1, round(FLAGS.seconds / taken))
    rates = {name: [] for name in ways}
    for number in range(FLAGS.rounds):
        print(f"Round {number + 1} of {FLAGS.rounds}", flush=True)
        for name, way in ways.items():
            start = time.perf_counter()
            for _ in range(calls[name]):
                way(images)
            taken = time.perf_counter() - start
            rates[name].append(calls[name] * batch_size / taken)
    return {name: float(np.median(values)) for name, values in rates.items()}


def in_keras():
    """Functions of images, by name; the first one is the base."""
    from keras_facnn import FACNN
    from keras_facnn import attribution

    model = FACNN.from_preset(FLAGS.preset)
    half = FACNN.from_preset(FLAGS.preset, dtype="mixed_bfloat16")

    def maps(model, images):
        return model.predict_with_maps(images, batch_size=len(images))

    def grad_cam(images):
        last = f"fa_{model.num_layers}"
        return attribution.grad_cam(
            model, images, 0, layer=last, batch_size=len(images)
        )

    return {
        BASE: functools.partial(_logits, model),
        "Keras, all maps": functools.partial(maps, model),
        "Keras fused, all maps": functools.partial(maps, model.fuse()),
        "Keras bfloat16, all maps": functools.partial(maps, half),
        "Keras, Grad-CAM of one class": grad_cam,
    }


def _logits(model, images):
    return model.predict_on_batch(images)


def in_files(folder):
    """Functions of images, by name, of the files that can be written."""
    import keras

    from keras_facnn import FACNN

    model = FACNN.from_preset(FLAGS.preset)
    backend = keras.backend.backend()
    ways = {}
    if backend == "torch":
        onnx = os.path.join(folder, "model.onnx")
        openvino = os.path.join(folder, "model.xml")
        model.export(onnx)
        model.export(openvino)
        run = _onnx(onnx)
        ways["ONNX Runtime, logits alone"] = functools.partial(run, ["logits"])
        ways["ONNX Runtime, all maps"] = functools.partial(run, None)
        for name in ("f32", "bf16"):
            ways[f"OpenVINO {name}, all maps"] = _openvino(openvino, name)
    if backend == "tensorflow":
        path = os.path.join(folder, "model.tflite")
        model.export(path)
        ways["LiteRT, all maps"] = _litert(path)
    return ways


def _onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)

    def run(outputs, images):
        return session.run(outputs, {"images": images})

    return run


def _openvino(path, precision):
    import openvino

    compiled = openvino.Core().compile_model(
        path, "CPU", {"INFERENCE_PRECISION_HINT": precision}
    )
    return lambda images: compiled({"images": images})


def _litert(path):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=os.cpu_count())
    runner = interpreter.get_signature_runner()
    return lambda images: runner(images=images)


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
