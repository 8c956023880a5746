"""Read the bodies of requests within limits, and the pictures in them."""

import asyncio
import base64
import binascii
import contextlib
import json
import math
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.formparsers import MultiPartParser
from starlette.requests import ClientDisconnect
from starlette.requests import Request

from keras_facnn.pictures.opening import opened
from keras_facnn.pictures.reading import read_picture
from keras_facnn.serving.errors import RequestError
from keras_facnn.serving.errors import busy
from keras_facnn.serving.settings import Settings

# Fields of a form beside the picture, such as the class.
_MAX_FIELDS = 8
# The first bytes of ICO and ICNS files. Pillow decodes what is inside of them
# before its size is known.
_ICONS = (b"\0\0\1\0", b"icns")


class Bodies:
    """The bodies of requests, which share a limit.

    Args:
        settings: The server's settings.
    """

    def __init__(self, settings: Settings):
        self._settings = settings
        self._bytes = 0

    @contextlib.asynccontextmanager
    async def read(self, request: Request) -> AsyncGenerator[bytes, None]:
        """Give the body of a request. It counts until the context ends.

        Raises:
            RequestError: If the body is too long, takes too much time, or finds
                no room beside those of other requests.
        """
        most = self._settings.max_bytes
        too_long = RequestError(
            413,
            f"A request may hold at most {most} bytes",
            {"Connection": "close"},
        )
        announced = request.headers.get("content-length", "0")
        # The server has checked that it is a number, if there is one.
        if int(announced) > most:
            raise too_long
        body = bytearray()
        try:
            async with self._in_time():
                async for chunk in request.stream():
                    body += chunk
                    self._bytes += len(chunk)
                    if len(body) > most:
                        raise too_long
                    if self._bytes > self._settings.max_waiting_bytes:
                        raise busy("Too many bytes wait; try again")
            yield bytes(body)
        finally:
            self._bytes -= len(body)

    @contextlib.asynccontextmanager
    async def _in_time(self) -> AsyncGenerator[None, None]:
        """Answer for a client that is too slow, or that leaves."""
        seconds = self._settings.timeout
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise RequestError(
                408,
                f"The request was not sent within {seconds:g} seconds",
                {"Connection": "close"},
            ) from None
        except ClientDisconnect:
            raise RequestError(400, "The request ended too early") from None


def parse_json(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body, or raise a `RequestError`."""
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as e:
        raise RequestError(
            400, f"The body must be JSON: {e or type(e).__name__}"
        ) from None
    if not isinstance(value, dict):
        raise RequestError(400, "The body must be a JSON object")
    return value


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number in JSON")


async def read_form(
    request: Request, body: bytes
) -> tuple[bytes, dict[str, str]]:
    """Return the file in a multipart form, and the form's other fields."""

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(
        request.headers, stream(), max_files=1, max_fields=_MAX_FIELDS
    )
    # The body is in memory already, and the disk may be read-only.
    parser.spool_max_size = len(body) + 1
    try:
        form = await parser.parse()
    except MultiPartException as e:
        raise RequestError(400, f"The form is damaged: {e.message}") from None
    file = None
    fields: dict[str, str] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            file = await value.read()
            await value.close()
        else:
            fields[name] = value
    if file is None:
        raise RequestError(400, "The form must hold a file, the picture")
    return file, fields


def decode_picture(data: bytes, explainer: Any, max_pixels: int) -> np.ndarray:
    """Return the pixels of a picture as the model takes them.

    Args:
        data: The bytes of a picture's file.
        explainer: An `Explainer`.
        max_pixels: The most pixels, by the header of the file.

    Raises:
        RequestError: If the picture has more pixels or cannot be read.
    """
    if not data:
        raise RequestError(400, "The picture is empty")
    if data.startswith(_ICONS):
        raise RequestError(400, "Icons are not read")
    try:
        with opened(data) as image:
            pixels = image.width * image.height
        if pixels <= max_pixels:
            return read_picture(data, explainer.image_shape, explainer.fit)
    except (ValueError, MemoryError) as e:
        raise RequestError(400, str(e) or "The picture is too large") from e
    raise RequestError(
        413, f"A picture may have at most {max_pixels} pixels, not {pixels}"
    )


def decode_base64(text: Any) -> bytes:
    """Return the bytes of base64 text, or raise a `RequestError`."""
    if not isinstance(text, str):
        raise RequestError(400, "A picture must be base64 text")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(400, "A picture must be base64 text") from None


def check_pixels(values: Any, explainer: Any, name: str) -> np.ndarray:
    """Return pixels as an array `(B, H, W, channels)` of the model's shape.

    Args:
        values: An array, or nested lists.
        explainer: An `Explainer`.
        name: What messages call the pixels.
    """
    expected = tuple(explainer.image_shape)
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "uif" or not array.size:
            raise ValueError
        low, high = float(array.min()), float(array.max())
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise RequestError(
            400, f"`{name}` must be numbers of shape (batch, *{expected})"
        ) from None
    if array.shape[1:] != expected:
        raise RequestError(
            400,
            f"`{name}` must have shape (batch, *{expected}). Received: "
            f"{array.shape[: len(expected) + 3]}",
        )
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RequestError(400, f"`{name}` must be finite")
    if low < 0 or high > 255:
        raise RequestError(
            400,
            f"`{name}` must be in 0..255. Received: {low:.6g} to {high:.6g}",
        )
    return array if array.dtype == "uint8" else array.astype("float32")
