import dataclasses
from collections.abc import Callable
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Engine:
    """A file that a library has opened.

    Attributes:
        facts: The properties of the file.
        outputs: The names of its outputs.
        run: A function from a float32 array of images and names of outputs to
            the outputs, by name. Several threads may call it.
    """

    facts: Mapping[str, str]
    outputs: tuple[str, ...]
    run: Callable[[np.ndarray, list[str]], Mapping[str, np.ndarray]]

    def run_all(self, images: np.ndarray) -> Mapping[str, np.ndarray]:
        """Return all outputs of images, by name."""
        return self.run(images, list(self.outputs))
