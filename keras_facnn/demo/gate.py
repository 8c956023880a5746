"""Refuse requests that the page does not make itself."""

import http
import re
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import MutableMapping
from typing import Any
from typing import TypeAlias

# Types of the ASGI protocol.
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Everything else that Gradio answers, such as its proxy and its files, is
# refused.
_ROUTES = {
    "GET": re.compile(
        r"/|/config/?|/favicon\.ico|/theme\.css|/manifest\.json"
        r"|/(assets|static|svelte)/.*"
        r"|/gradio_api/(info/?|startup-events|theme\.css|heartbeat/\w{1,64})"
    ),
    "HEAD": re.compile("/"),
    "POST": re.compile(r"/gradio_api/run/predict/?"),
}

# A name or an IPv6 address, with or without a port.
_HOST = re.compile(
    r"(?:(?P<name>[\w.-]+)|\[(?P<address>[0-9a-fA-F:.]+)\])(?::\d{1,5})?"
)
_HEADERS = (
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class Gate:
    """An ASGI application that passes on only the requests of the page.

    Args:
        app: The ASGI application behind it.
        host: Address that the server listens at. Requests may name it, or
            this computer. At 0.0.0.0 or ::, they may also name any IP address,
            but no other name, because someone else's name may lead here.
        largest: The most bytes of a request's body.
    """

    def __init__(self, app: Application, host: str, largest: int):
        self._app = app
        self._hosts = {host.casefold(), *_LOOPBACK}
        self._any_address = host in ("0.0.0.0", "::")
        self._largest = largest

    async def __call__(
        self, scope: Message, receive: Receive, send: Send
    ) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return None
        status = self._refusal(scope)
        if status is None:
            return await self._app(scope, receive, _guarded(send))
        # A client that is still sending does not read the answer.
        while (await receive()).get("more_body"):
            pass
        return await refuse(send, status)

    def _refusal(self, scope: Message) -> int | None:
        """Return the HTTP status of a refusal, or None."""
        headers: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value.decode("latin-1"))
        hosts = headers.get(b"host", [])
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return 421
        # Pages of other sites could ask in the visitor's name.
        for origin in headers.get(b"origin", []):
            if origin.casefold() != f"http://{hosts[0]}".casefold():
                return 403
        routes = _ROUTES.get(scope["method"])
        if routes is None or not routes.fullmatch(scope["path"]):
            return 404
        if scope["method"] == "POST":
            length = headers.get(b"content-length", [""])[0]
            # A body that comes in chunks may be longer than it says.
            if b"transfer-encoding" in headers or not length.isdecimal():
                return 411
            if int(length) > self._largest:
                return 413
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether a host that a request names is this server."""
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = (found["name"] or found["address"]).casefold()
        is_address = ":" in name or re.fullmatch(r"[\d.]+", name) is not None
        return name in self._hosts or (self._any_address and is_address)


def _guarded(send: Send) -> Send:
    """Forbid other sites to show the page, and browsers to guess types."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", []), *_HEADERS]
            message = {**message, "headers": headers}
        await send(message)

    return guarded


async def refuse(send: Send, status: int) -> None:
    """Answer with an HTTP status and its name, and nothing else."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"text/plain")],
        }
    )
    phrase = http.HTTPStatus(status).phrase.encode()
    await send({"type": "http.response.body", "body": phrase})
