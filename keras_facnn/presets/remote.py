"""Presets on a web server."""

import functools
import hashlib
import http.client
import os
import pathlib
import socket
import stat
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras

from keras_facnn._checks.text import printable
from keras_facnn.presets import files

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SILENCE_SECONDS = 60
_CHUNK = 2**20
# A fetch may take this long, and as long as its largest size takes at this
# speed.
_SHORTEST_SECONDS = 60
_SLOWEST_BYTES_A_SECOND = 50_000
# A partial copy that no one wrote to for an hour has no living owner.
_ABANDONED_SECONDS = 3600
_PARTIAL = ".partial"


class Website:
    """A preset in a folder of a web server.

    Args:
        handle: `https://...`, the URL of the folder. `http://` is accepted
            from this machine alone.
    """

    def __init__(self, handle: str):
        self.url = _encoded(handle).rstrip("/") + "/"
        _check_url(self.url)

    def read(self, name: str) -> bytes:
        return b"".join(_chunks(self.url + name, files.LARGEST_JSON))

    def weights(self, sha256: str, largest: int) -> pathlib.Path:
        """A local copy of the weights, downloaded if there is none.

        Copies are kept by their hash in `keras_facnn` under `KERAS_HOME`
        (`~/.keras` by default), so a changed file is never mistaken for an
        old one, and nothing is kept whose hash is wrong. Each download has a
        file of its own until it is complete, so several may run at once.
        """
        home = os.environ.get("KERAS_HOME", os.path.join("~", ".keras"))
        cache = pathlib.Path(os.path.expanduser(home)) / "keras_facnn"
        path = cache / f"{sha256}.weights.h5"
        if _is_copy(path, sha256, largest):
            return path
        cache.mkdir(parents=True, exist_ok=True)
        _sweep(cache)
        url = self.url + files.WEIGHTS
        descriptor, partial = tempfile.mkstemp(suffix=_PARTIAL, dir=cache)
        try:
            digest = hashlib.sha256()
            with os.fdopen(descriptor, "wb") as file:
                for chunk in _chunks(url, largest, progress=True):
                    digest.update(chunk)
                    file.write(chunk)
            files.check_sha256(digest.hexdigest(), sha256, url)
            os.chmod(partial, 0o644)
            os.replace(partial, path)
        finally:
            if os.path.exists(partial):
                os.remove(partial)
        return path


def _is_copy(path: pathlib.Path, sha256: str, largest: int) -> bool:
    """Whether a whole copy is there; no link, pipe or device is opened."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return (
        stat.S_ISREG(found.st_mode)
        and found.st_size <= largest
        and files.sha256_of(path) == sha256
    )


def _sweep(cache: pathlib.Path) -> None:
    """Removes what killed downloads have left."""
    for path in cache.glob(f"*{_PARTIAL}"):
        try:
            if time.time() - os.lstat(path).st_mtime > _ABANDONED_SECONDS:
                path.unlink()
        except OSError:  # Another process may be as quick.
            pass


def _chunks(url: str, largest: int, progress: bool = False) -> Iterator[bytes]:
    """Yields the bytes of a URL; failures name it and say what to do."""
    request = urllib.request.Request(url)
    try:
        with _Deadline(
            _SHORTEST_SECONDS + largest / _SLOWEST_BYTES_A_SECOND
        ) as deadline:
            opener = urllib.request.build_opener(
                _SafeRedirects, *deadline.handlers()
            )
            with opener.open(request, timeout=_SILENCE_SECONDS) as response:
                size = response.headers.get("Content-Length", "")
                size = int(size) if size.isdecimal() else None
                files.check_file_size(size or 0, largest, url)
                bar = None
                if progress:
                    print(f"Downloading {url}")
                    bar = keras.utils.Progbar(size, unit_name="byte")
                received = 0
                # What has come is taken at once, so that a server that sends
                # drop by drop meets the deadline.
                while chunk := response.read1(_CHUNK):
                    deadline.check()
                    received += len(chunk)
                    files.check_file_size(received, largest, url)
                    if bar:
                        bar.add(len(chunk))
                    yield chunk
                # A connection that the deadline ended looks like an end.
                deadline.check()
                if size is not None and received < size:
                    raise http.client.IncompleteRead(
                        b"", expected=size - received
                    )
    except urllib.error.HTTPError as e:
        e.close()
        hint = "Check the address."
        if e.code in (401, 403):
            hint = "Only public addresses can be read."
        raise ValueError(
            printable(
                f"{url} could not be fetched: the server said {e.code} "
                f"{e.reason}. {hint}"
            )
        ) from None
    except (OSError, http.client.HTTPException) as e:
        raise ConnectionError(
            printable(
                f"{url} could not be fetched: {getattr(e, 'reason', e)}. "
                "Bundled presets and local folders need no network."
            )
        ) from e
    except ValueError as e:
        raise ValueError(printable(f"{url} could not be fetched: {e}")) from e


class _Deadline:
    """Ends a fetch as a whole; sockets only know how long a silence lasts."""

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._connections: list[http.client.HTTPConnection] = []
        self._timer = threading.Timer(seconds, self._hang_up)
        self._timer.daemon = True

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: object,
    ) -> None:
        self._timer.cancel()
        if isinstance(error, (OSError, http.client.HTTPException)):
            self.check()

    def check(self) -> None:
        if time.monotonic() >= self._end:
            raise TimeoutError(
                f"it was not complete after {self._seconds:.0f} s"
            )

    def handlers(self) -> Iterator[urllib.request.BaseHandler]:
        """Handlers of urllib whose connections the deadline can end."""

        def connect(
            kind: type[http.client.HTTPConnection], *args: Any, **kwargs: Any
        ) -> http.client.HTTPConnection:
            self._connections.append(kind(*args, **kwargs))
            return self._connections[-1]

        for base, kind in (
            (urllib.request.HTTPHandler, http.client.HTTPConnection),
            (urllib.request.HTTPSHandler, http.client.HTTPSConnection),
        ):
            yield _handler(base, functools.partial(connect, kind))

    def _hang_up(self) -> None:
        # While the headers come; then `check` ends it, chunk by chunk.
        for connection in self._connections:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except (AttributeError, OSError):
                pass


def _handler(
    base: Any, connect: Callable[..., http.client.HTTPConnection]
) -> urllib.request.BaseHandler:
    class Handler(base):
        def do_open(self, http_class: Any, request: Any, **options: Any) -> Any:
            return super().do_open(connect, request, **options)

    return Handler()


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: Any,
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        # Only this machine may send one on to this machine.
        _check_url(newurl, loopback=_is_loopback(req.full_url))
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _encoded(url: str) -> str:
    """A URL as servers read it, where people write `ä` or a space."""
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.netloc
        if not host.isascii():
            host = host.encode("idna").decode("ascii")
        path = urllib.parse.quote(parts.path, safe="/%:@!$&'()*+,;=~")
        return urllib.parse.urlunsplit(parts._replace(netloc=host, path=path))
    except ValueError as e:
        raise _bad_url(url, e) from None


def _is_loopback(url: str) -> bool:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK


def _check_url(url: str, loopback: bool = True) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        secure = parts.scheme == "https" and parts.hostname
        if secure or (loopback and _is_loopback(url)):
            return
    except ValueError as e:
        raise _bad_url(url, e) from None
    raise _bad_url(url)


def _bad_url(url: str, error: Exception | None = None) -> ValueError:
    return ValueError(
        "A remote preset must be `https://...` or `hf://user/repo`. "
        f"Received: {url!r}" + (f" ({error})" if error else "")
    )
