import dataclasses
import pathlib
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from keras_facnn.export.facts import Facts

# From a float32 array of images to the outputs, by name.
Run: TypeAlias = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """A format that a model can be written in.

    Attributes:
        ending: The ending of the file's name; empty for a folder.
        endings_beside: The endings of further files that are written beside
            it, under the same name.
        backends: The backends on which Keras writes the format, the best
            first.
        any_size: The backends whose file takes images of any size.
        names_outputs: Whether Keras passes the names of the outputs on.
        options: Further arguments of `keras.Model.export`. None if Keras
            passes any argument on to another package.
        packages: Names of the packages to install, by the module they provide.
        finish: Gives a written file the names of input and outputs, unless
            Keras did, and adds the facts.
        load: Returns a function that runs a written file.
        read_facts: Reads the facts that `finish` added. It may raise any
            exception if the file is not an export.
    """

    ending: str
    endings_beside: tuple[str, ...] = ()
    backends: tuple[str, ...]
    any_size: tuple[str, ...] = ()
    names_outputs: bool = False
    options: tuple[str, ...] | None = ()
    packages: Mapping[str, str]
    finish: Callable[[pathlib.Path, Sequence[str], Facts], None]
    load: Callable[[pathlib.Path], Run]
    read_facts: Callable[[pathlib.Path], Facts]
