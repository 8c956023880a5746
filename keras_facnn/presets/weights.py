"""`model.weights.h5`: what a file may hold, and what it may not."""

import hashlib
import os

import h5py
import keras
import numpy as np
from keras import ops

from keras_facnn._checks.text import printable

# HDF5 spends about 3 kB on the name and shape of a weight.
_OVERHEAD = 2**20
_OVERHEAD_A_WEIGHT = 2**13
_FLOATS = (np.dtype("<f2"), np.dtype("<f4"))
# Of `Normalization`, what it has seen.
_COUNTS = (np.dtype("<i4"), np.dtype("<i8"))


def largest_file(parameters: int, num_weights: int) -> int:
    """The most bytes that the weights of such a model take on disk."""
    return 4 * parameters + _OVERHEAD + _OVERHEAD_A_WEIGHT * num_weights


def check_file(
    path: str | os.PathLike, parameters: int, handle: object
) -> None:
    """Refuses a file that holds anything but that many floats.

    Keras skips what a model has no layer for, and casts what is of another
    type; here every value counts.
    """
    with _clear_errors(parameters, handle):
        if os.path.getsize(path) < 2 * parameters:
            raise ValueError("the file is too small.")
        stored = count_values(path)
        if stored != parameters:
            raise ValueError(f"the file holds {stored:,} values.")


def load(model: keras.Model, path: str | os.PathLike, handle: object) -> None:
    """Loads a checked file into a model that it must fit."""
    with _clear_errors(model.count_params(), handle):
        model.load_weights(path)
        fault = find_fault(model)
        if fault:
            raise ValueError(f"the weights are {fault}.")


def find_fault(model: keras.Model) -> str | None:
    """What makes every output of a model NaN or infinite, or None."""
    for variable in model.weights:
        value = ops.convert_to_numpy(variable).astype("float32")
        name = variable.path
        if not np.isfinite(value).all():
            return f"not finite as {variable.dtype}: {name}"
        if name.endswith("/moving_variance") and value.min() < 0:
            return f"negative, which no variance is: {name}"
        with np.errstate(over="ignore"):
            if name.endswith("/log_scale") and not np.isfinite(np.exp(value)):
                return f"too large for a logarithm: {name} = {value}"
    return None


def digest(model: keras.Model) -> str:
    """A hash of a model's weights, as float32."""
    sha256 = hashlib.sha256()
    for value in model.get_weights():
        sha256.update(np.ascontiguousarray(value, "float32").data)
    return sha256.hexdigest()


class _clear_errors:
    """Turns whatever HDF5 and Keras raise into one clear error."""

    def __init__(self, parameters: int, handle: object):
        self.parameters = parameters
        self.handle = handle

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        e: BaseException | None,
        traceback: object,
    ) -> None:
        # On a garbled file h5py raises nearly anything, RuntimeError,
        # AttributeError and SystemError among it.
        if e is not None and isinstance(e, Exception):
            raise ValueError(
                f"The weights of the preset {str(self.handle)!r} do not fit "
                f"its config ({self.parameters:,} parameters). Get the preset "
                "again, or ask whoever published it. What came: "
                + printable(str(e))
            ) from e


def count_values(path: str | os.PathLike) -> int:
    """Number of values in a file of plain floats, reached once each."""
    with h5py.File(path) as file:
        return _count(file)


def _count(file: h5py.File) -> int:
    total = 0
    # A stack, as a recursion would end at the depth that a file chooses.
    groups = [file]
    seen = {_address(file)}
    while groups:
        group = groups.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if type(link) is not h5py.HardLink:
                raise ValueError(f"{name!r} in the file is a link.")
            item = group[name]
            if _address(item) in seen:
                raise ValueError(f"{name!r} is in the file twice.")
            seen.add(_address(item))
            if isinstance(item, h5py.Group):
                groups.append(item)
            else:
                total += _checked_size(name, item)
    return total


def _address(item: h5py.Group | h5py.Dataset) -> int:
    return h5py.h5o.get_info(item.id).addr


def _checked_size(name: str, item: object) -> int:
    if not isinstance(item, h5py.Dataset):
        raise ValueError(f"{name!r} in the file is no weight.")
    if item.external or item.is_virtual or item.size is None:
        raise ValueError(f"{name!r} in the file holds no values.")
    is_count = item.dtype in _COUNTS and item.shape == ()
    if item.dtype not in _FLOATS and not is_count:
        raise ValueError(
            f"{name!r} in the file is of {item.dtype}, not float16 or float32."
        )
    if item.chunks is not None:
        raise ValueError(f"{name!r} in the file is compressed or in pieces.")
    return item.size
