"""Files of presets that live on a web server or the Hugging Face Hub."""

import hashlib
import http.client
import os
import re
import tempfile
import urllib.error
import urllib.parse
import urllib.request

import keras

_HUB = "https://huggingface.co"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_TIMEOUT_SECONDS = 60
_LARGEST_JSON = 2**24
_CHUNK = 2**20


def is_remote(handle):
    return "://" in handle


def folder_url(handle):
    """The URL of the folder that a remote handle names.

    Args:
        handle: String, `https://...` or `hf://user/repo`. `http://` is
            accepted from this machine alone.

    Returns:
        A URL that ends in a slash.
    """
    scheme, _, rest = handle.partition("://")
    if scheme == "hf":
        rest = rest.rstrip("/")
        if not _REPOSITORY.fullmatch(rest) or ".." in rest:
            raise ValueError(
                "A handle on the Hugging Face Hub must be `hf://user/repo`. "
                f"Received: {handle!r}"
            )
        hub = os.environ.get("HF_ENDPOINT", _HUB).rstrip("/")
        url = f"{hub}/{rest}/resolve/main/"
    else:
        url = handle.rstrip("/") + "/"
    _check_url(url)
    return url


def fetch_text(url):
    """The text of a small remote file."""
    content = b""
    for chunk in _chunks(url):
        content += chunk
        if len(content) > _LARGEST_JSON:
            raise ValueError(f"{url} is larger than {_LARGEST_JSON} bytes.")
    return content.decode("utf-8")


def fetch_weights(url, sha256):
    """A local copy of a remote weights file, downloaded if there is none.

    Copies are kept by their hash in `keras_facnn` under `KERAS_HOME`
    (`~/.keras` by default), so a changed file is never mistaken for an old
    one, and nothing is kept whose hash is wrong.

    Args:
        url: URL of the file.
        sha256: Its expected SHA-256, in hexadecimal.

    Returns:
        The path of the copy.
    """
    home = os.environ.get("KERAS_HOME", os.path.join("~", ".keras"))
    cache = os.path.join(os.path.expanduser(home), "keras_facnn")
    path = os.path.join(cache, f"{sha256}.weights.h5")
    if os.path.exists(path) and file_sha256(path) == sha256:
        return path
    os.makedirs(cache, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(suffix=".partial", dir=cache)
    try:
        digest = hashlib.sha256()
        with os.fdopen(descriptor, "wb") as file:
            for chunk in _chunks(url, progress=True):
                digest.update(chunk)
                file.write(chunk)
        received = digest.hexdigest()
        if received != sha256:
            raise ValueError(
                f"{url} is damaged or was changed: its sha256 should be "
                f"{sha256}. Received: {received}. Nothing was kept; try again, "
                "or ask whoever published the preset."
            )
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.remove(partial)
    return path


def _chunks(url, progress=False):
    """Yields the bytes of a URL; failures name it and say what to do."""
    request = urllib.request.Request(url)
    token = os.environ.get("HF_TOKEN")
    hub = os.environ.get("HF_ENDPOINT", _HUB)
    if token and _origin(url) == _origin(hub):
        # Unredirected: the Hub sends downloads on to other hosts, which must
        # not see the token.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    opener = urllib.request.build_opener(_SafeRedirects)
    try:
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
            size = response.headers.get("Content-Length")
            if progress:
                print(f"Downloading {url}")
                bar = keras.utils.Progbar(size and int(size), unit_name="byte")
            while chunk := response.read(_CHUNK):
                if progress:
                    bar.add(len(chunk))
                yield chunk
    except urllib.error.HTTPError as e:
        hint = "Check the address."
        if e.code in (401, 403):
            hint = "Is it private? A token for the Hub is read from HF_TOKEN."
        raise ValueError(
            f"{url} could not be fetched: the server said {e.code} "
            f"{e.reason}. {hint}"
        ) from None
    except (OSError, http.client.HTTPException) as e:
        raise ConnectionError(
            f"{url} could not be fetched: {getattr(e, 'reason', e)}. Bundled "
            "presets and local folders need no network."
        ) from e


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        # Only this machine may send one on to this machine.
        _check_url(newurl, loopback=_is_loopback(req.full_url))
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        token = req.unredirected_hdrs.get("Authorization")
        if token and _origin(newurl) == _origin(req.full_url):
            new.add_unredirected_header("Authorization", token)
        return new


def file_sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _origin(url):
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc


def _is_loopback(url):
    parts = urllib.parse.urlsplit(url)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK


def _check_url(url, loopback=True):
    parts = urllib.parse.urlsplit(url)
    secure = parts.scheme == "https" and parts.hostname
    if not secure and not (loopback and _is_loopback(url)):
        raise ValueError(
            "A remote preset must be `https://...` or `hf://user/repo`. "
            f"Received: {url!r}"
        )
