"""Presets load over HTTP, from a local server."""

import concurrent.futures
import gzip
import hashlib
import json
import os
import stat
import threading
import urllib.request

import pytest

from keras_facnn import FACNN
from keras_facnn.presets import remote
from tests.presets.server import Server
from tests.presets.server import same

pytestmark = pytest.mark.only_on("torch")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    for name in ("http_proxy", "HTTP_PROXY", "HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home" / "keras_facnn"


@pytest.fixture
def server(small_model, tmp_path, cache):
    root = tmp_path / "www"
    small_model.save_to_preset(root / "preset")
    server = Server(root)
    yield server
    server.close()


def test_loads_a_folder_and_downloads_weights_once(
    server, small_model, cache, capsys
):
    same(FACNN.from_preset(f"{server.url}/preset"), small_model)
    assert "Downloading" in capsys.readouterr().err
    server.requests.clear()
    same(FACNN.from_preset(f"{server.url}/preset/"), small_model)
    assert not any(path.endswith(".h5") for path, _ in server.requests)
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize(
    "handle",
    [
        "hf://repo",
        "hf://user/repo/more",
        "hf://../..",
        "hf://user/..",
        "hf://user/re po",
        "http://example.com/preset",
        "file:///etc",
        "https://",
        "hf://user/repo@",
        "hf://user/repo@../x",
        "https://[::1",
        "https://" + "\u00e4" * 70 + ".example/preset",
        "https://host]/",
    ],
)
def test_refuses_handles_that_are_unsafe(cache, handle):
    with pytest.raises(ValueError, match="must be.*Received"):
        FACNN.from_preset(handle)


@pytest.mark.parametrize("url", ["http://example.com/x", "ftp://127.0.0.1/x"])
def test_refuses_redirects_that_are_unsafe(server, cache, url):
    server.redirect = url
    with pytest.raises(ValueError, match="must be `https://.*Received"):
        FACNN.from_preset(f"{server.url}/preset")
    assert list(cache.iterdir()) == []


def test_other_hosts_may_not_redirect_to_this_machine():
    handler = remote._SafeRedirects()
    request = urllib.request.Request("https://example.com/model.weights.h5")
    with pytest.raises(ValueError, match="must be `https://.*Received"):
        handler.redirect_request(
            request, None, 302, "Found", {}, "http://127.0.0.1:1/secret"
        )


def test_a_damaged_copy_is_fetched_again(server, small_model, cache):
    FACNN.from_preset(f"{server.url}/preset")
    (copy,) = cache.iterdir()
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    same(FACNN.from_preset(f"{server.url}/preset"), small_model)


def test_a_flipped_byte_is_noticed_and_not_kept(server, cache, tmp_path):
    path = tmp_path / "www" / "preset" / "model.weights.h5"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="sha256 should be .* Received"):
        FACNN.from_preset(f"{server.url}/preset")
    assert list(cache.iterdir()) == []


def test_a_cut_download_is_noticed_and_not_kept(server, cache):
    server.cut = 100
    with pytest.raises((ValueError, ConnectionError), match="model.weights.h5"):
        FACNN.from_preset(f"{server.url}/preset")
    assert list(cache.iterdir()) == []


def test_what_is_not_there_is_named(server):
    with pytest.raises(ValueError, match="404 .*Check the address"):
        FACNN.from_preset(f"{server.url}/nothing")


def test_a_server_that_is_away_is_named(server):
    server.close()
    with pytest.raises(ConnectionError, match=f"{server.url}.*fetched"):
        FACNN.from_preset(f"{server.url}/preset")


# --- Misbehaving servers ---


def test_paths_may_be_in_any_script(server, small_model, tmp_path):
    folder = tmp_path / "www" / "m\u00e4rz \u732b"
    small_model.save_to_preset(folder)
    same(FACNN.from_preset(f"{server.url}/m\u00e4rz \u732b"), small_model)
    same(FACNN.from_preset(f"{server.url}/m%C3%A4rz%20%E7%8C%AB"), small_model)


def respond(handler, body=b"", length=None, **headers):
    handler.send_response(200)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)
    return True


def redirect(url):
    def answer(handler):
        handler.send_response(302)
        handler.send_header("Location", url)
        handler.end_headers()
        return True

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        lambda handler: respond(handler, b"{}", length="abc"),
        lambda handler: respond(handler, b"{}", length=-3),
        lambda handler: respond(
            handler, b"-5\r\n{}\r\n0\r\n\r\n", Transfer_Encoding="chunked"
        ),
        lambda handler: respond(handler, gzip.compress(b"{}")),
        lambda handler: respond(handler, b"[" * 10_000),
        lambda handler: respond(handler, b"\xff\xfe"),
        redirect("http://[::1"),
        redirect("https://[::1/x"),
        redirect("https://" + "a" * 70 + ".example/x"),
        redirect("//"),
    ],
    ids=range(10),
)
def test_an_odd_answer_is_one_clear_error(server, answer):
    server.answer = answer
    with pytest.raises((ValueError, ConnectionError), match="config.json"):
        FACNN.from_preset(f"{server.url}/preset")


def test_what_a_server_says_is_one_line_of_text(server):
    """The reason may contain control characters that move a cursor."""

    def answer(handler):
        handler.wfile.write(b"HTTP/1.0 404 No\x1b[2K\x1b]0;t\x07\x9b1m\r\n\r\n")
        return True

    server.answer = answer
    with pytest.raises(ValueError, match=r"said 404 No\\x1b\[2K") as raised:
        FACNN.from_preset(f"{server.url}/preset")
    assert str(raised.value).isprintable()


class Endless:
    """An endless answer, which counts how much of it was read."""

    def __init__(self, ending, length=None):
        self.ending = ending
        self.length = length
        self.sent = 0

    def __call__(self, handler):
        if not handler.path.endswith(self.ending):
            return False
        respond(handler, length=self.length)
        try:
            for _ in range(200):
                handler.wfile.write(b" " * 2**20)
                self.sent += 2**20
        except OSError:
            pass
        return True


@pytest.mark.parametrize("length", [None, 2**40])
@pytest.mark.parametrize("ending", ["config.json", "model.weights.h5"])
def test_reads_no_more_than_a_preset_can_have(server, cache, ending, length):
    server.answer = Endless(ending, length)
    with pytest.raises(ValueError, match=f"{ending} is larger.*Received"):
        FACNN.from_preset(f"{server.url}/preset")
    # The weights of the small model take less than 2 MiB, and the limit of JSON
    # is 16 MiB. A few more may be in transit.
    assert server.answer.sent < 2**25
    assert not cache.exists() or list(cache.iterdir()) == []


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_slow_download_ends_at_the_deadline(server, monkeypatch, part):
    over = threading.Event()

    def drip(handler):
        if part == "headers":
            handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
        else:
            respond(handler)
        try:
            while not over.wait(0.01):
                handler.wfile.write(b"1")
        except OSError:
            pass
        return True

    server.answer = drip
    monkeypatch.setattr(remote, "_SHORTEST_SECONDS", 0.2)
    monkeypatch.setattr(remote, "_SLOWEST_BYTES_PER_SECOND", 2**40)
    with pytest.raises(ConnectionError, match="config.json.*not complete"):
        FACNN.from_preset(f"{server.url}/preset")
    over.set()


# --- The cache ---


@pytest.mark.parametrize("kind", ["pipe", "link", "long"])
def test_reads_only_copies_from_the_cache(server, small_model, cache, kind):
    FACNN.from_preset(f"{server.url}/preset")
    (copy,) = cache.iterdir()
    copy.unlink()
    if kind == "pipe":
        os.mkfifo(copy)
    elif kind == "link":
        copy.symlink_to("/dev/zero")
    else:
        with open(copy, "wb") as file:
            file.truncate(2**40)
    same(FACNN.from_preset(f"{server.url}/preset"), small_model)
    assert stat.S_ISREG(os.lstat(copy).st_mode)


def test_removes_killed_downloads_but_no_running_ones(server, cache):
    cache.mkdir(parents=True)
    dead, alive = cache / "tmpdead.partial", cache / "tmpalive.partial"
    for path in (dead, alive):
        path.write_bytes(b"half")
    os.utime(dead, (0, 0))
    FACNN.from_preset(f"{server.url}/preset")
    assert not dead.exists()
    assert alive.exists()


def test_two_downloads_at_once(server, small_model, cache):
    """Both begin before one of them ends."""
    both = threading.Barrier(2, timeout=60)
    original = server.answer

    def answer(handler):
        if handler.path.endswith(".h5"):
            both.wait()
        return original(handler)

    server.answer = answer
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        website = remote.Website(f"{server.url}/preset")
        sha256 = json.loads(website.read("metadata.json"))["weights"]["sha256"]
        paths = list(
            pool.map(lambda _: website.weights(sha256, 2**21), range(2))
        )
    assert paths[0] == paths[1]
    assert hashlib.sha256(paths[0].read_bytes()).hexdigest() == sha256
    assert len(list(cache.iterdir())) == 1
