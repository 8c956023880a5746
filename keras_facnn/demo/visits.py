"""Keep the photos of visits to the page only as long as they are needed."""

import asyncio
import binascii
import collections
import json
import re
import secrets
from collections.abc import Callable
from typing import Any

from keras_facnn.demo.gate import Application
from keras_facnn.demo.gate import Message
from keras_facnn.demo.gate import Receive
from keras_facnn.demo.gate import Send
from keras_facnn.demo.gate import refuse

# The most bytes of a question, without the photo that it brings along.
_QUESTION = 2**16
# A visit is over when it has had no connection for this many seconds. A network
# may fail for a moment.
_GRACE = 10
# How many questions are answered at the same time. Each takes a thread, and
# Gradio needs other threads for everything else.
_AT_ONCE = 8
# How many questions wait, each with its photo.
_MOST_WAITING = 64


class Visits:
    """An ASGI application that keeps nothing of a visit that is over.

    Gradio would write photos to files that other requests can name. Here, a
    photo is a data URL inside the question about it. It is taken out of the
    question, and is kept only until the answer.

    Args:
        app: The ASGI application of Gradio.
        photos: Dict that holds the photos of the questions that are being
            answered. In the question, the key of this dict replaces the photo.
        forget: Function that is called with the name of a visit that is over.
    """

    def __init__(
        self,
        app: Application,
        photos: dict[str, bytes],
        forget: Callable[[str], None],
    ):
        self._app = app
        self._photos = photos
        self._forget = forget
        self._connections: collections.Counter[str] = collections.Counter()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def __call__(
        self, scope: Message, receive: Receive, send: Send
    ) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            return await self._answer(scope, receive, send)
        where, _, visit = scope.get("path", "").rpartition("/")
        if not where.endswith("/heartbeat"):
            return await self._app(scope, receive, send)
        self._connections[visit] += 1
        try:
            return await self._app(scope, receive, send)
        finally:
            self._connections[visit] -= 1
            self._end_soon(visit)

    async def _answer(
        self, scope: Message, receive: Receive, send: Send
    ) -> None:
        """Answer a question when it is its turn."""
        try:
            taken = await _take(receive)
        except ValueError:
            return await refuse(send, 400)
        if taken is None:
            return None
        if self._waiting == _MOST_WAITING:
            return await refuse(send, 503)
        self._waiting += 1
        try:
            async with self._turns:
                return await self._ask(*taken, scope, receive, send)
        finally:
            self._waiting -= 1

    async def _ask(
        self,
        question: dict[str, Any],
        key: str,
        photo: bytes,
        scope: Message,
        receive: Receive,
        send: Send,
    ) -> None:
        """Hand a question on to Gradio, without its photo."""
        body = json.dumps(question).encode()
        headers = [
            (name, value)
            for name, value in scope["headers"]
            if name not in (b"content-length", b"content-type")
        ]
        headers.append((b"content-length", str(len(body)).encode()))
        headers.append((b"content-type", b"application/json"))
        messages: list[Message] = [
            {"type": "http.request", "body": body, "more_body": False}
        ]

        async def give() -> Message:
            return messages.pop() if messages else await receive()

        self._photos[key] = photo
        try:
            await self._app({**scope, "headers": headers}, give, send)
        finally:
            del self._photos[key]
            self._end_soon(question["session_hash"])

    def _end_soon(self, visit: str) -> None:
        """End a visit after some seconds, unless it has a connection then."""
        asyncio.get_running_loop().call_later(_GRACE, self._end, visit)

    def _end(self, visit: str) -> None:
        if not self._connections[visit]:
            del self._connections[visit]
            self._forget(visit)


def largest_body(photo: int) -> int:
    """Return the most bytes of a question with a photo.

    Args:
        photo: The number of bytes of the photo.

    Example:

    >>> import keras_facnn
    >>> keras_facnn.demo.visits.largest_body(3)
    65540
    """
    # The photo is written in base 64.
    return _QUESTION + 4 * -(-photo // 3)


async def _take(
    receive: Receive,
) -> tuple[dict[str, Any], str, bytes] | None:
    """Receive a question, and take the photo out of it.

    Returns:
        The question, the key that stands in it for the photo, and the photo's
        bytes; or None if the client has left.

    Raises:
        ValueError: If it is no question of the page.
    """
    body = await _body(receive)
    if body is None:
        return None
    before, quote, rest = body.partition(b'"data:')
    url, _, after = rest.partition(b'"')
    key = secrets.token_hex(16)
    name = b'"%s"' % key.encode() if quote else b""
    question = _question(before + name + after)
    return question, key, binascii.a2b_base64(url.partition(b"base64,")[2])


async def _body(receive: Receive) -> bytearray | None:
    """Return what was sent, or None if the client has left."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


def _question(text: bytes | bytearray) -> dict[str, Any]:
    """Return a question of the page, which has only plain values.

    Gradio would read or fetch a file for any object with a path in it.

    Raises:
        ValueError: If it is no such question.
    """
    if len(text) > _QUESTION:
        raise ValueError("too long")
    try:
        asked = json.loads(text)
        visit, index = asked["session_hash"], asked["fn_index"]
        values = asked["data"]
    except (TypeError, KeyError, RecursionError) as e:
        raise ValueError("no question") from e
    plain = (str, int, float, type(None))
    if (
        type(visit) is not str
        or re.fullmatch(r"\w{1,64}", visit) is None
        or type(index) is not int
        or type(values) is not list
        or not all(isinstance(value, plain) for value in values)
    ):
        raise ValueError("no question of the page")
    return {"session_hash": visit, "fn_index": index, "data": values}
