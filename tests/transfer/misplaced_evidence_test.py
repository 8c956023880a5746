"""A linear fit with regions, against `RegionPenalty` and differences."""

import json

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

import keras_facnn
from keras_facnn.transfer import misplaced_evidence
from keras_facnn.transfer.logistic_regression import LogisticRegression
from keras_facnn.transfer.misplaced_evidence import MisplacedEvidence
from tests.cli.command import run


@pytest.fixture
def photos(rng):
    """Features of 20 photos at 3x4 cells, of three classes, and masks."""
    labels = np.arange(20) % 3
    cells = rng.normal(1, 1, (23, 3, 4, 5)).astype("float16")
    index = rng.permutation(23)[:20]
    wrong = rng.uniform(size=(20, 3, 4)).astype("float32")
    return cells, index, labels, wrong


def linear_of(rng):
    return rng.normal(0, 1, (5, 3)), rng.normal(0, 1, 3)


@pytest.mark.only_on("torch")
def test_the_sum_is_that_of_the_loss(photos, rng, monkeypatch):
    cells, index, labels, wrong = photos
    weights, (kernel, bias) = rng.uniform(size=20), linear_of(rng)
    loss = keras_facnn.RegionPenalty(
        keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    maps = cells[index].astype("float32") @ kernel + bias
    shares = loss.misplaced_evidence(labels, maps, 1 - wrong)
    expected = weights @ ops.convert_to_numpy(shares)
    arguments = cells, index, labels, wrong, weights
    found = MisplacedEvidence(*arguments).value_and_gradients(kernel, bias)
    assert found[0] == pytest.approx(expected, rel=1e-4)
    monkeypatch.setattr(misplaced_evidence, "_CHUNK_VALUES", 7 * 3 * 4 * 5)
    parts = MisplacedEvidence(*arguments).value_and_gradients(kernel, bias)
    for a, b in zip(parts, found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.only_on("torch")
def test_the_gradients_are_those_of_finite_differences(photos, rng):
    cells, index, labels, wrong = photos
    kernel, bias = linear_of(rng)
    misplaced = MisplacedEvidence(cells, index, labels, wrong, np.ones(20))
    _, of_kernel, of_bias = misplaced.value_and_gradients(kernel, bias)
    step = 1e-3
    for values, gradient in ((kernel, of_kernel), (bias, of_bias)):
        for where in np.ndindex(values.shape):
            sides = []
            for way in (-step, step):
                values[where] += way
                sides.append(misplaced.value_and_gradients(kernel, bias)[0])
                values[where] -= way
            slope = (sides[1] - sides[0]) / (2 * step)
            assert gradient[where] == pytest.approx(slope, abs=0.03)
    assert np.abs(of_kernel).max() > 0.3


@pytest.mark.only_on("torch")
def test_the_fit_finds_the_least_sum(photos, rng):
    cells, index, labels, wrong = photos
    rows = cells.astype("float32").mean((1, 2))[:, None]
    misplaced = MisplacedEvidence(cells, index, labels, wrong, np.full(20, 3.0))
    regression = LogisticRegression(rows, index, labels, np.ones(3))
    pooled = rows[index, 0]
    scale = np.sqrt(pooled.var(axis=0).mean())

    def objective(kernel, bias):
        logits = pooled @ kernel + bias
        log_total = np.log(np.exp(logits).sum(-1))
        losses = log_total - logits[np.arange(20), labels]
        share, *_ = misplaced.value_and_gradients(kernel, bias)
        return losses.sum() + 0.5 * ((scale * kernel) ** 2).sum() + share

    start = regression.fit(1.0)
    linear = regression.fit(1.0, start, misplaced)
    least = objective(linear.kernel, linear.bias)
    assert objective(start.kernel, start.bias) > least + 0.1
    for _ in range(50):
        change = rng.normal(0, 0.05, (5, 3))
        assert objective(linear.kernel + change, linear.bias) > least - 1e-3


@pytest.fixture
def tagged(tmp_path, rng):
    """Photos of faint colors, with a white tag on all red ones, and masks."""
    mask = np.zeros((64, 64), "uint8")
    mask[:16, :16] = 255
    for label, color in enumerate(("blue", "green", "red")):
        for i in range(30):
            shade = rng.normal(100, 25, 3)
            shade[2 - label] += 30
            pixels = rng.normal(shade, 20, (64, 64, 3)).clip(0, 255)
            if color == "red":
                pixels[:16, :16] = 255
                save(mask, tmp_path / "masks" / "red" / f"{i}.png")
            save(pixels, tmp_path / "photos" / color / f"{i}.png")
    return tmp_path


def save(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype("uint8")).save(path)


def with_tag(model, folder):
    """Return how many others with the tag are called red, and its share."""
    photos = keras_facnn.load_folder(folder / "photos", model)
    others = photos.images[photos.labels != 2].copy()
    others[:, :16, :16] = 255
    said = model.predict(others, verbose=0).argmax(-1)
    red = photos.images[photos.labels == 2]
    evidence = model.class_maps(red, 2, centered=True).clip(0)
    share = evidence[:, :2, :2].sum() / evidence.sum()
    return (said == 2).mean(), share


def test_training_loses_a_cue(base, tagged):
    """By masks, and by the cells of a reason of an audit."""
    command = ["train", tagged / "photos", "--base", base, "--size", 64]

    def trained(name, *options):
        output = tagged / name
        assert run(*command, "--output", output, *options) == 0
        return keras_facnn.FACNN.from_preset(output)

    plain = trained("plain")
    misled, share = with_tag(plain, tagged)
    assert misled > 0.5

    audit = keras_facnn.audit(plain, tagged / "photos").to_dict()
    reason = next(r for r in audit["reasons"] if r["class"] == "red")
    assert audit["grid"] == [8, 8] and len(reason["members"]) > 20
    # The reasons of a random backbone are others than the tag.
    for member in reason["members"]:
        member["cells"] = [0, 1, 8, 9]
    (tagged / "audit.json").write_text(json.dumps(audit))
    masked = ["--regions", tagged / "masks", "--outside"]
    avoiding = ["--audit", tagged / "audit.json", "--avoid", reason["name"]]
    for name, options in (("masked", masked), ("avoiding", avoiding)):
        mended = trained(name, "--region-weight", 3, *options)
        less_misled, smaller_share = with_tag(mended, tagged)
        assert less_misled < misled / 2 and smaller_share < share / 2
        settings = mended.preset_metadata["training"]["settings"]
        assert settings["regions"] and settings["inside"] is False
        assert str(tagged) not in str(settings)
    assert "regions" not in plain.preset_metadata["training"]["settings"]


@pytest.mark.only_on("torch")
def test_regions_that_cannot_be_used_are_refused(train, tagged, capsys):
    masks = tagged / "masks"
    with pytest.raises(ValueError, match="`regions` works without `thorough`"):
        train(regions=masks, thorough=True)
    with pytest.raises(FileNotFoundError, match="no folder"):
        train(regions=tagged / "none")
    with pytest.raises(ValueError, match="`region_weight`"):
        train(regions=masks, region_weight=-1.0)
    with pytest.raises(ValueError, match="'1 masks', of other photos"):
        train(regions={"elsewhere.png": np.ones((4, 4))})
    with pytest.raises(TypeError, match="`regions` must be the path of a fold"):
        train(regions=np.ones((3, 4, 4)))
    with pytest.raises(ValueError, match="values from 2 to 2"):
        train(regions={"elsewhere.png": np.full((4, 4), 2.0)})

    command = ["train", tagged / "photos", "--output", tagged / "x"]
    (tagged / "other.json").write_text("{}")
    reasons = [{"name": "red 1", "members": [{"path": None, "cells": [0]}]}]
    (tagged / "arrays.json").write_text(
        json.dumps({"grid": [2, 2], "reasons": reasons})
    )
    for options, said in (
        (["--avoid", "red 1"], "given together"),
        (["--audit", "other.json"], "given together"),
        (
            ["--audit", tagged / "other.json", "--avoid", "a"],
            "must be the JSON",
        ),
        (["--audit", tagged / "arrays.json", "--avoid", "a"], "red 1"),
        (["--audit", tagged / "arrays.json", "--avoid", "red 1"], "in files"),
    ):
        assert run(*command, *options) == 1
        assert said in capsys.readouterr().err
