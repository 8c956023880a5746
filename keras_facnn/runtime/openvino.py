"""Run an OpenVINO or ONNX file on OpenVINO."""

import pathlib

import numpy as np

from keras_facnn.runtime.engine import Engine

# What an inference can compute in, and OpenVINO's names for it.
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


def open_file(
    path: pathlib.Path, threads: int | None, precision: str
) -> Engine:
    """Open a file.

    Args:
        path: The path of the file.
        threads: How many threads one inference uses. None means all cores.
        precision: A key of `PRECISIONS`.
    """
    try:
        import openvino
    except ImportError as e:
        raise ImportError(
            f'engine="openvino" needs OpenVINO ({e}): pip install openvino'
        ) from e
    core = openvino.Core()
    graph = core.read_model(path)
    # Without this hint, it would compute in bfloat16 on CPUs that support it.
    options = {"INFERENCE_PRECISION_HINT": PRECISIONS[precision]}
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = str(threads)
    # OpenVINO's own files hold the facts in the first place, those of ONNX in
    # the second.
    info = graph.rt_info
    place = "keras_facnn" if "keras_facnn" in info else "framework"
    facts = info[place] if place in info else {}
    texts = {key: str(value.value) for key, value in facts.items()}
    compiled = core.compile_model(graph, "CPU", options)
    outputs = {o.get_any_name(): o for o in compiled.outputs if o.names}

    def run(images: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
        # A request of its own, because other threads may run theirs.
        request = compiled.create_infer_request()
        request.infer({"images": images})
        return {
            name: np.array(request.get_tensor(outputs[name]).data)
            for name in names
        }

    return Engine(
        facts=texts,
        outputs=tuple(outputs),
        run=run,
    )
