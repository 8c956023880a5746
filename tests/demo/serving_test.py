import socket
import sys

import pytest

import keras_facnn
from keras_facnn.cli import main as cli
from keras_facnn.demo import serving
from keras_facnn.demo import surroundings


def test_every_bundled_preset_has_sample_pictures():
    for name in keras_facnn.FACNN.presets:
        paths = serving.sample_paths(name)
        assert paths, name
        assert surroundings.samples_html(paths).count("<button") == len(paths)
    assert serving.sample_paths("my/preset") == []
    assert serving.sample_paths("..") == []


def test_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert cli.main(["demo"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("keras_facnn: error: The page needs Gradio")
    assert "pip install 'keras-facnn[demo]'" in line
    assert "pip install '.[demo]'" in line


@pytest.mark.only_on("torch")
def test_says_that_the_port_is_in_use(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert cli.main(["demo", "--port", port]) == 1
        *_, line = capsys.readouterr().err.splitlines()
        assert f"127.0.0.1, port {port}" in line
    assert cli.main(["demo", "--port", "70000"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "--port must be 0 to 65535. Received: 70000" in line
