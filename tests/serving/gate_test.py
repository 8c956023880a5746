import asyncio
import concurrent.futures
import threading

import numpy as np
import pytest

from keras_facnn.serving import Settings


def test_knows_no_other_addresses(client):
    for method, path, status in (
        ("GET", "/", 404),
        ("GET", "/docs", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/explain", 405),
        ("DELETE", "/v1/models/tiny", 405),
        ("POST", "/v2/health/live", 405),
    ):
        answer = client.request(method, path)
        assert answer.status_code == status, path
        assert answer.json().keys() == {"error"}


def test_answers_only_those_who_know_the_token(connect, pictures):
    client = connect(token="secret")
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert client.get(path).status_code == 200
    for value in (None, "secret", "Bearer", "Bearer other", "Basic secret"):
        headers = {} if value is None else {"Authorization": value}
        for path in ("/metrics", "/v2", "/v1/models/tiny", "/nothing"):
            answer = client.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        answer = client.post("/explain", content=pictures[0], headers=headers)
        assert answer.status_code == 401
        assert "secret" not in answer.text
    answer = client.post(
        "/explain",
        content=pictures[0],
        headers={"Authorization": "Bearer secret"},
    )
    assert answer.status_code == 200


def test_a_name_that_leads_here_is_refused(connect, client):
    for host in ("evil.example", "evil.example:80", "", "127.0.0.1.evil"):
        answer = client.get("/v2", headers={"Host": host})
        assert answer.status_code == 421, host
    for host in ("localhost:8080", "127.0.0.1", "[::1]:80"):
        assert client.get("/v2", headers={"Host": host}).status_code == 200
    # In a container, the name is that of a service.
    answer = connect(host="0.0.0.0").get("/v2", headers={"Host": "maps.local"})
    assert answer.status_code == 200


def test_stops_reading_bodies_that_are_too_long(connect):
    client = connect(max_bytes=1000)
    # The second kind of body comes in chunks, and does not say its length.
    for make_body in (lambda: b"x" * 1001, lambda: iter([b"x" * 500] * 100)):
        for path in (
            "/explain",
            "/v1/models/tiny:predict",
            "/v2/models/tiny/infer",
        ):
            answer = client.post(path, content=make_body())
            assert answer.status_code == 413
            assert "1000 bytes" in answer.json()["error"]
            assert answer.headers["connection"] == "close"
    answer = client.post("/explain", content=b"x" * 1000)
    assert answer.status_code == 400


class SlowExplainer:
    """An explainer that waits until it may answer."""

    def __init__(self, explainer):
        self._explainer = explainer
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.batches = []

    def __getattr__(self, name):
        return getattr(self._explainer, name)

    def __call__(self, images, **options):
        self.batches.append((len(images), options["classes"]))
        assert self.may_answer.wait(30)
        return self._explainer(images, **options)


@pytest.fixture
def slow(explainer):
    slow = SlowExplainer(explainer)
    yield slow
    slow.may_answer.set()


def wait_until(is_true):
    waiting = threading.Event()
    for _ in range(1000):
        if is_true():
            return
        waiting.wait(0.01)
    raise AssertionError


def test_refused_requests_take_no_place(connect, explainer):
    """Also while the rest of their bodies is read."""
    from keras_facnn.serving.gate import Gate

    app = connect(explainer, queue=1, token="secret").app
    gate = Gate(app, app.state.service)
    seen, sent = [], []

    async def receive():
        seen.append(gate._requests)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/explain",
        "headers": [(b"host", b"127.0.0.1")],
    }
    asyncio.run(gate(scope, receive, send))
    assert sent[0]["status"] == 401
    assert seen == [0]


def test_refuses_requests_beyond_the_queue(connect, slow, pictures):
    client = connect(slow, queue=3)
    slow.batches.clear()
    slow.may_answer.clear()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:

        def post():
            return pool.submit(client.post, "/explain", content=pictures[0])

        running = [post()]
        wait_until(lambda: len(slow.batches) == 1)
        running += [post(), post()]
        waiting = "keras_facnn_pictures_waiting 2.0"
        wait_until(lambda: waiting in client.get("/metrics").text)
        answer = client.post("/explain", content=pictures[0])
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert "try again" in answer.json()["error"]
        slow.may_answer.set()
        assert all(r.result().status_code == 200 for r in running)
    assert client.post("/explain", content=pictures[0]).status_code == 200
    image = np.zeros((8, 8, 3), int).tolist()
    answer = client.post(
        "/v1/models/tiny:predict", json={"instances": [image] * 4}
    )
    assert answer.status_code == 413
    assert "at most 3 pictures" in answer.json()["error"]


def test_pictures_of_requests_share_a_batch(connect, slow, explainer, pictures):
    client = connect(slow, batch_size=4)
    slow.batches.clear()
    slow.may_answer.clear()
    paths = ["/explain", "/explain?class=fish", "/explain?class=0"]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:

        def post(i):
            path = paths[i % 3]
            return pool.submit(client.post, path, content=pictures[i % 2])

        running = [post(0)]
        wait_until(lambda: len(slow.batches) == 1)
        running += [post(i) for i in range(1, 12)]
        waiting = "keras_facnn_pictures_waiting 11.0"
        wait_until(lambda: waiting in client.get("/metrics").text)
        slow.may_answer.set()
        answers = [r.result().json() for r in running]
    # 8 with a class of their own, and 3 more without.
    assert sorted(size for size, _ in slow.batches[1:]) == [3, 4, 4]
    for i, answer in enumerate(answers):
        class_ = (None, 2, 0)[i % 3]
        expected = explainer(pictures[i % 2], class_)
        assert answer["class"] == expected["class"][0]
        np.testing.assert_allclose(
            answer["map"], expected["maps"][0], atol=1e-5
        )


def test_bodies_share_a_limit_while_they_are_read():
    from keras_facnn.serving import bodies
    from keras_facnn.serving.errors import RequestError

    room = bodies.Bodies(Settings("m.onnx", max_bytes=6, max_waiting_bytes=10))

    async def read():
        async with room.read(Sent(b"abc", b"def")) as first:
            assert first == b"abcdef"
            with pytest.raises(RequestError, match="Too many bytes") as e:
                async with room.read(Sent(b"abcd", b"e")):
                    pass
            assert e.value.status == 503
            async with room.read(Sent(b"abcd")) as second:
                assert second == b"abcd"
        async with room.read(Sent(b"abcdef")) as third:
            assert third == b"abcdef"

    asyncio.run(read())


class Sent:
    """A request whose body comes in chunks."""

    headers = {}

    def __init__(self, *chunks):
        self._chunks = chunks

    async def stream(self):
        for chunk in self._chunks:
            yield chunk


class ManyClasses(SlowExplainer):
    """An explainer that says to have many classes."""

    num_classes = 1000


def test_limits_the_maps_of_all_classes(connect, explainer):
    # A map of 4x4 locations in float32 takes 64 bytes.
    client = connect(ManyClasses(explainer), max_bytes=2 * 64_000)
    path = "/v1/models/tiny:explain"
    image = np.zeros((8, 8, 3), int).tolist()
    asked = {"instances": [image] * 2, "parameters": {"classes": "all"}}
    assert client.post(path, json=asked).status_code == 200
    asked["instances"] = [image] * 3
    answer = client.post(path, json=asked)
    assert answer.status_code == 413
    assert "at most 2 times" in answer.json()["error"]
    asked["parameters"]["classes"] = 0
    assert client.post(path, json=asked).status_code == 200


def test_answers_in_time(connect, slow, pictures):
    client = connect(slow, timeout=1)
    slow.may_answer.clear()
    answer = client.post("/explain", content=pictures[0])
    assert answer.status_code == 503
    assert "within 1 seconds" in answer.json()["error"]
    slow.may_answer.set()
    assert client.post("/explain", content=pictures[0]).status_code == 200


def test_an_error_of_the_server_is_in_its_log_only(
    connect, slow, pictures, monkeypatch
):
    client = connect(slow)

    def fail(*args, **options):
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(SlowExplainer, "__call__", fail)
    answer = client.post("/explain", content=pictures[0])
    assert answer.status_code == 500
    assert answer.json() == {"error": "The server failed; its log says why"}
    monkeypatch.undo()
    assert client.post("/explain", content=pictures[0]).status_code == 200


def test_counts_for_prometheus(connect, pictures):
    client = connect()
    client.post("/explain", content=pictures[0])
    client.post("/explain", content=b"none")
    client.get("/nothing")
    client.post("/v1/models/other:explain", json={})
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    for line in (
        'keras_facnn_requests_total{endpoint="/explain",status="200"} 1.0',
        'keras_facnn_requests_total{endpoint="/explain",status="400"} 1.0',
        # Not the same as that of /explain.
        "keras_facnn_requests_total"
        '{endpoint="/v1/models/{name}:explain",status="404"} 1.0',
        'keras_facnn_requests_total{endpoint="none",status="404"} 1.0',
        'keras_facnn_request_seconds_count{endpoint="/explain"} 2.0',
        "keras_facnn_batch_pictures_sum 2.0",
        "keras_facnn_pictures_waiting 0.0",
        "keras_facnn_requests_in_progress 1.0",
    ):
        assert line in lines
