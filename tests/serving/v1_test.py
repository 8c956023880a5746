import base64

import numpy as np
import pytest


def encode(picture):
    return base64.b64encode(picture).decode()


def test_names_the_model(client):
    assert client.get("/v1/models").json() == {"models": ["tiny"]}
    status = client.get("/v1/models/tiny").json()
    assert status == {"name": "tiny", "ready": True}
    assert client.get("/v1/models/other").status_code == 404


@pytest.mark.parametrize(
    "wrap", [lambda b64: {"b64": b64}, lambda b64: {"image": {"b64": b64}}]
)
def test_predicts_pictures(client, explainer, pictures, wrap):
    answer = client.post(
        "/v1/models/tiny:predict",
        json={"instances": [wrap(encode(p)) for p in pictures]},
    )
    assert answer.status_code == 200
    rows = answer.json()["predictions"]
    expected = explainer(pictures)
    assert [row["name"] for row in rows] == list(expected["name"])
    np.testing.assert_allclose(
        [row["probabilities"] for row in rows],
        expected["probabilities"],
        atol=1e-6,
    )
    assert all("map" not in row for row in rows)


@pytest.mark.parametrize("classes", [None, "dog", 2, ["cat", 1, "fish"]])
def test_explains_pixels(client, explainer, classes):
    images = np.random.default_rng(2).integers(0, 256, (3, 8, 8, 3))
    answer = client.post(
        "/v1/models/tiny:explain",
        json={
            "instances": images.tolist(),
            "parameters": {"classes": classes},
        },
    )
    assert answer.status_code == 200
    rows = answer.json()["explanations"]
    if isinstance(classes, list):
        classes = [0, 1, 2]
    expected = explainer(images, classes)
    assert [row["class"] for row in rows] == list(expected["class"])
    np.testing.assert_allclose(
        [row["map"] for row in rows], expected["maps"], atol=1e-5
    )


def test_explains_all_classes(client, explainer, pictures):
    answer = client.post(
        "/v1/models/tiny:explain",
        json={
            "instances": [{"b64": encode(pictures[0])}],
            "parameters": {"classes": "all"},
        },
    )
    (row,) = answer.json()["explanations"]
    expected = explainer(pictures[0], "all")["maps"][0]
    np.testing.assert_allclose(row["map"], expected, atol=1e-5)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing",
        b"[]",
        b"{}",
        b'{"instances": []}',
        b'{"instances": {}}',
        b'{"instances": [[1, 2]]}',
        b'{"instances": [null]}',
        b'{"instances": ["text"]}',
        b'{"instances": [{"b64": 5}]}',
        b'{"instances": [{"b64": "*"}]}',
        b'{"instances": [{"b64": ""}]}',
        b'{"instances": [{"b64": "aGVsbG8="}]}',
        b'{"instances": [{}]}',
        b'{"instances": [{"a": 1, "b": 2}]}',
        b'{"instances": [NaN]}',
        b'{"instances": [' + b"[" * 100_000,
        b'{"instances": [1e999]}',
        b'{"instances": [' + b"9" * 5000 + b"]}",
        b'{"instances": [[1]], "parameters": 5}',
        b'\xff\xfe{"instances": []}',
    ],
    ids=lambda body: body[:30],
)
def test_refuses_wrong_bodies(client, body):
    for verb in ("predict", "explain"):
        answer = client.post(f"/v1/models/tiny:{verb}", content=body)
        assert answer.status_code == 400
        assert answer.json().keys() == {"error"}
        assert "Traceback" not in answer.text and ".py" not in answer.text


def test_refuses_wrong_classes_and_mixed_instances(client, pictures):
    url = "/v1/models/tiny:explain"
    image = np.zeros((8, 8, 3), int).tolist()
    wrong = ["bird", 3, -1, 1.5, ["cat", "cat"], [[0]], {"a": 1}, True]
    for classes in (*wrong, "cat" * 10**6, ["cat" * 10**6], ["cat"] * 10**6):
        answer = client.post(
            url, json={"instances": [image], "parameters": {"classes": classes}}
        )
        assert answer.status_code == 400, classes
        assert "`classes` must be" in answer.json()["error"]
    answer = client.post(
        url, json={"instances": [image, {"b64": encode(pictures[0])}]}
    )
    assert answer.status_code == 400


def test_refuses_wrong_pixels(client):
    for value in (-1, 256, 1e39):
        image = np.full((8, 8, 3), float(value)).tolist()
        answer = client.post(
            "/v1/models/tiny:predict", json={"instances": [image]}
        )
        assert answer.status_code == 400
    answer = client.post(
        "/v1/models/tiny:predict", json={"instances": [[[[1, 2, 3]]]]}
    )
    assert "(batch, *(8, 8, 3))" in answer.json()["error"]
