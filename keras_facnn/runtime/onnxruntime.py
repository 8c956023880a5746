"""Run an ONNX file on ONNX Runtime."""

import os
import pathlib

import numpy as np

from keras_facnn._checks.packages import how_to_install
from keras_facnn.runtime.engine import Engine

# What an inference can compute in.
PRECISIONS = {"float32": "float32"}


def open_file(
    path: pathlib.Path, threads: int | None, precision: str
) -> Engine:
    """Open a file.

    Args:
        path: The path of the file.
        threads: How many threads one inference uses. None means all cores.
        precision: A key of `PRECISIONS`.
    """
    # From version 1.32 on, it reports sessions to its developers, unless this
    # is set before its first import.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as e:
        raise ImportError(
            f'engine="onnxruntime" needs ONNX Runtime ({e}): '
            + how_to_install("runtime")
        ) from e
    options = onnxruntime.SessionOptions()
    # It warns of threads that a container does not let it pin.
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )

    def run(images: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
        values = session.run(names, {"images": images})
        return dict(zip(names, values, strict=True))

    return Engine(
        facts=session.get_modelmeta().custom_metadata_map,
        outputs=tuple(output.name for output in session.get_outputs()),
        run=run,
    )
