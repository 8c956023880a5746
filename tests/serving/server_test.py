import os
import pathlib
import signal
import socket
import subprocess
import sys

import pytest

from keras_facnn.cli import main as cli
from keras_facnn.serving import Settings

POST = b"POST /explain HTTP/1.1\r\nHost: localhost\r\n"
ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def start(model_path):
    """Return a function that starts a server and returns it and its port."""
    servers = []

    def start(*options, **environment):
        server = subprocess.Popen(
            [sys.executable, "-m", "keras_facnn", "serve"]
            + [str(model_path), "--port", "0", *options],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **environment},
        )
        servers.append(server)
        line = server.stdout.readline()
        assert line.startswith("Serving at http://127.0.0.1:"), line
        return server, int(line.split(":")[2].split()[0])

    yield start
    for server in servers:
        server.kill()
        server.wait()
        server.stdout.close()


def send(connection, picture, cut):
    """Send a request without the last `cut` bytes, and return those."""
    head = POST + b"Content-Length: %d\r\n\r\n" % len(picture)
    connection.sendall(head + picture[:-cut])
    return picture[-cut:]


def read_answer(connection):
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
        if received.endswith(b"}"):
            break
    return received


@pytest.mark.only_on("torch")
@pytest.mark.posix
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_what_has_begun(
    start, pictures, workers, number
):
    server, port = start("--workers", workers)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as one:
        rest = send(one, pictures[0], len(pictures[0]))
        one.sendall(rest)
        assert b" 200 OK" in read_answer(one)
        # The answer shows that the server runs. The next request is half sent
        # when the signal comes.
        rest = send(one, pictures[1], 10)
        server.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            server.wait(1)
        one.sendall(rest)
        assert b" 200 OK" in read_answer(one)
    assert server.wait(60) == 0
    assert server.stdout.read() == "The server has ended\n"


@pytest.mark.only_on("torch")
@pytest.mark.posix
def test_takes_the_token_from_the_environment(start):
    _, port = start(KERAS_FACNN_TOKEN="abc")
    with socket.create_connection(("127.0.0.1", port), timeout=60) as one:
        one.sendall(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 401 " in read_answer(one)


@pytest.mark.only_on("torch")
@pytest.mark.posix
def test_survives_what_is_no_http(start, pictures):
    server, port = start()
    for data in (
        b"",
        b"\x16\x03\x01\x02\x00\x01\x00",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 9\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as one:
            one.sendall(data)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as one:
        one.sendall(send(one, pictures[0], 1))
        assert b" 200 OK" in read_answer(one)


@pytest.mark.only_on("torch")
def test_says_what_is_wrong(capsys, monkeypatch, tmp_path, model_path):
    def fails(*arguments):
        assert cli.main(["serve", *map(str, arguments)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        return line

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"127.0.0.1, port {port}" in fails(model_path, "--port", port)
    assert "`port` must be" in fails(model_path, "--port", "70000")
    assert "`workers` must be" in fails(model_path, "--workers", "0")
    assert "There is no file" in fails(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"bad")
    assert "cannot be opened" in fails(tmp_path / "bad.onnx")
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    line = fails(model_path)
    assert "needs prometheus_client" in line
    assert "pip install 'keras-facnn[serve]'" in line


def test_settings_are_checked_and_hide_the_token():
    assert "secret" not in repr(Settings("m.onnx", token="secret"))
    for wrong in (
        {"name": "a/b"},
        {"name": ""},
        {"token": ""},
        {"token": "a\nb"},
        {"max_pixels": 2**27},
        {"timeout": float("nan")},
    ):
        with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be"):
            Settings("m.onnx", **wrong)


@pytest.mark.only_on("torch")
@pytest.mark.posix
def test_a_new_worker_forgets_a_killed_one(tmp_path):
    """Otherwise its requests would be in progress forever."""
    code = """
import os, signal
from keras_facnn.serving.metrics import Metrics
metrics = Metrics()
metrics.in_progress.inc()
if os.environ["DIES"]:
    os.kill(os.getpid(), signal.SIGKILL)
print(metrics.text()[0].decode())
"""
    for dies in ("1", ""):
        run = subprocess.run(
            [sys.executable, "-c", code],
            env={
                **os.environ,
                "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
                "KERAS_FACNN_SKIPS_KERAS": "1",
                "DIES": dies,
            },
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
    assert "keras_facnn_requests_in_progress 1.0" in run.stdout.splitlines()


@pytest.mark.only_on("torch")
def test_grace_of_less_than_a_second_is_not_none(monkeypatch, model_path):
    import uvicorn

    seen = []

    def run(server, sockets):
        seen.append(server.config.timeout_graceful_shutdown)

    monkeypatch.setattr(uvicorn.Server, "run", run)
    cli.main(["serve", str(model_path), "--port", "0", "--grace", "0.9"])
    assert seen == [1]
