"""Refuse requests before they are read, and count those that are answered."""

import asyncio
import hmac
import re
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp
from starlette.types import Message
from starlette.types import Receive
from starlette.types import Scope
from starlette.types import Send

from keras_facnn.serving.errors import RequestError
from keras_facnn.serving.errors import busy
from keras_facnn.serving.service import Service
from keras_facnn.serving.settings import LOOPBACK

# Probes of containers show no token.
_OPEN = ("/v2/health/live", "/v2/health/ready")
_HOST = re.compile(r"(?:\[([\da-fA-F:.]+)\]|([\w.-]+))(?::\d{1,5})?")
# A client that still sends would not read an early answer. It gets this time
# to end.
_DRAIN_SECONDS = 5.0


class Gate:
    """An ASGI application in front of the endpoints.

    Args:
        app: The ASGI application behind it.
        service: What is served.
    """

    def __init__(self, app: ASGIApp, service: Service):
        self._app = app
        self._settings = service.settings
        self._metrics = service.metrics
        self._requests = 0

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        talk = _Talk(scope, receive, send, self._settings.max_bytes)
        # Probes and Prometheus take no place of those who wait.
        waits = 0
        self._metrics.in_progress.inc()
        try:
            self._check(scope)
            # Only what is admitted takes a place.
            waits = int(scope["method"] == "POST")
            self._requests += waits
            await self._app(scope, talk.receive, talk.send)
        except RequestError as e:
            await e.response()(scope, talk.receive, talk.send)
        finally:
            self._requests -= waits
            self._metrics.in_progress.dec()
            endpoint = getattr(scope.get("route"), "path", "none")
            self._metrics.requests.labels(endpoint, str(talk.status)).inc()
            self._metrics.seconds.labels(endpoint).observe(
                time.perf_counter() - start
            )

    def _check(self, scope: Scope) -> None:
        """Raise if a request may not be answered."""
        headers = Headers(scope=scope)
        # Otherwise a web page could reach this computer's server by a name of
        # its own, which it lets lead here.
        if self._settings.is_local and not _is_local(headers.get("host", "")):
            raise RequestError(421, "This server answers this computer only")
        token = self._settings.token
        if token is not None and scope["path"] not in _OPEN:
            kind, _, shown = headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not hmac.compare_digest(
                shown.strip().encode(), token.encode()
            ):
                raise RequestError(
                    401,
                    "The request must show the server's token",
                    {"WWW-Authenticate": "Bearer"},
                )
        if scope["method"] == "POST" and self._requests >= self._settings.queue:
            raise busy("Too many requests wait; try again")


class _Talk:
    """A request and its answer.

    If the answer begins before the request has ended, the rest of the request
    is read first, and forgotten.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int):
        self._receive = receive
        self._send = send
        self._limit = limit
        headers = Headers(scope=scope)
        # A client that expects an answer before the body has sent none.
        self._is_read = headers.get("expect", "").lower() == "100-continue"
        self.status = 500

    async def receive(self) -> Message:
        """Receive a message, and note the end of the request."""
        message = await self._receive()
        self._is_read = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a message, after the request has ended."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if not self._is_read:
                await self._drain()
        await self._send(message)

    async def _drain(self) -> None:
        """Read at most as many bytes as a request may have."""
        count = 0
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while not self._is_read and count <= self._limit:
                    message = await self.receive()
                    count += len(message.get("body", b""))
        except TimeoutError:
            pass


def _is_local(host: str) -> bool:
    """Whether a request's host is a name of this computer only."""
    found = _HOST.fullmatch(host)
    return found is not None and (found[1] or found[2]).lower() in LOOPBACK
