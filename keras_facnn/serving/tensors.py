"""Tensors of the Open Inference Protocol, in JSON or as bytes."""

import math
from typing import Any

import numpy as np

from keras_facnn.serving import bodies
from keras_facnn.serving.errors import RequestError

_DTYPES = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


def split_body(
    body: bytes, length: str | None
) -> tuple[dict[str, Any], memoryview]:
    """Return the JSON of a body and the binary data after it.

    Args:
        body: The body.
        length: The header with the length of the JSON, if there is one.
    """
    end = len(body)
    if length is not None:
        # More digits would be slow to convert.
        if not (length.isascii() and length.isdecimal() and len(length) < 16):
            raise RequestError(400, "The length of the JSON must be a number")
        end = int(length)
        if end > len(body):
            raise RequestError(400, "The body is shorter than its JSON")
    return bodies.parse_json(body[:end]), memoryview(body)[end:]


def parameters_of(values: dict[str, Any]) -> dict[str, Any]:
    """Return the `parameters` of a request, an input or an output."""
    parameters = values.get("parameters")
    return parameters if isinstance(parameters, dict) else {}


def read_tensor(
    values: dict[str, Any], binary: memoryview
) -> np.ndarray | list[bytes]:
    """Return a tensor as an array, or as a list of bytes.

    Args:
        values: The tensor in JSON.
        binary: The binary data after the JSON.
    """
    shape, datatype = values.get("shape"), values.get("datatype")
    if (
        not isinstance(shape, list)
        or not 0 < len(shape) <= 8
        or not all(type(n) is int and 0 <= n < 2**31 for n in shape)
    ):
        raise RequestError(400, "`shape` must be a list of a few integers")
    count = math.prod(shape)
    size = parameters_of(values).get("binary_data_size")
    if size is not None and (
        type(size) is not int or not 0 <= size <= len(binary)
    ):
        raise RequestError(
            400, "`binary_data_size` must be the bytes after the JSON"
        )
    if datatype == "BYTES":
        if size is None:
            items = [bodies.decode_base64(x) for x in _listed(values)]
        else:
            items = _split_items(binary[:size], count)
        _check_count(count, len(items), shape)
        return items
    if not isinstance(datatype, str) or datatype not in _DTYPES:
        raise RequestError(
            400, f"`datatype` must be BYTES or one of {', '.join(_DTYPES)}"
        )
    dtype = np.dtype(_DTYPES[datatype])
    if size is not None:
        if size != count * dtype.itemsize:
            raise RequestError(
                400,
                f"A tensor of shape {shape} and datatype {datatype} takes "
                f"{count * dtype.itemsize} bytes. Received: {size}",
            )
        return np.frombuffer(binary[:size], dtype).reshape(shape)
    try:
        array = _to_dtype(np.asarray(_listed(values)), dtype)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise RequestError(
            400, f"`data` must be a list of numbers that fit {datatype}"
        ) from None
    _check_count(count, array.size, shape)
    return array.reshape(shape)


def to_bytes(array: np.ndarray, datatype: str) -> bytes:
    """Return an array as the protocol's binary data."""
    if datatype != "BYTES":
        return array.astype(_DTYPES[datatype]).tobytes()
    items = [str(item).encode() for item in array.ravel()]
    return b"".join(len(item).to_bytes(4, "little") + item for item in items)


def _listed(values: dict[str, Any]) -> list[Any]:
    data = values.get("data")
    if not isinstance(data, list):
        raise RequestError(400, "`data` must be a list")
    return data


def _check_count(expected: int, found: int, shape: list[int]) -> None:
    if found != expected:
        raise RequestError(
            400,
            f"A tensor of shape {shape} has {expected} elements. "
            f"Received: {found}",
        )


def _to_dtype(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return an array of another dtype, or raise if it does not fit."""
    if array.dtype.kind not in "biuf":
        raise ValueError
    if dtype.kind == "f":
        # What is too large becomes infinite, and is refused later.
        with np.errstate(over="ignore"):
            return array.astype(dtype).ravel()
    if array.dtype.kind == "f" or (array.astype(dtype) != array).any():
        raise ValueError
    return array.astype(dtype).ravel()


def _split_items(data: memoryview, most: int) -> list[bytes]:
    """Split binary data of BYTES: each item follows its length."""
    items: list[bytes] = []
    start = 0
    # One item more than expected is an error already.
    while start < len(data) and len(items) <= most:
        end = start + 4 + int.from_bytes(data[start : start + 4], "little")
        if end > len(data) or start + 4 > len(data):
            raise RequestError(400, "The binary data of BYTES are cut off")
        items.append(bytes(data[start + 4 : end]))
        start = end
    return items
