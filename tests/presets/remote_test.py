"""Presets over HTTP, from a server on this machine."""

import urllib.request

import pytest

from keras_facnn import FACNN
from keras_facnn.presets import remote
from tests.presets.server import Server
from tests.presets.server import same


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
    assert "Downloading" in capsys.readouterr().out
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
    server.close()
    with pytest.raises(ConnectionError, match=f"{server.url}.*fetched"):
        FACNN.from_preset(f"{server.url}/preset")
