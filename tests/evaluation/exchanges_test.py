"""What a place is worth to a model, by photos that exchange it."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

import keras_facnn
from tests.cli.command import run

SIDE = 8


@pytest.fixture
def model():
    """A model that calls images `plum` if their corner is bright.

    All others are `pear` or `fig`, by the rest.
    """
    inputs = keras.Input((SIDE, SIDE, 3))
    corner = keras.layers.Cropping2D(((0, 4), (0, 4)))(inputs)
    rest = keras.layers.Cropping2D(((4, 0), (4, 0)))(inputs)
    means = [keras.layers.GlobalAveragePooling2D()(x) for x in (corner, rest)]
    x = keras.layers.Concatenate()(means)
    model = keras.Model(inputs, keras.layers.Dense(3, name="out")(x))
    kernel = np.zeros((6, 3))
    kernel[:3, 2] = 1  # The corner speaks for plum,
    kernel[3, 0], kernel[4, 1] = 0.1, 0.1  # red for pear, green for fig.
    model.get_layer("out").set_weights([kernel, np.array([0, 0, -150])])
    return model


@pytest.fixture
def data(rng):
    """Images whose corner is bright in all plums, and masks of the plums."""
    labels = np.repeat([0, 1, 2], [6, 5, 4])
    images = rng.integers(0, 10, (15, SIDE, SIDE, 3))
    for image, label in zip(images, labels, strict=True):
        image[..., label % 2] += 100
        image[:4, :4] = 240 if label == 2 else 30
    masks = np.full((15, 2, 2), np.nan)
    masks[labels == 2] = [[1, 0], [0, 0]]
    return images.astype("uint8"), labels, masks


def found(evaluation):
    return {
        (row["photos_of"], row["place_of"]): (
            row["images"],
            row["right"],
            row["said"],
        )
        for row in evaluation.exchanges
    }


def test_a_model_that_goes_by_a_place_is_found_out(model, data):
    images, labels, masks = data
    evaluation = keras_facnn.evaluate(
        model, (images, labels), regions=masks, inside=False
    )
    assert evaluation.accuracy == 1
    assert found(evaluation) == {
        ("others", None): (11, 11, 0),
        ("others", "class"): (11, 0, 11),
        ("others", "others"): (11, 11, 0),
        ("class", None): (4, 4, 4),
        ("class", "others"): (4, 0, 0),
    }
    row = next(r for r in evaluation.exchanges if r["said"] == 11)
    assert row["low"] == 0 and 0.2 < row["high"] < 0.6
    text = " ".join(str(evaluation).split())
    assert "Of 11 photos of other classes, 100.0%" in text
    assert "and 11 are called" in text and "of other classes put into" in text
    assert json.loads(evaluation.to_json())["exchanges"][0]["images"] in (4, 11)


def test_a_place_that_speaks_against_its_class_is_named(model, data):
    images, labels, masks = data
    out = model.get_layer("out")
    kernel, bias = out.get_weights()
    out.set_weights([-kernel, -bias])
    text = str(
        keras_facnn.evaluate(
            model, (images, labels), regions=masks, inside=False
        )
    )
    assert "now speaks against" in text and "lower region weight" in text
    out.set_weights([kernel, bias])
    text = str(
        keras_facnn.evaluate(
            model, (images, labels), regions=masks, inside=False
        )
    )
    assert "speaks against" not in text


def test_a_place_that_a_model_does_not_see_changes_nothing(model, data):
    images, labels, masks = data
    masks[labels == 2] = [[0, 1], [0, 0]]
    evaluation = keras_facnn.evaluate(
        model, (images, labels), regions=masks, inside=False
    )
    assert len(evaluation.exchanges) == 5
    assert all(row["accuracy"] == 1 for row in evaluation.exchanges)


def test_outside_of_objects_only_their_own_photos_change(model, data):
    images, labels, masks = data
    evaluation = keras_facnn.evaluate(
        model, (images, labels), regions=1 - masks
    )
    assert found(evaluation) == {
        ("class", None): (4, 4, 4),
        ("class", "others"): (4, 0, 0),
    }


def test_masks_without_effect_are_named(model, data):
    images, labels, masks = data
    evaluation = keras_facnn.evaluate(
        model, (images, labels), regions=masks * 0, inside=False
    )
    assert not evaluation.exchanges
    assert any("Nothing was exchanged" in note for note in evaluation.notes)


@pytest.mark.only_on("torch")
def test_of_files_and_on_the_command_line(
    model, data, tmp_path, capsys, monkeypatch
):
    images, labels, masks = data
    names = ("pear", "fig", "plum")
    folder = tmp_path / "photos"
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / f"{label}{names[label]}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    photos = keras_facnn.load_folder(folder, read=False)
    by_path = dict(zip(photos.paths, masks, strict=True))
    evaluation = keras_facnn.evaluate(
        model, folder, regions=by_path, inside=False
    )
    arrays = keras_facnn.evaluate(
        model, (images, labels), regions=masks, inside=False
    )
    assert found(evaluation) == found(arrays)
    page = tmp_path / "report.html"
    evaluation.save(page)
    assert "Does it go by what must not count?" in page.read_text("utf-8")
    with pytest.raises(ValueError, match="of other photos than"):
        keras_facnn.evaluate(model, folder, regions={"x.png": masks[-1]})

    audit = {
        "folder": str(folder),
        "fit": "crop",
        "grid": [2, 2],
        "reasons": [
            {
                "name": "2plum 1",
                "class": "2plum",
                "kind": "place",
                "alarm": True,
                "members": [{"path": photos.paths[-1], "cells": [0]}],
                "rest": [],
                "usual_cells": [0],
            }
        ],
    }
    (tmp_path / "audit.json").write_text(json.dumps(audit))
    monkeypatch.setattr("keras_facnn.cli.evaluate.load_model", lambda a: model)
    command = ["evaluate", "x", folder, "--output", tmp_path / "r.json"]
    avoid = ["--audit", tmp_path / "audit.json", "--avoid", "2plum 1"]
    assert run(*command, *avoid) == 0
    out = capsys.readouterr().out
    assert "the same place in 3 photos of 2plum" in out
    assert "With the place of a photo of 2plum put into them" in out
    stored = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert stored["exchanges"] == evaluation.exchanges
    assert run(*command, "--outside") == 1
    assert "--outside needs --regions" in capsys.readouterr().err


def test_scores_of_copies_must_be_finite(data):
    images, labels, masks = data
    inputs = keras.Input((SIDE, SIDE, 3))
    bright = inputs[:, 0, 0, 0] > 135
    green = inputs[:, -1, -1, 1] > 50
    # No fig has a bright corner, but copies of figs do.
    x = keras.layers.Dense(3)(keras.layers.Flatten()(inputs))
    x = keras.ops.where(bright[:, None] & green[:, None], float("nan"), x)
    model = keras.Model(inputs, x)
    assert np.isfinite(model.predict(images, verbose=0)).all()
    with pytest.raises(ValueError, match="outputs must be finite"):
        keras_facnn.evaluate(
            model, (images, labels), regions=masks, inside=False
        )
