"""Load a server with many clients, and check its answers, time and memory.

    keras-facnn serve cifar10.onnx &
    python -m zoo.load --pid $! --pictures photos/

Clients ask for the class and the logits, with maps and without, in turns of
some seconds. One request in twenty is hostile: cut off, too long, no picture, a
picture of 100 megapixels, damaged JSON, NaN, no HTTP at all. The answers must
equal those that the server gave to one client before. It prints the time of
requests of both kinds, the ratio of their 99th percentiles, the memory of the
server and what hostile requests got. It needs a Linux computer.
"""

from __future__ import annotations

import asyncio
import collections
import io
import json
import os
import pathlib
import random
import time
from typing import Any
from typing import NamedTuple

import numpy as np
from absl import app
from absl import flags
from PIL import Image

FLAGS = flags.FLAGS
COUNT = 64
# Requests of this share of a turn are not counted, because the server may still
# answer those of the other kind.
WARM = 0.3
TOLERANCE = 1e-5


def define_flags() -> None:
    flags.DEFINE_integer("port", 8080, "Port of the server, on this computer.")
    flags.DEFINE_integer(
        "pid", None, "Number of the server's process.", required=True
    )
    flags.DEFINE_string("name", "cifar10", "Name of the model.")
    flags.DEFINE_string("pictures", None, "Folder of pictures.", required=True)
    flags.DEFINE_integer("clients", 32, "Clients at a time.")
    flags.DEFINE_float("seconds", 300, "How long to load the server.")
    flags.DEFINE_float("turn", 20, "Seconds of one kind of requests.")
    flags.DEFINE_float("hostile", 0.05, "Share of hostile requests.")


class Answer(NamedTuple):
    """An answer over HTTP."""

    status: int
    body: bytes


class Times(NamedTuple):
    """The seconds of the counted requests, and what went wrong."""

    by_kind: dict[bool, list[float]]
    wrong: list[str]
    hostile: collections.Counter[str]


def request(path: str, body: bytes, headers: str = "") -> bytes:
    """Return a request over HTTP."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Length: {len(body)}\r\n{headers}\r\n"
    ).encode() + body


def infer(name: str, tensor: dict[str, Any], data: bytes, maps: bool) -> bytes:
    """Return a request of version 2, with a binary tensor."""
    outputs = ["class", "logits", *(["maps"] if maps else [])]
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "images",
                    **tensor,
                    "parameters": {"binary_data_size": len(data)},
                }
            ],
            "outputs": [{"name": output} for output in outputs],
        }
    ).encode()
    return request(
        f"/v2/models/{name}/infer",
        head + data,
        f"Inference-Header-Content-Length: {len(head)}\r\n",
    )


def hostile_requests(name: str, picture: bytes) -> dict[str, bytes]:
    """Return requests that no server should answer with a result."""
    file = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(file, "PNG")
    url = f"/v2/models/{name}/infer"
    post = b"POST /explain HTTP/1.1\r\nHost: localhost\r\n"
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    nan = np.full((1, 4, 4, 3), np.nan, "f4").tobytes()
    tensor = {"shape": [1, 4, 4, 3], "datatype": "FP32"}
    return {
        "empty": request("/explain", b""),
        "no picture": request("/explain", os.urandom(200_000)),
        "cut picture": request("/explain", picture[: len(picture) // 2]),
        "100 megapixels": request("/explain", file.getvalue()),
        "no JSON": request(url, b"{" * 1000),
        "deep JSON": request(url, b"[" * 200_000),
        "wrong shape, NaN": infer(name, tensor, nan, True),
        "unknown class": request("/explain?class=no+such", picture),
        "broken form": request(
            "/explain",
            b"--x\r\nbroken",
            "Content-Type: multipart/form-data; boundary=x\r\n",
        ),
        "says a terabyte": post + b"Content-Length: 1099511627776\r\n\r\nx",
        "sends 20 MB": post
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + chunk * 300
        + b"0\r\n\r\n",
        "never ends": post + b"Content-Length: 5000\r\n\r\nx",
        "no HTTP": b"\x16\x03\x01\x00garbage\r\n\r\n",
        "a file": b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    }


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read one answer of a connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return Answer(int(head[9:12]), await reader.readexactly(length))


async def ask_once(port: int, data: bytes, seconds: float) -> str:
    """Send a request on a connection of its own, and tell what came."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        try:
            async with asyncio.timeout(seconds):
                return str((await read_answer(reader)).status)
        except TimeoutError:
            return "left"
        finally:
            writer.close()
    except (OSError, asyncio.IncompleteReadError):
        return "closed"


def outputs_of(answer: Answer) -> dict[str, np.ndarray]:
    """Return the tensors of an answer, or raise if it is an error."""
    if answer.status != 200:
        raise ValueError(f"{answer.status}: {answer.body[:200]!r}")
    outputs = json.loads(answer.body)["outputs"]
    return {output["name"]: np.array(output["data"]) for output in outputs}


class Load:
    """Clients of a server."""

    def __init__(self, port: int, name: str, files: list[bytes]):
        self._port = port
        tensor = {"shape": [1], "datatype": "BYTES"}
        self._requests = {
            maps: [
                infer(name, tensor, len(f).to_bytes(4, "little") + f, maps)
                for f in files
            ]
            for maps in (False, True)
        }
        self._hostile = hostile_requests(name, files[0])
        self._expected: list[dict[str, np.ndarray]] = []
        self.times = Times({False: [], True: []}, [], collections.Counter())
        self._maps = False
        self._counted = False
        self._end = 0.0

    async def run(self, clients: int, seconds: float, turn: float) -> None:
        """Ask each question with one client, then with many at once."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        for data in self._requests[True]:
            writer.write(data)
            self._expected.append(outputs_of(await read_answer(reader)))
        writer.close()
        start = time.perf_counter()
        self._end = start + seconds
        tasks = [asyncio.create_task(self._client(i)) for i in range(clients)]
        number = 0
        while (now := time.perf_counter()) < self._end:
            number = int((now - start) / turn)
            # Without, with, with, without: a drift does not favor one kind.
            self._maps = number % 4 in (1, 2)
            self._counted = (now - start) % turn > WARM * turn
            await asyncio.sleep(0.1)
        await asyncio.gather(*tasks)

    async def _client(self, seed: int) -> None:
        rng = random.Random(seed)
        writer = None
        while time.perf_counter() < self._end:
            if rng.random() < FLAGS.hostile:
                kind = rng.choice(list(self._hostile))
                came = await ask_once(self._port, self._hostile[kind], 3)
                self.times.hostile[f"{kind}: {came}"] += 1
                # The server closes a connection that was idle for 5 seconds,
                # perhaps just when it is used again.
                if writer is not None:
                    writer.close()
                    writer = None
                continue
            maps, counted = self._maps, self._counted
            number = rng.randrange(len(self._expected))
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection(
                        "127.0.0.1", self._port
                    )
                start = time.perf_counter()
                writer.write(self._requests[maps][number])
                answer = await read_answer(reader)
                if counted:
                    seconds = time.perf_counter() - start
                    self.times.by_kind[maps].append(seconds)
                self._check(number, answer)
            except (OSError, ValueError, asyncio.IncompleteReadError) as e:
                self.times.wrong.append(str(e) or type(e).__name__)
                writer = None

    def _check(self, number: int, answer: Answer) -> None:
        for name, values in outputs_of(answer).items():
            error = np.abs(values - self._expected[number][name]).max()
            if not error <= TOLERANCE:
                raise ValueError(f"{name} is {error} off")


def memory(pid: int) -> float:
    """Return the megabytes of memory of a process."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text("ascii")
    (line,) = [x for x in text.splitlines() if x.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


async def watch(pid: int, seconds: float) -> list[float]:
    """Return the memory of a process after each tenth of the time."""
    found = []
    for _ in range(10):
        await asyncio.sleep(seconds / 10)
        found.append(memory(pid))
    return found


def report(times: Times, used: list[float]) -> str:
    """Return what happened, as text."""
    lines = []
    last = {}
    for maps, found in times.by_kind.items():
        milliseconds = np.array(found or [np.nan]) * 1000
        middle, last[maps] = np.percentile(milliseconds, (50, 99))
        lines.append(
            f"{'with' if maps else 'without'} maps: {len(found)} requests, "
            f"median {middle:.1f} ms, 99th percentile {last[maps]:.1f} ms"
        )
    ratio = last[True] / last[False]
    lines.append(f"99th percentile, with maps / without: {ratio:.3f}")
    memories = " ".join(f"{megabytes:.0f}" for megabytes in used)
    lines.append(f"memory after each tenth of the time, MB: {memories}")
    lines.append(f"wrong answers: {len(times.wrong)} {times.wrong[:3]}")
    for kind, count in sorted(times.hostile.items()):
        lines.append(f"hostile, {kind} ({count})")
    return "\n".join(lines)


async def load() -> str:
    """Load the server that the flags name."""
    folder = pathlib.Path(FLAGS.pictures)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [path.read_bytes() for path in paths[:COUNT]]
    clients = Load(FLAGS.port, FLAGS.name, files)
    used, _ = await asyncio.gather(
        watch(FLAGS.pid, FLAGS.seconds),
        clients.run(FLAGS.clients, FLAGS.seconds, FLAGS.turn),
    )
    return report(clients.times, used)


def main() -> None:
    """Run the program."""
    print(asyncio.run(load()))


if __name__ == "__main__":
    define_flags()
    app.run(lambda argv: main())
