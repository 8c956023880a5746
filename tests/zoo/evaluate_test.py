"""Presets of several labels per image; for others, see `train_test.py`."""

import json

import numpy as np
import pytest
from PIL import Image

import keras_facnn
from keras_facnn import FACNN
from tests.zoo.conftest import run
from zoo import evaluate

pytestmark = pytest.mark.only_on("torch")
FLAGS = {"alignment_images": 2, "verify_images": 2}
NAMES = ["red", "green", "blue"]


def average_precision(scores, present):
    """As the mean over present images of the precision down to their score."""
    precisions = []
    for score in scores[present]:
        above = scores >= score
        precisions.append(present[above].mean())
    return np.mean(precisions)


def best_f1(scores, present):
    """Of all thresholds."""
    found = []
    for threshold in scores:
        counted = scores >= threshold
        hits = (counted & present).sum()
        found.append((2 * hits / (counted.sum() + present.sum()), threshold))
    return max(found)


def test_each_label_is_measured_as_by_hand(rng, colors_model):
    # Some scores are equal, some labels rare, and one never there.
    logits = rng.normal(size=(40, 3)).round(1)
    present = rng.uniform(size=(40, 3)) < [0.5, 0.1, 0]
    report = evaluate.several_labels(colors_model, logits, present, NAMES)
    expected = [average_precision(logits[:, c], present[:, c]) for c in (0, 1)]
    for c, name in enumerate(NAMES[:2]):
        label = report["labels"][name]
        assert label["images"] == present[:, c].sum()
        assert label["average_precision"] == pytest.approx(expected[c])
        counted, there = logits[:, c] > 0, present[:, c]
        hits = (counted & there).sum()
        precision, recall = hits / counted.sum(), hits / there.sum()
        assert label["precision"] == pytest.approx(precision)
        assert label["recall"] == pytest.approx(recall)
        assert label["f1"] == pytest.approx(
            2 * hits / (counted.sum() + there.sum())
        )
        f1, threshold = best_f1(logits[:, c], there)
        assert label["best_f1"] == pytest.approx(f1)
        p = label["best_threshold"]
        # One threshold of several that are as good.
        counts = 1 / (1 + np.exp(-logits[:, c])) >= p - 1e-6
        hits = (counts & there).sum()
        assert 2 * hits / (counts.sum() + there.sum()) == pytest.approx(f1)
    blue = report["labels"]["blue"]
    assert blue["images"] == 0 and blue["recall"] is None
    assert blue["average_precision"] is blue["best_threshold"] is None
    assert report["mean_average_precision"] == pytest.approx(np.mean(expected))
    p = 1 / (1 + np.exp(-logits))
    loss = -np.log(np.where(present, p, 1 - p)).mean()
    assert report["binary_cross_entropy"] == pytest.approx(loss)
    right = ((logits > 0) == present).all(-1).mean()
    assert report["all_labels_right"] == pytest.approx(right)


@pytest.fixture
def data(colors, tmp_path):
    """Yellow, red, gray and black images, and which colors are there."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rows = ["file,red,green,blue"]
    for name, pixels, labels in zip(
        ("yellow", "red", "gray", "black"),
        colors,
        ("1,1,0", "1,0,0", "0,0,0", "0,0,1"),
        strict=True,
    ):
        Image.fromarray(pixels).save(folder / f"{name}.png")
        rows.append(f"{name}.png,{labels}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return folder


def test_evaluates_several_labels_of_a_table(colors_model, data, tmp_path):
    colors_model.save_to_preset(tmp_path / "colors")
    result = run(
        "evaluate",
        preset=tmp_path / "colors",
        data=data,
        labels=tmp_path / "labels.csv",
        write=True,
        **FLAGS,
    )
    assert result.returncode == 0, result.output
    report = json.loads(result.output[result.output.index("{\n") :])
    assert report["images"] == 4 and report["split"] == "labels.csv"
    assert "top_1" not in report and "cross_entropy" not in report
    labels = report["labels"]
    assert labels["red"]["average_precision"] == 1
    assert labels["green"]["f1"] == 1
    # Black is no blue to the model: all but gray are as little so.
    assert labels["blue"]["recall"] == 0
    assert labels["blue"]["average_precision"] == pytest.approx(1 / 4)
    assert report["mean_average_precision"] == pytest.approx(2.25 / 3)
    assert report["all_labels_right"] == 3 / 4
    stored = FACNN.from_preset(tmp_path / "colors").preset_metadata
    assert stored["metrics"]["labels"] == labels


def test_a_folder_of_classes_has_one_label_an_image(
    colors_model, colors, tmp_path
):
    colors_model.save_to_preset(tmp_path / "colors")
    for name, pixels in zip(NAMES, np.eye(3), strict=True):
        where = tmp_path / "photos" / "test" / name
        where.mkdir(parents=True)
        image = np.broadcast_to(255 * pixels, (16, 16, 3)).astype("uint8")
        Image.fromarray(image).save(where / "0.png")
    # Classes are in the order of their names.
    colors_model.preset_metadata = {"class_names": sorted(NAMES)}
    weights = colors_model.get_weights()
    model = FACNN(3, (16, 16, 3), (1,), (1,), threshold=True)
    model.set_weights(weights)
    model.save_to_preset(tmp_path / "p", {"class_names": sorted(NAMES)})
    result = run(
        "evaluate", preset=tmp_path / "p", data=tmp_path / "photos", **FLAGS
    )
    assert result.returncode == 0, result.output
    report = json.loads(result.output[result.output.index("{\n") :])
    # Called by other names, only green is found where it is.
    recalls = {n: x["recall"] for n, x in report["labels"].items()}
    assert recalls == {"blue": 0, "green": 1, "red": 0}
    assert report["all_labels_right"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "table, message",
    [
        ("", "must be a header, `file` and the classes'"),
        ("file,red,red,blue\nred.png,1,0,0", "names, each once"),
        ("file,red,green,blue", "and 0 rows"),
        ("file,red,green,blue\nred.png,1,0", "3 cells of 0 or 1"),
        ("file,red,green,blue\nred.png,1,0,x", "3 cells of 0 or 1"),
        ("file,red,green,blue\nblue.png,0,0,1", "must name a file in"),
        ("file,red,green,blue" + 2 * "\nred.png,1,0,0", "an earlier row"),
        ("file,a,b,c\nred.png,1,0,0", "must have the classes of the preset"),
    ],
)
def test_tables_that_can_not_be_meant(
    colors_model, data, tmp_path, table, message
):
    colors_model.save_to_preset(tmp_path / "colors")
    (tmp_path / "labels.csv").write_text(table)
    result = run(
        "evaluate",
        preset=tmp_path / "colors",
        data=data,
        labels=tmp_path / "labels.csv",
    )
    assert result.returncode == 1
    assert message in result.output


def test_a_table_of_labels_needs_a_preset_of_several(data, tmp_path):
    result = run(
        "evaluate",
        preset="cifar10",
        data=data,
        labels=tmp_path / "labels.csv",
    )
    assert result.returncode == 1
    assert "must have the classes of the preset" in result.output
    model = FACNN(3, (16, 16, 3), (1,), (1,))
    model.save_to_preset(tmp_path / "p", {"class_names": NAMES})
    result = run(
        "evaluate",
        preset=tmp_path / "p",
        data=data,
        labels=tmp_path / "labels.csv",
    )
    assert result.returncode == 1
    assert "needs a preset of several labels per image" in result.output


# --- What a preset was trained on ---


@pytest.fixture
def photos(rng, tmp_path):
    """A folder of two classes of eight pictures each."""
    for name in ("ant", "bee"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(8):
            pixels = rng.integers(0, 256, (16, 16, 3)).astype("uint8")
            Image.fromarray(pixels).save(
                tmp_path / "photos" / name / f"{i}.png"
            )
    return tmp_path / "photos"


@pytest.fixture
def evaluated(photos, tmp_path):
    """A function of metadata and flags to what `zoo.evaluate` prints."""

    def evaluate_on(metadata, **flags):
        model = FACNN(2, (16, 16, 3), (1,), (1,))
        model.save_to_preset(tmp_path / "mine", metadata)
        result = run(
            "evaluate",
            preset=tmp_path / "mine",
            data=photos,
            split=".",
            **{**FLAGS, **flags},
        )
        if result.returncode:
            return result.output
        report = json.loads(result.output[result.output.index("{\n") :])
        return report, result.output

    return evaluate_on


def test_leaves_out_what_the_preset_was_trained_on(evaluated, photos):
    train, _ = keras_facnn.load_folder(photos, image_size=16).split(0.25)
    report, output = evaluated(train.metadata)
    assert report["images"] == 4 and report["left_out_as_trained_on"] == 12
    assert "trained on" in output
    report, _ = evaluated(train.metadata, trained_on=True)
    assert report["images"] == 16 and report["left_out_as_trained_on"] == 0
    whole = keras_facnn.load_folder(photos, image_size=16)
    assert "Give images that it has not seen" in evaluated(whole.metadata)


def test_says_where_it_cannot_know_what_was_trained_on(evaluated):
    report, output = evaluated({"class_names": ["ant", "bee"]})
    assert report["left_out_as_trained_on"] is None
    assert report["images"] == 16
    assert "does not say which images it was trained on" in output
    assert "Classes of few images" in output


def test_each_class_has_its_accuracy_and_what_it_is_called():
    labels = np.array([0, 0, 0, 1])
    predicted = np.array([0, 1, 1, 1])
    report = evaluate.by_class(
        keras_facnn.Evaluation.from_logits(
            np.eye(3)[predicted], labels, ["ant", "bee", "none"]
        )
    )
    assert report["confusion"] == {
        "ant": {"bee": 2, "ant": 1},
        "bee": {"bee": 1},
    }
    ant = report["classes"]["ant"]
    assert (ant["images"], ant["right"]) == (3, 1)
    # Wilson's interval, by its formula.
    n, p, z = 3, 1 / 3, 1.959964
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    assert ant["low"] == pytest.approx(middle - half, abs=1e-5)
    assert ant["high"] == pytest.approx(middle + half, abs=1e-5)
    assert list(report["classes"]) == ["ant", "bee"]
