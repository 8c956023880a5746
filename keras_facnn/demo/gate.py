"""What may reach the page: its own hosts, and the routes that it uses."""

import http
import re
import typing
from collections.abc import Awaitable
from collections.abc import Callable

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
# All else that Gradio answers, such as its proxy and its files, is refused.
_ROUTES = {
    "GET": re.compile(
        r"/|/config/?|/favicon\.ico|/theme\.css|/manifest\.json"
        r"|/(assets|static|svelte)/.*"
        r"|/gradio_api/(info/?|startup-events|theme\.css|heartbeat/\w{1,64})"
    ),
    "HEAD": re.compile("/"),
    "POST": re.compile(r"/gradio_api/run/predict/?"),
}

# A name or an IPv6 address, and maybe a port.
_HOST = re.compile(
    r"(?:(?P<name>[\w.-]+)|\[(?P<address>[0-9a-fA-F:.]+)\])(?::\d{1,5})?"
)
_HEADERS = (
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


# What an ASGI server hands to an application.
Scope: typing.TypeAlias = dict[str, typing.Any]
Message: typing.TypeAlias = dict[str, typing.Any]
Receive: typing.TypeAlias = Callable[[], Awaitable[Message]]
Send: typing.TypeAlias = Callable[[Message], Awaitable[None]]


class Gate:
    """An ASGI application that lets through what the page needs.

    Args:
        app: The ASGI application behind it.
        host: Address that is listened at. Besides it, names of this computer
            are taken; at 0.0.0.0 or ::, any address, but no name, since a
            name may be another's that leads here.
        largest: Most bytes of a request's body.
    """

    def __init__(self, app: typing.Any, host: str, largest: int):
        self._app = app
        self._hosts = {host.casefold(), *_LOOPBACK}
        self._any_address = host in ("0.0.0.0", "::")
        self._largest = largest

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return None
        status = self._refusal(scope)
        if status is None:
            return await self._app(scope, receive, _guarded(send))
        # One who still sends would not read the answer.
        while (await receive()).get("more_body"):
            pass
        return await refuse(send, status)

    def _refusal(self, scope: Scope) -> int | None:
        """The status of a refusal, or None."""
        headers: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value.decode("latin-1"))
        hosts = headers.get(b"host", [])
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return 421
        # A page of another site, which asks in a visitor's name.
        for origin in headers.get(b"origin", []):
            if origin.casefold() != f"http://{hosts[0]}".casefold():
                return 403
        routes = _ROUTES.get(scope["method"])
        if routes is None or not routes.fullmatch(scope["path"]):
            return 404
        if scope["method"] == "POST":
            length = headers.get(b"content-length", [""])[0]
            # Of a body that comes in chunks, a length says nothing.
            if b"transfer-encoding" in headers or not length.isdecimal():
                return 411
            if int(length) > self._largest:
                return 413
        return None

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = (found["name"] or found["address"]).casefold()
        is_address = ":" in name or re.fullmatch(r"[\d.]+", name) is not None
        return name in self._hosts or (self._any_address and is_address)


def _guarded(send: Send) -> Send:
    """Forbids other sites to show the page, and browsers to guess types."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", []), *_HEADERS]
            message = {**message, "headers": headers}
        await send(message)

    return guarded


async def refuse(send: Send, status: int) -> None:
    """Answers with a status and its name, and no more."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"text/plain")],
        }
    )
    phrase = http.HTTPStatus(status).phrase.encode()
    await send({"type": "http.response.body", "body": phrase})
