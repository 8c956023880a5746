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
from typing import IO
from typing import Any
from typing import Self

from keras_facnn._checks.text import printable
from keras_facnn._progress import Progress
from keras_facnn._progress import say_stage
from keras_facnn.presets import files

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SILENCE_SECONDS = 60
_CHUNK = 2**20
# A download may take this long, plus the time that its largest size takes at
# the slowest speed.
_SHORTEST_SECONDS = 60
_SLOWEST_BYTES_PER_SECOND = 50_000
# If a partial copy was not written to for an hour, its process is gone.
_ABANDONED_SECONDS = 3600
_PARTIAL = ".partial"


class Website:
    """A preset in a folder of a web server.

    Args:
        handle: `https://...`, the URL of the folder. `http://` is accepted
            only for this machine.
    """

    def __init__(self, handle: str):
        self.url = _encoded(handle).rstrip("/") + "/"
        _check_url(self.url)

    def read(self, name: str) -> bytes:
        """Return the bytes of a JSON file."""
        return b"".join(_chunks(self.url + name, files.LARGEST_JSON))

    def weights(self, sha256: str, largest: int) -> pathlib.Path:
        """Return the path of a local copy of the weights.

        The file is downloaded if there is no copy. Copies are in the folder
        `keras_facnn` of `KERAS_HOME` (`~/.keras` by default). Their names are
        their hashes, so a changed file is never mistaken for an old one. No
        file with a wrong hash is kept. Each download writes to a separate file
        until it is complete, so several downloads may run at the same time.
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
    """Whether there is a complete copy. No link, pipe or device is opened."""
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
    """Remove the partial copies of killed downloads."""
    for path in cache.glob(f"*{_PARTIAL}"):
        try:
            if time.time() - os.lstat(path).st_mtime > _ABANDONED_SECONDS:
                path.unlink()
        except OSError:  # Another process may have removed it.
            pass


def _chunks(url: str, largest: int, progress: bool = False) -> Iterator[bytes]:
    """Yield the bytes of a URL. Errors name it and say what to do.

    Args:
        url: The URL of a file.
        largest: The most bytes that it may have.
        progress: Whether to print a progress bar.
    """
    request = urllib.request.Request(url)
    try:
        with _Deadline(
            _SHORTEST_SECONDS + largest / _SLOWEST_BYTES_PER_SECOND
        ) as deadline:
            opener = urllib.request.build_opener(
                _SafeRedirects, *deadline.handlers()
            )
            with opener.open(request, timeout=_SILENCE_SECONDS) as response:
                length = response.headers.get("Content-Length", "")
                size = int(length) if length.isdecimal() else None
                files.check_file_size(size or 0, largest, url)
                say_stage(f"Downloading {url}", shown=progress)
                bar = Progress(size or 0, "byte", shown=progress)
                received = 0
                # Read what is there, and do not wait for more, so that a slow
                # server meets the deadline.
                while chunk := response.read1(_CHUNK):
                    deadline.check()
                    received += len(chunk)
                    files.check_file_size(received, largest, url)
                    bar.add(len(chunk))
                    yield chunk
                # A connection that the deadline closed looks complete.
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
    """A limit for the time of a whole download.

    The timeout of a socket only limits the time between two chunks.

    Args:
        seconds: How long the download may take.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._connections: list[http.client.HTTPConnection] = []
        self._timer = threading.Timer(seconds, self._hang_up)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self._timer.cancel()
        if isinstance(error, (OSError, http.client.HTTPException)):
            self.check()

    def check(self) -> None:
        """Raise if the time is over."""
        if time.monotonic() >= self._end:
            raise TimeoutError(
                f"it was not complete after {self._seconds:.0f} s"
            )

    def handlers(self) -> Iterator[urllib.request.BaseHandler]:
        """Yield handlers of urllib whose connections `_hang_up` can close."""

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
        # This ends a wait for the headers. After them, `check` ends the
        # download between two chunks.
        for connection in self._connections:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except (AttributeError, OSError):
                pass


def _handler(
    base: Any, connect: Callable[..., http.client.HTTPConnection]
) -> urllib.request.BaseHandler:
    """Return a handler of urllib that makes its connections by `connect`."""

    class Handler(base):
        def do_open(self, http_class: Any, request: Any, **options: Any) -> Any:
            return super().do_open(connect, request, **options)

    return Handler()


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        # Only a server on this machine may redirect to this machine.
        _check_url(newurl, loopback=_is_loopback(req.full_url))
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _encoded(url: str) -> str:
    """Return a URL as servers read it, in which `ä` and spaces are encoded."""
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
    """Raise if a URL is not of https, nor of this machine if it may be."""
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
