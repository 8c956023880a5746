"""Save a training so that a killed process can continue it."""

import json
import os
import pathlib
import zipfile
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np


class Checkpoint:
    """The values of variables, and JSON beside them, in one file.

    If the process is killed while it writes, the file before stays.

    Args:
        path: Path of the file, `*.npz`.
        training: JSON object that says which training it is of.
    """

    def __init__(self, path: pathlib.Path, training: Mapping[str, Any]) -> None:
        self._path = path
        self._training = dict(training)

    def save(
        self, variables: Sequence[keras.Variable], state: Mapping[str, Any]
    ) -> None:
        """Save the values of variables, and what else is needed."""
        arrays = {
            str(i): keras.ops.convert_to_numpy(variable)
            for i, variable in enumerate(variables)
        }
        partial = self._path.with_suffix(".partial.npz")
        about = json.dumps({"training": self._training, "state": state})
        np.savez(partial, about=np.array(about), **arrays)
        os.replace(partial, self._path)

    def restore(
        self, variables: Sequence[keras.Variable]
    ) -> dict[str, Any] | None:
        """Give variables their values back, and return the saved state.

        If there is no checkpoint, or if it is of another training or of other
        variables, return None and change nothing.
        """
        try:
            with np.load(self._path) as file:
                arrays = {name: file[name] for name in file.files}
        except (FileNotFoundError, ValueError, zipfile.BadZipFile):
            return None
        about = json.loads(str(arrays.pop("about", "{}")))
        if about.get("training") != self._training:
            return None
        shapes = [arrays[str(i)].shape for i in range(len(arrays))]
        if shapes != [tuple(variable.shape) for variable in variables]:
            return None
        for i, variable in enumerate(variables):
            variable.assign(arrays[str(i)])
        state: dict[str, Any] = about["state"]
        return state
