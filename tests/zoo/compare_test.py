import csv
import functools
import json
import shlex
import shutil

import keras
import numpy as np
import pytest
from PIL import Image
from scipy import stats

from keras_facnn import FACNN
from keras_facnn import attribution
from keras_facnn import metrics
from tests.zoo.conftest import NAMES
from tests.zoo.conftest import run
from zoo import parts
from zoo import replicate
from zoo.compare import scores_by_boxes
from zoo.training import record

pytestmark = pytest.mark.only_on("torch")

pytest.importorskip("tensorflow")

METHODS = [
    "facnn",
    "facnn_centered",
    "cam",
    "grad_cam",
    "grad_cam_plus_plus",
    "hires_cam",
    "layer_cam",
    "saliency",
]
METHODS += ["integrated_gradients", "rise", "occlusion", "middle", "random"]


def curve_of(out, method, layer):
    """Return a curve in `results.json`."""
    results = json.loads((out / "results.json").read_text())
    (found,) = (
        one["pixel_removal"]
        for one in results["measured"]
        if (one["method"], one["layer"]) == (method, layer)
    )
    return found


def test_writes_figures_tables_and_a_page_of_its_own(rng, folder, tmp_path):
    model = FACNN(10, (32, 32, 3), (1, 1), (1, 2), space_to_depth=2)
    model.save_to_preset(tmp_path / "preset", {"class_names": NAMES})
    data = tmp_path / "data"
    shutil.copytree(folder, data)
    # Nothing of a black image passes a model without biases.
    Image.new("RGB", (32, 32)).save(data / "test" / NAMES[0] / "0.png")
    files = [f"test/{name}/{i}.png" for name in NAMES for i in range(4)]
    (data / "boxes.csv").write_text(
        "file,xmin,ymin,xmax,ymax\n"
        + "".join(f"{f},0,0,{k % 31},31\n" for k, f in enumerate(files))
    )
    shown = np.linspace(0, 39, 10).astype(int)
    images = np.stack([np.asarray(Image.open(data / files[k])) for k in shown])
    right = model.predict(images, verbose=0).argmax(-1) == shown // 4
    chance = np.mean((shown[right] % 31 + 1) / 32)
    flags = {
        "preset": tmp_path / "preset",
        "data": data,
        "boxes": data / "boxes.csv",
        "output": tmp_path / "out",
        "images": 10,
        "figure_images": 2,
        "layers": "2,1",
        "rise_masks": 10,
        "steps": 4,
        "methods": ",".join(METHODS),
        "formats": "pdf",
    }
    result = run("compare", **flags)
    assert result.returncode == 0, result.output
    out = tmp_path / "out"
    with open(out / "table.csv", newline="") as file:
        rows = {(r["layer"], r["method"]): r for r in csv.DictReader(file)}
    assert len(rows) == 2 * len(METHODS)
    # Theorem 1: at the last layer both maps order the pixels alike, but for
    # values that are equal up to rounding.
    a, b = rows["2", "FA-CNN"], rows["2", "Grad-CAM"]
    assert float(a["accuracy AUC"]) == pytest.approx(
        float(b["accuracy AUC"]), abs=0.05
    )
    assert a["backward passes per image"] == "0"
    assert a["constant maps, left out"] == "1"
    assert rows["2", "random"]["constant maps, left out"] == "0"
    assert rows["2", "K-OCC"]["forward passes per image"] == str(7 * 7 + 1)
    assert (
        rows["2", "Integrated Gradients"]["backward passes per image"] == "50"
    )
    for game in ("pointing game", "energy in box"):
        found = float(rows["2", "random"][game])
        assert found == pytest.approx(chance, abs=1e-4)
        assert float(a[game]) == pytest.approx(float(b[game]), nan_ok=True)
    # A box of the whole image fits those that cover enough of it.
    whole = [
        np.mean([share >= iou for iou in (0.3, 0.5, 0.7)])
        for share in (shown[right] % 31 + 1) / 32
    ]
    assert float(rows["2", "random"]["MaxBoxAccV2"]) == pytest.approx(
        np.mean(whole), abs=1e-4
    )
    middle = rows["2", "always the middle"]
    assert middle["forward passes per image"] == "0"
    assert rows["1", "always the middle"] == {**middle, "layer": "1"}
    # On the last layer of an FA-CNN, Grad-CAM and HiResCAM are the same.
    assert float(rows["2", "HiResCAM"]["accuracy AUC"]) == pytest.approx(
        float(b["accuracy AUC"]), abs=0.05
    )
    assert rows["1", "RISE"] == {**rows["2", "RISE"], "layer": "1"}
    assert len(curve_of(out, "facnn", 1)["accuracy"]) == 5
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 5
    assert (out / "compare.pdf").read_bytes().startswith(b"%PDF")
    with open(out / "images.csv", newline="") as file:
        of_images = list(csv.DictReader(file))
    assert len(of_images) == 10
    areas = [float(row["FA-CNN, layer 2"]) for row in of_images]
    # The black image has no order.
    assert np.isnan(areas[0])
    assert np.nanmean(areas) == pytest.approx(
        float(a["accuracy AUC"]), abs=1e-4
    )
    for name in (
        "compare",
        "maps_by_layer",
        "pixel_removal_1",
        "pixel_removal_2",
        "similarity_by_layer",
    ):
        assert (out / f"{name}.png").exists()
    assert "://" not in page  # base64 has no colon
    assert str(tmp_path) not in page
    assert "<th>accuracy AUC ↓</th>" in page and "pointing game ↑" in page
    assert "scattered holes" in page
    heads = "<th>another image&#x27;s map</th><th>shuffled weights</th>"
    assert heads in page
    with open(out / "similarity_by_layer.csv", newline="") as file:
        layers = list(csv.DictReader(file))
    for control in ("other_image", "shuffled_weights"):
        mean, low, high = (
            float(layers[1][f"{control}{end}"]) for end in ("", "_low", "_high")
        )
        assert f"<td>{mean:.4f} ({low:.4f} to {high:.4f})</td>" in page
    with open(out / "pairs.csv", newline="") as file:
        pairs = list(csv.DictReader(file))
    of_methods = {(r["layer"], r["first"], r["second"]): r for r in pairs}
    assert len(of_methods) == 2 * len(METHODS) * (len(METHODS) - 1) / 2
    pair = of_methods["2", "FA-CNN", "random"]
    # Of the images that have a map, so that it differs from the means.
    assert float(pair["low"]) <= float(pair["difference"])
    assert float(pair["difference"]) <= float(pair["high"])
    assert "Pairs of methods" in page
    assert (out / "table.md").read_text().count("\n| ") >= 10


OWN = """
import numpy as np

def my_method(model, images, classes, *, layer):
    return model.class_maps(images, classes, layer=layer)

def needs_more(model, images, classes, masks):
    return None

def per_channel(model, images, classes):
    return images

def not_finite(model, images, classes):
    maps = images[..., 0].astype("float32")
    maps[0, 0, 0] = np.nan
    return maps

facnn = my_method
"""


def test_the_columns_of_a_method_without_boxes_are_those_of_others(rng):
    maps, boxes = rng.uniform(size=(2, 8, 8)), [np.array([[0, 0, 4, 4]])] * 2
    scored = scores_by_boxes(maps, boxes, (8, 8))
    for none in (maps[:0], None):
        assert [*scores_by_boxes(none, [], (8, 8))] == [*scored]


def test_takes_methods_of_a_file(folder, tmp_path):
    model = FACNN(10, (32, 32, 3), (1,), (1,), space_to_depth=2)
    model.save_to_preset(tmp_path / "preset", {"class_names": NAMES})
    (tmp_path / "mine.py").write_text(OWN)

    def compare(*names):
        return run(
            "compare",
            preset=tmp_path / "preset",
            data=folder,
            output=tmp_path / "out",
            images=4,
            figure_images=1,
            steps=2,
            methods=",".join(["facnn", *names]),
        )

    mine = tmp_path / "mine.py"
    result = compare(f"{mine}:my_method")
    assert result.returncode == 0, result.output
    with open(tmp_path / "out" / "table.csv", newline="") as file:
        rows = {r["method"]: r for r in csv.DictReader(file)}
    assert set(rows) == {"FA-CNN", "my method"}
    areas = {r["accuracy AUC"] for r in rows.values()}
    assert len(areas) == 1
    for name, message in (
        (f"{mine}:needs_more", "must be a function of model, images, classes"),
        (f"{mine}:nothing", "there is no nothing in"),
        (f"{mine}:per_channel", "per channel must return maps of shape (4, h"),
        (f"{mine}:not_finite", "in 1 of 4 maps"),
        ("nowhere.py:my_method", "must be FILE.py:FUNCTION"),
        (f"{mine}:facnn", "must have different names"),
    ):
        result = compare(name)
        assert result.returncode == 1
        assert message in result.output
        assert "Traceback" not in result.output


@pytest.mark.parametrize("explain", ["predictions", "labels"])
def test_explains_predictions_or_labels(folder, tmp_path, explain):
    model = FACNN(10, (32, 32, 3), (1,), (1,), space_to_depth=2)
    model.save_to_preset(tmp_path / "preset", {"class_names": NAMES})
    result = run(
        "compare",
        preset=tmp_path / "preset",
        data=folder,
        output=tmp_path / "out",
        images=40,
        figure_images=1,
        steps=3,
        methods="facnn",
        explain=explain,
    )
    assert result.returncode == 0, result.output
    files = [folder / "test" / n / f"{i}.png" for n in NAMES for i in range(4)]
    images = np.stack([np.asarray(Image.open(f)) for f in files])
    labels = np.arange(40) // 4
    said = model.predict(images, verbose=0).argmax(-1)
    maps = model.class_maps(images, labels if explain == "labels" else said)
    expected = metrics.pixel_removal(
        model,
        images,
        labels,
        maps,
        fractions=np.linspace(0, 1, 4),
        baseline="mean",
    )
    with open(tmp_path / "out" / "table.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    # Values that are equal up to rounding may change places.
    close = {"abs": 0.02}
    assert float(row["accuracy AUC"]) == pytest.approx(expected.mean, **close)
    right = expected.per_image[said == labels]
    if len(right):
        assert float(row["accuracy AUC of the right"]) == pytest.approx(
            right.mean(), **close
        )
    page = (tmp_path / "out" / "report.html").read_text()
    heading = {"predictions": "predicted classes"}.get(explain, "labels")
    assert f"Maps of the {heading}" in page


def averaging_model(path):
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Rescaling(1 / 127.5, -1.0),
            keras.layers.Conv2D(8, 3, 4, activation="relu", name="last_maps"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, bias_initializer="normal"),
        ]
    )
    model.save(path)
    return model


def test_compares_cam_of_a_model_that_is_no_fa_cnn(rng, folder, tmp_path):
    model = averaging_model(tmp_path / "model.keras")
    flags = {
        "preset": tmp_path / "model.keras",
        "data": folder,
        "output": tmp_path / "out",
        "images": 10,
        "figure_images": 2,
        "rise_masks": 10,
        "steps": 4,
    }
    result = run("compare", **flags)
    assert result.returncode == 0, result.output
    out = tmp_path / "out"
    with open(out / "table.csv", newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert sorted(rows) == ["CAM", "Grad-CAM", "K-OCC", "RISE", "random"]
    assert {row["layer"] for row in rows.values()} == {"last_maps"}
    assert rows["CAM"]["forward passes per image"] == "1"
    assert rows["CAM"]["backward passes per image"] == "0"
    # What removing nothing leaves is the accuracy, by the model itself.
    files = sorted(folder.glob("test/*/*.png"))
    shown = np.linspace(0, 39, 10).astype(int)
    images = np.stack([np.asarray(Image.open(files[k])) for k in shown])
    right = model.predict(images, verbose=0).argmax(-1) == shown // 4
    results = json.loads((out / "results.json").read_text())
    curve = curve_of(out, "cam", None)
    assert curve["accuracy"][0] == pytest.approx(right.mean())
    maps = attribution.cam(model, images)
    expected = metrics.pixel_removal(
        model, images, shown // 4, maps, fractions=np.linspace(0, 1, 5)
    )
    assert curve["probability"] == pytest.approx(expected.probability)
    assert results["similarity_by_layer"] is None
    assert not (out / "similarity_by_layer.csv").exists()
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2 and "by layer" not in page


def test_says_what_a_model_that_is_no_fa_cnn_lacks(folder, tmp_path):
    averaging_model(tmp_path / "model.keras")
    flags = {"data": folder, "output": tmp_path / "out", "images": 4}
    flags["preset"] = tmp_path / "model.keras"
    result = run("compare", methods="facnn,cam", **flags)
    assert result.returncode == 1
    assert "only for an FA-CNN" in result.output
    result = run("compare", methods="grad_cam", layers="none", **flags)
    assert result.returncode == 1 and "last_maps" in result.output
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Dense(10)(keras.layers.Flatten()(inputs))
    keras.Model(inputs, x).save(flags["preset"])
    result = run("compare", **flags)
    assert result.returncode == 1 and "--layers must name" in result.output


class Killed(BaseException):
    """The end of a process, as far as its files can tell."""


@pytest.fixture
def flags(folder, tmp_path, monkeypatch):
    """Flags of a small comparison, whose parts are of two images."""
    monkeypatch.setattr(parts, "PASSES", 20)
    model = FACNN(10, (32, 32, 3), (4,), (1,), space_to_depth=4)
    model.save_to_preset(tmp_path / "preset", {"class_names": NAMES})
    return {
        "preset": tmp_path / "preset",
        "data": folder,
        "output": tmp_path / "out",
        "images": 10,
        "figure_images": 1,
        "layers": "4",
        "steps": 3,
        "rise_masks": 10,
        "methods": "facnn,rise,random",
    }


def count_images_of_rise(monkeypatch, killed_at=None):
    """Return the numbers of images of each call, the last of which fails."""
    whole, calls = attribution.rise, []

    @functools.wraps(whole)
    def rise(model, images, *args, **kwargs):
        calls.append(len(images))
        if len(calls) == killed_at:
            raise Killed
        return whole(model, images, *args, **kwargs)

    monkeypatch.setattr(attribution, "rise", rise)
    return calls


def without_times(out):
    """Return the contents of `results.json` but for what took time."""
    results = json.loads((out / "results.json").read_text())
    del results["command"]
    for one in results["measured"]:
        del one["columns"]["ms per image"]
    return results


def test_a_killed_run_continues(flags, monkeypatch, tmp_path):
    """It ends with the numbers of one that was not killed."""
    out = flags["output"]
    with monkeypatch.context() as patch:
        calls = count_images_of_rise(patch, killed_at=4)
        with pytest.raises(Killed):
            run("compare", **flags)
        assert calls == [2, 2, 2, 2]
    with open(out / "table.csv", newline="") as file:
        assert [row["method"] for row in csv.DictReader(file)] == ["FA-CNN"]
    assert len(curve_of(out, "facnn", 4)["accuracy"]) == 4
    calls = count_images_of_rise(monkeypatch)
    made = run("compare", **flags, formats="svg")
    assert made.returncode == 0, made.output
    # Three of the five parts were done.
    assert calls == [2, 2]
    whole = run("compare", **{**flags, "output": tmp_path / "whole"})
    assert whole.returncode == 0, whole.output
    assert without_times(out) == without_times(tmp_path / "whole")
    for name in ("images.csv", "pairs.csv", "compare.png"):
        expected = (tmp_path / "whole" / name).read_bytes()
        assert (out / name).read_bytes() == expected
    assert not [*(out / "unfinished").iterdir()]
    # Two parts have other random orders.
    hits = np.array(curve_of(out, "random", None)["probabilities"])
    assert len(np.unique(hits[:, 1])) == 10


def test_a_run_with_more_methods_measures_only_these(flags, monkeypatch):
    run("compare", **flags)
    calls = count_images_of_rise(monkeypatch)
    more = {"methods": "grad_cam,rise", "layers": "3,4"}
    result = run("compare", **{**flags, **more})
    assert result.returncode == 0, result.output
    assert not calls
    with open(flags["output"] / "table.csv", newline="") as file:
        rows = [(r["layer"], r["method"]) for r in csv.DictReader(file)]
    assert rows == [(n, m) for n in "34" for m in ("Grad-CAM", "RISE")]


def test_refuses_to_continue_with_other_settings(flags, tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    flags["methods"] = f"facnn,{tmp_path / 'mine.py'}:my_method"
    assert run("compare", **flags).returncode == 0
    before = (flags["output"] / "results.json").read_bytes()
    model = FACNN(10, (32, 32, 3), (4,), (1,), space_to_depth=4)
    model.save_to_preset(tmp_path / "other", {"class_names": NAMES})
    for changes, message in (
        ({"steps": 2, "seed": 1}, "--steps 3 became 2; --seed 0 became 1"),
        ({"rise_masks": 11}, "--rise_masks 10 became 11"),
        ({"images": 9}, "other images or labels"),
        ({"preset": tmp_path / "other"}, "another model"),
    ):
        result = run("compare", **{**flags, **changes})
        assert result.returncode == 1
        assert f"Changed: {message}" in result.output
    (tmp_path / "mine.py").write_text(OWN + "# changed")
    result = run("compare", **flags)
    assert "the file of mine.py:my_method has other" in result.output
    assert (flags["output"] / "results.json").read_bytes() == before
    text = before.decode().replace('"torch", "model"', '"jax", "model"')
    (tmp_path / "mine.py").write_text(OWN)
    (flags["output"] / "results.json").write_text(text)
    result = run("compare", **flags)
    assert "Changed: KERAS_BACKEND jax became torch" in result.output
    (flags["output"] / "results.json").write_text('{"pixel_removal": {}}')
    result = run("compare", **flags)
    assert result.returncode == 1
    assert "holds no comparison that can be read" in result.output


def test_only_one_run_uses_a_folder(flags):
    flags["output"].mkdir()
    with record.alone_in("output", flags["output"]):
        result = run("compare", **flags)
    assert result.returncode == 1
    assert "Another run is at work in `--output" in result.output


def test_makes_the_figures_again_from_the_results(flags, tmp_path):
    """Without the model, the images, and the file of a method."""
    (tmp_path / "mine.py").write_text(OWN)
    flags["methods"] = f"grad_cam,rise,random,{tmp_path / 'mine.py'}:my_method"
    out = flags["output"]
    result = run("compare", **flags)
    assert result.returncode == 0, result.output
    kept = {"results.json", "maps.npz", "lock"}
    made = {p.name: p.read_bytes() for p in out.iterdir() if p.is_file()}
    assert {"compare.png", "report.html", "table.md", "images.csv"} < {*made}
    for name in {*made} - kept:
        (out / name).unlink()
    shutil.rmtree(tmp_path / "preset")
    (tmp_path / "mine.py").unlink()
    again = run("compare", figures_only=True, output=out, formats="svg")
    assert again.returncode == 0, again.output
    assert again.output.startswith("| layer | method |")
    for name, contents in made.items():
        assert (out / name).read_bytes() == contents, name
    for name in ("compare", "maps_by_layer", "pixel_removal_4"):
        assert "<svg" in (out / f"{name}.svg").read_text("utf-8")
    result = run("compare", figures_only=True, output=out, steps=3)
    assert "--figures_only takes only --output and --formats" in result.output
    result = run("compare", figures_only=True, output=tmp_path / "none")
    assert "needs an --output folder in which" in result.output


def test_the_recorded_command_can_be_pasted(flags, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(flags["data"], tmp_path / "my photos")
    flags["data"] = tmp_path / "my photos"
    flags |= {"preset": "preset", "output": "out", "methods": "facnn"}
    assert run("compare", **flags).returncode == 0
    said = json.loads((tmp_path / "out" / "results.json").read_text())[
        "command"
    ]
    assert said in (tmp_path / "out" / "table.md").read_text()
    backend, python, option, module, *words = shlex.split(said)
    assert (python, option, module) == ("python", "-m", "zoo.compare")
    assert backend == f"KERAS_BACKEND={keras.backend.backend()}"
    assert str(tmp_path) not in said
    result = run("compare", *words)
    assert result.returncode == 0, result.output
    assert "Continuing. Already measured: FA-CNN, layer 4." in result.output


def test_repeats_what_the_paper_reports(flags, monkeypatch, tmp_path):
    def speed(model, images):
        return 100.0

    monkeypatch.setattr(replicate, "passes_per_second", speed)
    del flags["methods"], flags["layers"], flags["images"]
    flags |= {"steps": 1, "occlusion_size": 16, "occlusion_stride": 16}
    result = run("compare", replicate="paper", **flags)
    assert result.returncode == 0, result.output
    # Of RISE and K-OCC once, of the others at two layers.
    passes = 6 + 2 * (1 + 2) + 2 * (1 + 2 + 2) + (10 + 2) + (5 + 2) + 2
    assert f"{40 * passes:,} forward passes are left, at 100" in result.output
    assert f"about 0:00:{round(40 * passes / 100)}" in result.output
    assert "an accuracy is at most 0.155." in result.output
    table = result.output.split("| what |")[1].splitlines()[2:]
    cells = [[c.strip() for c in line.split("|")[1:-1]] for line in table[:13]]
    assert [(c[1], c[2], c[3]) for c in cells[:3]] == [
        ("FA-CNN", "4", "1"),
        ("FA-CNN", "3", "–"),
        ("FA-CNN", "2", "–"),
    ]
    # Theorem 1.
    assert cells[0][4] == "1.0000" and cells[0][6] == "40"
    curve = curve_of(flags["output"], "random", None)
    assert cells[7][:3] == ["area under the accuracy ↓", "random", "4"]
    assert float(cells[7][4]) == pytest.approx(curve["mean"], abs=1e-4)
    low, high = curve["interval"]
    assert cells[7][5] == f"{low:.4f} to {high:.4f}"
    page = (flags["output"] / "report.html").read_text()
    assert "The paper&#x27;s measurements" in page
    assert replicate.NOTE in page
    classifier = averaging_model(tmp_path / "model.keras")
    model = FACNN.from_classifier(classifier, class_names=NAMES)
    model.save_to_preset(tmp_path / "none")
    flags |= {"preset": tmp_path / "none", "output": tmp_path / "other"}
    result = run("compare", replicate="paper", **flags)
    assert "needs a preset that has FA layers" in result.output


def test_enough_images_of_the_paper_for_narrow_intervals():
    """Of a share of images, 95 % intervals are below +-0.03."""
    low, high = stats.binom.interval(0.95, replicate.IMAGES, 0.5)
    assert (high - low) / 2 / replicate.IMAGES < 0.03


def test_compares_by_the_labels_of_a_table(colors_model, tmp_path):
    """Of several that an image has, by the most probable."""
    colors_model.save_to_preset(tmp_path / "colors")
    (tmp_path / "photos").mkdir()
    rows = ["file,red,green,blue"]
    for name, color, labels in (
        ("yellow", (255, 250, 0), "1,1,0"),
        ("green", (0, 255, 0), "0,1,1"),
        ("gray", (128, 128, 128), "0,0,0"),
        ("black", (0, 0, 0), "0,0,1"),
    ):
        pixels = np.full((16, 16, 3), color, "uint8")
        pixels[-1] = (9, 9, 9)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{name}.png")
        rows.append(f"{name}.png,{labels}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    flags = {
        "preset": tmp_path / "colors",
        "data": tmp_path / "photos",
        "labels": tmp_path / "labels.csv",
        "output": tmp_path / "out",
        "layers": "1",
        "methods": "facnn,random",
        "steps": 2,
    }
    result = run("compare", **flags)
    assert result.returncode == 0, result.output
    curve = curve_of(tmp_path / "out", "random", None)
    # Red, green and blue, of which the last is not found.
    levels = np.array([255 * 15 + 9, 255 * 15 + 9, 9 * 1]) / 16
    expected = 1 / (1 + np.exp(-60 * (levels / 510 - 0.4)))
    assert curve["probability"][0] == pytest.approx(expected.mean(), abs=1e-4)
    assert curve["accuracy"][0] == pytest.approx(2 / 3)
    FACNN(3, (16, 16, 3), (1,), (1,)).save_to_preset(
        tmp_path / "one", {"class_names": ["red", "green", "blue"]}
    )
    result = run("compare", **{**flags, "preset": tmp_path / "one"})
    assert result.returncode == 1
    assert "needs a preset of several labels per image" in result.output


def test_a_new_method_of_the_package_is_compared(folder, tmp_path, monkeypatch):
    """It takes only its name to be chosen, at each layer if it has one."""

    def brightness(model, images, classes=None, *, batch_size=32):
        return np.asarray(images, "float32").mean(-1)

    def early_grad_cam(model, images, classes=None, *, layer, seed=0):
        assert seed == 5
        return attribution.grad_cam(model, images, classes, layer=layer)

    def helper(model, images, strength):
        raise AssertionError

    added = {f.__name__: f for f in (brightness, early_grad_cam, helper)}
    for name, function in added.items():
        monkeypatch.setattr(attribution, name, function, raising=False)
    names = [*attribution.__all__, *added]
    monkeypatch.setattr(attribution, "__all__", names)
    model = FACNN(10, (32, 32, 3), (1, 1), (1, 2), space_to_depth=2)
    model.save_to_preset(tmp_path / "preset", {"class_names": NAMES})
    flags = {
        "preset": tmp_path / "preset",
        "data": folder,
        "images": 10,
        "layers": "2,1",
        "steps": 4,
        "seed": 5,
    }
    out = tmp_path / "out"
    result = run(
        "compare",
        output=out,
        methods="brightness,early_grad_cam,grad_cam",
        **flags,
    )
    assert result.returncode == 0, result.output
    with open(out / "table.csv", newline="") as file:
        rows = {(r["layer"], r["method"]): r for r in csv.DictReader(file)}
    assert len(rows) == 6
    for layer in "12":
        ours, other = (rows[layer, m] for m in ("early grad cam", "Grad-CAM"))
        assert ours["accuracy AUC"] == other["accuracy AUC"]
        assert ours["forward passes per image"] == ""
    assert rows["1", "brightness"] == {**rows["2", "brightness"], "layer": "1"}
    result = run("compare", output=out, methods="helper", **flags)
    assert result.returncode == 1
    assert "Unknown --methods: helper. There are facnn, " in result.output
    assert "brightness, early_grad_cam." in result.output
