"""Check that a written file answers as the model does."""

from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

from keras_facnn._backend.compilation import compiled_function
from keras_facnn.export.format import Run

# How many images a file and the model are compared on.
_IMAGES = 8
_LARGEST_ERROR = 1e-3


def check_file(
    graph: keras.Model, size_rules: tuple[int, int], run: Run, name: str
) -> None:
    """Raise if a written file answers differently from the graph.

    Args:
        graph: A model of images to outputs by name.
        size_rules: The number that the sides of the images must be a multiple
            of, and the smallest side.
        run: A function that runs the file.
        name: The name of the format.

    Raises:
        RuntimeError: If an output is missing or differs.
    """
    multiple, least = size_rules
    side = -(-max(least, 4 * multiple) // multiple) * multiple
    answers = compiled_function(
        lambda x: graph(x, training=False), graph.variables
    )
    rng = np.random.default_rng(0)
    # At two sizes if the model takes any size.
    for i in range(2):
        height, width, channels = (
            n or side + i * multiple for n in graph.input.shape[1:]
        )
        images = rng.uniform(0, 255, (_IMAGES, height, width, channels))
        images = images.astype("float32")
        expected = {
            k: ops.convert_to_numpy(v) for k, v in answers(images).items()
        }
        # Run it twice: a file with random answers may be right by chance.
        for _ in range(2):
            _check_outputs(run(images), expected, name)


def _check_outputs(
    found: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
    name: str,
) -> None:
    """Raise if outputs of a written file are not as expected."""
    for key, tensor in expected.items():
        if key not in found or found[key].shape != tensor.shape:
            raise RuntimeError(
                f"format={name!r}: the written file has no output {key!r} of "
                f"shape {tensor.shape}, and was not kept. It has "
                f"{ {k: v.shape for k, v in found.items()} }"
            )
        error = float(np.abs(found[key] - tensor).max())
        largest = float(np.abs(tensor).max())
        # Written so that NaN does not pass.
        if not error <= _LARGEST_ERROR * max(largest, 1.0):
            raise RuntimeError(
                f"format={name!r}: the output {key!r} of the written file is "
                f"{error:.3g} off, of values up to {largest:.3g}, and the file "
                "was not kept."
            )
