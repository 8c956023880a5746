"""Check `model.weights.h5` before and after its weights are loaded."""

import hashlib
import os
import types
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from keras import ops

from keras_facnn._checks.text import printable
from keras_facnn.presets.files import Handle

# HDF5 takes about 3 kB for the name and shape of a weight.
_OVERHEAD = 2**20
_OVERHEAD_PER_WEIGHT = 2**13
_FLOATS = (np.dtype("<f2"), np.dtype("<f4"))
# `Normalization` counts in integers.
_COUNTS = (np.dtype("<i4"), np.dtype("<i8"))


def largest_file(parameters: int, num_weights: int) -> int:
    """Return the most bytes that the weights of a model take on disk."""
    return 4 * parameters + _OVERHEAD + _OVERHEAD_PER_WEIGHT * num_weights


def check_file(
    path: str | os.PathLike, parameters: int, handle: Handle
) -> None:
    """Raise if a file holds anything but so many floats.

    Keras ignores values of layers that the model does not have, and casts
    values of other types. Neither is accepted here.

    Args:
        path: Path of the file.
        parameters: How many floats it must hold.
        handle: Name of the preset in messages.
    """
    with _clear_errors(parameters, handle):
        if os.path.getsize(path) < 2 * parameters:
            raise ValueError("the file is too small.")
        stored = count_values(path)
        if stored != parameters:
            raise ValueError(f"the file holds {stored:,} values.")


def load(model: Any, path: str | os.PathLike, handle: Handle) -> None:
    """Load a checked file into a model that it must fit."""
    with _clear_errors(model.count_params(), handle):
        model.load_weights(path)
        fault = find_fault(model)
        if fault:
            raise ValueError(f"the weights are {fault}.")


def find_fault(model: Any) -> str | None:
    """Return why every output of a model is NaN or infinite, or None."""
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


def digest(model: Any) -> str:
    """Return a hash of a model's weights, as float32."""
    sha256 = hashlib.sha256()
    for value in model.get_weights():
        sha256.update(value.astype("float32").tobytes())
    return sha256.hexdigest()


class _clear_errors:
    """Turn any error of HDF5 and Keras into one clear error."""

    def __init__(self, parameters: int, handle: Handle):
        self.parameters = parameters
        self.handle = handle

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        e: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        # For a damaged file h5py raises many kinds of errors, also
        # RuntimeError, AttributeError and SystemError.
        if isinstance(e, Exception):
            raise ValueError(
                f"The weights of the preset {str(self.handle)!r} do not fit "
                f"its config ({self.parameters:,} parameters). Get the preset "
                "again, or ask its publisher. The error was: "
                + printable(str(e))
            ) from e


def count_values(path: str | os.PathLike) -> int:
    """Return how many values are in a file, or raise if it is not plain.

    A plain file has no links, and holds uncompressed floats.
    """
    with h5py.File(path) as file:
        return sum(_checked_size(*item) for item in _datasets(file))


def check_linked_nowhere(
    path: str | os.PathLike, most: int, parameters: int, handle: Handle
) -> None:
    """Raise if a file has links, or too many values of any type.

    Args:
        path: Path of the file.
        most: How many values it may hold.
        parameters: How many of them the model has.
        handle: Name of the preset in messages.
    """
    with _clear_errors(parameters, handle), h5py.File(path) as file:
        count = sum(_stored_size(*item) for item in _datasets(file))
        if count > most:
            raise ValueError(f"the file holds {count:,} values.")


def _datasets(file: Any) -> Iterator[tuple[str, Any]]:
    """Yield the name and the value of all items that are not groups."""
    # A stack and no recursion, which a file could make too deep.
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
                yield name, item


def _address(item: Any) -> Any:
    return h5py.h5o.get_info(item.id).addr


def _checked_size(name: str, item: Any) -> int:
    """Return how many values a weight in a file has, or raise."""
    size = _stored_size(name, item)
    is_count = item.dtype in _COUNTS and item.shape == ()
    if item.dtype not in _FLOATS and not is_count:
        raise ValueError(
            f"{name!r} in the file is of {item.dtype}, not float16 or float32."
        )
    if item.chunks is not None:
        raise ValueError(f"{name!r} in the file is compressed or in pieces.")
    return size


def _stored_size(name: str, item: Any) -> int:
    """Return how many values of an item are in the file itself, or raise."""
    if not isinstance(item, h5py.Dataset):
        raise ValueError(f"{name!r} in the file is not a weight.")
    if item.external or item.is_virtual or item.size is None:
        raise ValueError(f"{name!r} in the file holds no values.")
    return item.size
