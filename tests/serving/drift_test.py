"""A server that watches the evidence in what it explains."""

import logging

import numpy as np
import pytest

from keras_facnn.cli import main as cli
from keras_facnn.watching import Watch

pytestmark = pytest.mark.only_on("torch")


def noise(rng, count):
    return rng.integers(0, 200, (count, 8, 8, 3), "uint8")


@pytest.fixture
def reference(tmp_path, explainer):
    images = noise(np.random.default_rng(0), 200)
    path = tmp_path / "reference.npz"
    columns = explainer(images, centered=True)
    Watch(columns, false_alarms=0.01).save(path)
    return path


def metrics_of(client):
    lines = client.get("/metrics").text.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line[0] != "#")
    return {name: float(value) for name, value in pairs}


def test_answers_as_before_and_raises_an_alarm(
    connect, reference, explainer, caplog
):
    rng = np.random.default_rng(1)
    client = connect(watch=str(reference))
    watch = Watch.load(reference)

    def ask(images, **parameters):
        answer = client.post(
            "/v1/models/tiny:explain",
            json={"instances": images.tolist(), "parameters": parameters},
        )
        return answer.json()["explanations"]

    images = noise(rng, 16)
    expected = explainer(images)
    for row, map_, class_ in zip(
        ask(images), expected["maps"], expected["class"], strict=True
    ):
        assert row["class"] == class_
        np.testing.assert_allclose(row["map"], map_, atol=1e-5)
    watch.add(explainer(images, centered=True))
    found = metrics_of(client)
    assert found["keras_facnn_watched_pictures_total"] == 16
    assert found["keras_facnn_watch_capital"] == pytest.approx(watch.capital)
    assert found["keras_facnn_watch_alarms_total"] == 0

    # Clients who choose a class would choose the evidence.
    ask(images, classes="cat")
    ask(images, classes="all")
    assert metrics_of(client)["keras_facnn_watched_pictures_total"] == 16

    with caplog.at_level(logging.WARNING, "keras_facnn"):
        for _ in range(20):
            images = noise(rng, 16)
            images[:, :2, :4] = 255
            ask(images)
    assert metrics_of(client)["keras_facnn_watch_alarms_total"] >= 1
    assert "evidence differs from the reference" in caplog.text
    assert "at the upper left" in caplog.text


def test_refuses_a_reference_of_another_model(
    model_path, tmp_path, explainer, capsys
):
    rng = np.random.default_rng(0)
    path = tmp_path / "other.npz"
    Watch({"class": np.zeros(9, int), "maps": rng.random((9, 5, 6))}).save(path)
    assert cli.main(["serve", str(model_path), "--watch", str(path)]) == 1
    err = capsys.readouterr().err
    assert "`watch` must be" in err and "(4, 4)" in err and "(5, 6)" in err
