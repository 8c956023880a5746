import base64
import json

import numpy as np
import pytest

URL = "/v2/models/tiny/infer"
IMAGES = np.random.default_rng(3).integers(0, 256, (2, 8, 8, 3), "uint8")


def tensor(**changes):
    return {
        "name": "images",
        "shape": list(IMAGES.shape),
        "datatype": "UINT8",
        "data": IMAGES.ravel().tolist(),
        **changes,
    }


def arrays(answer):
    dtypes = {"FP32": "f4", "INT64": "i8", "BOOL": "?", "BYTES": "O"}
    return {
        out["name"]: np.array(out["data"], dtypes[out["datatype"]]).reshape(
            out["shape"]
        )
        for out in answer.json()["outputs"]
    }


def check(found, expected):
    for name, values in found.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(values, expected[name], atol=1e-5)
        else:
            np.testing.assert_array_equal(values, expected[name])


def test_tells_what_it_is(client):
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    answer = client.get("/v2/models/tiny/ready")
    assert answer.json() == {"name": "tiny", "ready": True}
    metadata = client.get("/v2/models/tiny").json()
    assert metadata["inputs"] == [
        {"name": "images", "datatype": "UINT8", "shape": [-1, 8, 8, 3]}
    ]
    outputs = {out["name"]: out for out in metadata["outputs"]}
    assert outputs["logits"]["shape"] == [-1, 3]
    assert outputs["maps"]["shape"] == [-1, 4, 4]
    assert outputs["maps"]["datatype"] == "FP32"
    assert outputs["name"]["datatype"] == "BYTES"
    assert metadata["parameters"]["class_names"] == ["cat", "dog", "fish"]
    for path in ("", "/ready", "/infer"):
        method = "POST" if path == "/infer" else "GET"
        answer = client.request(method, f"/v2/models/other{path}")
        assert answer.status_code == 404
        assert "'tiny'" in answer.json()["error"]


@pytest.mark.parametrize("datatype", ["UINT8", "INT64", "FP32", "FP64", "FP16"])
def test_infers_tensors(client, explainer, datatype):
    answer = client.post(
        URL, json={"id": "7", "inputs": [tensor(datatype=datatype)]}
    )
    assert answer.status_code == 200
    assert answer.json()["id"] == "7"
    assert answer.json()["model_name"] == "tiny"
    found = arrays(answer)
    assert {"logits", "probabilities", "maps", "class", "name"} <= set(found)
    check(found, explainer(IMAGES))


def test_takes_nested_data_and_pictures(client, explainer, pictures):
    answer = client.post(URL, json={"inputs": [tensor(data=IMAGES.tolist())]})
    check(arrays(answer), explainer(IMAGES))
    data = [base64.b64encode(p).decode() for p in pictures]
    answer = client.post(
        URL, json={"inputs": [tensor(shape=[3], datatype="BYTES", data=data)]}
    )
    check(arrays(answer), explainer(pictures))


def test_answers_the_outputs_and_classes_that_are_asked_for(client, explainer):
    answer = client.post(
        URL,
        json={
            "inputs": [tensor()],
            "outputs": [{"name": "maps"}, {"name": "logits"}],
            "parameters": {"classes": ["dog", "fish"]},
        },
    )
    found = arrays(answer)
    assert list(found) == ["maps", "logits"]
    check(found, explainer(IMAGES, ["dog", "fish"]))
    answer = client.post(
        URL,
        json={
            "inputs": [tensor()],
            "outputs": [{"name": "logits"}],
        },
    )
    assert list(arrays(answer)) == ["logits"]


def binary_request(chunk, shape, datatype, **request):
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "images",
                    "shape": shape,
                    "datatype": datatype,
                    "parameters": {"binary_data_size": len(chunk)},
                }
            ],
            **request,
        }
    ).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return {"content": head + chunk, "headers": headers}


def test_sends_and_takes_bytes(client, explainer, pictures):
    request = binary_request(
        IMAGES.astype("<f4").tobytes(),
        list(IMAGES.shape),
        "FP32",
        parameters={"binary_data_output": True},
        outputs=[
            {"name": "maps"},
            {"name": "class", "parameters": {"binary_data": False}},
            {"name": "name"},
        ],
    )
    answer = client.post(URL, **request)
    assert answer.status_code == 200
    length = int(answer.headers["Inference-Header-Content-Length"])
    head = json.loads(answer.content[:length])
    maps, class_, name = head["outputs"]
    expected = explainer(IMAGES)
    assert class_["data"] == expected["class"].tolist()
    end = length + maps["parameters"]["binary_data_size"]
    found = np.frombuffer(answer.content[length:end], "<f4")
    np.testing.assert_allclose(
        found.reshape(maps["shape"]), expected["maps"], atol=1e-5
    )
    names = b"".join(
        len(n).to_bytes(4, "little") + n.encode() for n in expected["name"]
    )
    assert answer.content[end:] == names
    chunk = b"".join(len(p).to_bytes(4, "little") + p for p in pictures)
    answer = client.post(URL, **binary_request(chunk, [3], "BYTES"))
    check(arrays(answer), explainer(pictures))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "x"},
        {"datatype": "FP8"},
        {"datatype": None},
        {"datatype": "BYTES"},
        {"shape": [2, 8, 8, 1]},
        {"shape": [2, 8, 8, -3]},
        {"shape": [2, 8, 8, 3.0]},
        {"shape": "2"},
        {"shape": []},
        {"shape": [0, 8, 8, 3], "data": []},
        {"shape": [2**31 - 1, 8, 8, 3]},
        {"shape": [True, 8, 8, 3]},
        {"data": None},
        {"data": "AAAA"},
        {"data": ["1"] * IMAGES.size},
        {"data": [300] * IMAGES.size},
        {"data": [-1] * IMAGES.size},
        {"data": [0.5] * IMAGES.size},
        {"data": [[1], [2, 3]]},
        {"datatype": "FP32", "data": [1e300] * IMAGES.size},
        {"parameters": {"binary_data_size": 5}},
        {"parameters": {"binary_data_size": -1}},
        {"parameters": {"binary_data_size": "5"}},
        {"shape": [1], "datatype": "BYTES", "data": ["AA=="]},
        {"shape": [2], "datatype": "BYTES", "data": ["AA=="]},
        {"shape": [0], "datatype": "BYTES", "data": []},
    ],
    ids=lambda change: str(change)[:40],
)
def test_refuses_wrong_tensors(client, change):
    answer = client.post(URL, json={"inputs": [tensor(**change)]})
    assert answer.status_code == 400
    assert answer.json().keys() == {"error"}


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": []},
        {"inputs": None},
        {"inputs": [tensor(), tensor()]},
        {"inputs": ["images"]},
        {"outputs": [{"name": "x"}]},
        {"outputs": ["maps"]},
        {"outputs": 5},
        {"parameters": {"classes": "bird"}},
        {"parameters": {"classes": [0]}},
    ],
    ids=lambda change: str(change)[:40],
)
def test_refuses_wrong_requests(client, change):
    answer = client.post(URL, json={"inputs": [tensor()], **change})
    assert answer.status_code == 400


def test_refuses_wrong_bytes(client):
    nan = np.full(IMAGES.shape, np.nan, "<f4").tobytes()
    shape = list(IMAGES.shape)
    answer = client.post(URL, **binary_request(nan, shape, "FP32"))
    assert "must be finite" in answer.json()["error"]
    answer = client.post(URL, **binary_request(nan[:-1], shape, "FP32"))
    assert answer.status_code == 400
    for chunk in (b"\x05\0\0\0ab", b"\0\0", b"\xff\xff\xff\xff"):
        answer = client.post(URL, **binary_request(chunk, [1], "BYTES"))
        assert answer.status_code == 400
    for length in ("-1", "x", "99999", "9" * 5000, "\u00b2".encode()):
        answer = client.post(
            URL,
            content=b"{}",
            headers={b"Inference-Header-Content-Length": length}
            if isinstance(length, bytes)
            else {"Inference-Header-Content-Length": length},
        )
        assert answer.status_code == 400
