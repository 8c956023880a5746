"""Presets over HTTP, from a server on this machine."""

import http.server
import threading
import urllib.request

import numpy as np
import pytest

from keras_facnn import FACNN
from keras_facnn.presets import remote


class Server:
    """Serves a folder; `requests` are the (path, token) that it was asked."""

    def __init__(self, folder):
        self.requests = requests = []
        self.redirect = None
        self.cut = 0
        server = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args):
                super().__init__(*args, directory=str(folder))

            def do_GET(self):
                requests.append((self.path, self.headers["Authorization"]))
                if server.redirect and self.path.endswith(".h5"):
                    self.send_response(307)
                    self.send_header("Location", server.redirect)
                    self.end_headers()
                elif server.cut and self.path.endswith(".h5"):
                    content = (folder / self.path.lstrip("/")).read_bytes()
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content[: -server.cut])
                else:
                    super().do_GET()

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


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
    small_model.save_to_preset(root / "user" / "repo" / "resolve" / "main")
    server = Server(root)
    yield server
    server.http.shutdown()
    server.http.server_close()


def same(model, other):
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_loads_a_folder_and_downloads_weights_once(
    server, small_model, cache, capsys
):
    same(FACNN.from_preset(f"{server.url}/preset"), small_model)
    assert "Downloading" in capsys.readouterr().out
    server.requests.clear()
    same(FACNN.from_preset(f"{server.url}/preset/"), small_model)
    assert not any(path.endswith(".h5") for path, _ in server.requests)
    assert len(list(cache.iterdir())) == 1


def test_loads_from_the_hub(server, small_model, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", "secret")
    same(FACNN.from_preset("hf://user/repo"), small_model)
    assert {token for _, token in server.requests} == {"Bearer secret"}


def test_the_token_stays_with_the_hub(
    server, small_model, tmp_path, monkeypatch
):
    other = Server(tmp_path / "www")
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", "secret")
    server.redirect = f"{other.url}/preset/model.weights.h5"
    same(FACNN.from_preset("hf://user/repo"), small_model)
    assert other.requests == [("/preset/model.weights.h5", None)]
    other.http.shutdown()
    other.http.server_close()


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
    ],
)
def test_refuses_handles_that_are_unsafe(cache, handle):
    with pytest.raises(ValueError, match="must be.*Received"):
        FACNN.from_preset(handle)


def test_the_token_comes_along_within_the_hub(server, small_model, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", "secret")
    server.redirect = f"{server.url}/user/repo/resolve/main/model.weights.h5?x"
    same(FACNN.from_preset("hf://user/repo"), small_model)
    assert {token for _, token in server.requests} == {"Bearer secret"}


@pytest.mark.parametrize("url", ["http://example.com/x", "ftp://127.0.0.1/x"])
def test_refuses_redirects_that_are_unsafe(server, cache, url):
    server.redirect = url
    with pytest.raises(ValueError, match="must be `https://.*Received"):
        FACNN.from_preset(f"{server.url}/preset")
    assert list(cache.iterdir()) == []


def test_no_one_else_may_redirect_to_this_machine():
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
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(ConnectionError, match=f"{server.url}.*fetched"):
        FACNN.from_preset(f"{server.url}/preset")
