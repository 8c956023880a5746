"""`Explainer` does what its docstring says, on a graph with a closed form."""

import concurrent.futures
import io
import json
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_facnn import plots
from keras_facnn.runtime import Explainer
from tests.runtime.odd_pictures import SAMPLES
from tests.runtime.small_file import SCALE
from tests.runtime.small_file import write_small_file

pytestmark = pytest.mark.only_on("torch")
pytest.importorskip("onnxruntime")


@pytest.fixture
def path(tmp_path):
    return write_small_file(tmp_path / "small.onnx")


@pytest.fixture
def explainer(path):
    return Explainer(path)


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (5, 6, 6, 3)).astype("uint8")


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def softmax(logits):
    powers = np.exp(logits)
    return powers / powers.sum(axis=-1, keepdims=True)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(found[name], values, atol=1e-5)
        else:
            np.testing.assert_array_equal(found[name], values)


def test_columns_have_one_row_per_picture(explainer, pixels):
    columns = explainer(pixels, batch_size=2)
    maps = pixels / 255
    logits = SCALE * maps.mean((1, 2))
    best = logits.argmax(-1)
    names = np.array(["red", "green", "blue"], object)
    centered = (maps - maps.mean(-1, keepdims=True))[range(5), ..., best]
    positive = np.maximum(centered, 0)
    inner = positive[:, 1:-1, 1:-1].sum((1, 2))
    assert_same(
        columns,
        {
            "class": best,
            "name": names[best],
            "probability": softmax(logits)[range(5), best],
            "logits": logits,
            "probabilities": softmax(logits),
            "border": 1 - inner / positive.sum((1, 2)),
            "unsure": softmax(logits).max(-1) < 0.5,
            "maps": maps[range(5), ..., best],
        },
    )
    for name, dtype in (("class", "int64"), ("maps", "float32")):
        assert columns[name].dtype == dtype
    assert columns["border"].dtype == columns["probability"].dtype == "float32"


@pytest.mark.parametrize("classes", [1, "green", [1] * 5, ["green"] * 5])
def test_explains_other_classes(explainer, pixels, classes):
    columns = explainer(pixels, classes, centered=True)
    maps = pixels / 255
    expected = maps[..., 1] - maps.mean(-1)
    np.testing.assert_allclose(columns["maps"], expected, atol=1e-6)
    assert columns["class"].tolist() == [1] * 5
    np.testing.assert_array_equal(
        columns["probability"], columns["probabilities"][:, 1]
    )


def test_all_maps_sum_to_the_logits(explainer, pixels):
    columns = explainer(pixels, "all", check=True)
    sums = explainer.scale * columns["maps"].mean((1, 2))
    np.testing.assert_allclose(sums, columns["logits"], atol=1e-5)
    assert columns["sum_error"].shape == (5,)
    assert columns["sum_error"].max() < 1e-5
    centered = explainer(pixels, "all", centered=True)["maps"]
    np.testing.assert_allclose(centered.sum(-1), 0, atol=1e-6)


def test_maps_of_half_the_size_or_none(explainer, pixels):
    columns = explainer(pixels)
    half = explainer(pixels, maps="float16")["maps"]
    np.testing.assert_array_equal(half, columns["maps"].astype("float16"))
    columns.pop("maps")
    assert_same(explainer(pixels, maps=None), columns)


def test_reads_paths_bytes_and_open_files(explainer, tmp_path, pixels):
    files = [tmp_path / f"{i}.png" for i in range(5)]
    for file, image in zip(files, pixels, strict=True):
        file.write_bytes(png(image))
    data = [file.read_bytes() for file in files]
    expected = explainer(pixels)
    for images in (
        files,
        list(map(str, files)),
        np.array(list(map(str, files))),
        iter(files),
        data,
        np.array(data, object),
        [io.BytesIO(one) for one in data],
    ):
        assert_same(explainer(images, batch_size=2), expected)
    for image in (files[0], str(files[0]), data[0], io.BytesIO(data[0])):
        assert_same(explainer(image), {k: v[:1] for k, v in expected.items()})


def test_contrast_is_the_difference_of_maps(explainer, pixels):
    columns = explainer(pixels, "all")
    expected = (pixels[..., 0] - pixels[..., 2].astype(float)) / 255
    for given in (columns, columns["maps"]):
        found = explainer.contrast(given, "red", [2] * 5)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(ValueError, match='classes="all"'):
        explainer.contrast(explainer(pixels), 0, 1)
    with pytest.raises(ValueError, match="`b` must be a class"):
        explainer.contrast(columns, 0, None)


def decode(data):
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def test_overlay_has_the_colors_of_plots(explainer, rng):
    map_ = rng.normal(size=(3, 3))
    image = rng.integers(0, 256, (40, 30, 3)).astype("uint8")
    both = decode(explainer.overlay(image, map_, negative=True))
    np.testing.assert_array_equal(both, plots.colorize(image, map_))
    only = decode(explainer.overlay(image, map_, vmax=2.0))
    from matplotlib.figure import Figure

    drawn = plots.overlay(Figure().add_subplot(), image, map_, vmax=2.0)
    colors = drawn.cmap(drawn.norm(drawn.get_array()))
    gray = image @ np.array([0.299, 0.587, 0.114]) / 2
    alpha = colors[..., 3:]
    expected = 255 * alpha * colors[..., :3] + (1 - alpha) * gray[..., None]
    np.testing.assert_allclose(only, expected, atol=1.5)


def test_overlay_draws_on_a_picture_at_any_size(explainer, tmp_path):
    path = SAMPLES / "clothing" / "dress.jpg"
    data = path.read_bytes()
    assert decode(explainer.overlay(data, np.eye(6))).shape == (6, 6, 3)
    large = decode(explainer.overlay(path, np.eye(6), size=(90, 90)))
    assert large.shape == (90, 90, 3)
    with pytest.raises(ValueError, match="aspect ratio of the images, 6 x 6"):
        explainer.overlay(path, np.eye(6), size=(90, 60))
    with pytest.raises(ValueError, match="`size` must be None"):
        explainer.overlay(np.zeros((6, 6, 3)), np.eye(6), size=(90, 90))
    with pytest.raises(ValueError, match=r"`map_` must have shape \(h, w\)"):
        explainer.overlay(path, np.zeros((1, 6, 6)))


def test_several_labels_have_probabilities_of_their_own(tmp_path, pixels):
    path = write_small_file(
        tmp_path / "m.onnx", 3.0, probabilities="sigmoid", offset=3.0
    )
    explainer = Explainer(path)
    assert explainer.several_labels and explainer.offset == 3
    columns = explainer(pixels, 0)
    logits = SCALE * pixels.mean((1, 2)) / 255 - 3
    np.testing.assert_allclose(
        columns["probabilities"], 1 / (1 + np.exp(-logits)), atol=1e-6
    )
    # All evidence decides, also what the classes share.
    maps = pixels[..., 0] / 255
    border = 1 - maps[:, 1:-1, 1:-1].sum((1, 2)) / maps.sum((1, 2))
    np.testing.assert_allclose(columns["border"], border, atol=1e-6)
    # Older files do not say the offset.
    older = tmp_path / "older.onnx"
    write_small_file(older, 3.0, probabilities="sigmoid", offset=None)
    assert Explainer(older).offset is None


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_threads_share_an_explainer(path, rng, engine):
    pytest.importorskip(engine)
    images = rng.integers(0, 256, (64, 6, 6, 3)).astype("uint8")
    explainer = Explainer(path, engine, threads=1)
    expected = explainer(images)["maps"]
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        maps = threads.map(lambda i: explainer(i[None])["maps"][0], images)
        np.testing.assert_allclose(list(maps), expected, atol=1e-6)


def test_engines_agree(path, pixels):
    pytest.importorskip("openvino")
    assert_same(Explainer(path, "openvino")(pixels), Explainer(path)(pixels))


def test_bfloat16_is_close(path, pixels):
    pytest.importorskip("openvino")
    explainer = Explainer(path, "openvino", precision="bfloat16")
    again = pickle.loads(pickle.dumps(explainer))(pixels, "all")
    np.testing.assert_allclose(again["maps"], pixels / 255, atol=0.01)
    expected = explainer(pixels, "all")["maps"]
    np.testing.assert_array_equal(again["maps"], expected)


def test_is_pickled_as_the_path_of_the_file(path, explainer, pixels):
    data = pickle.dumps(explainer)
    assert len(data) < 2000
    assert_same(pickle.loads(data)(pixels), explainer(pixels))
    write_small_file(path, description="another")
    with pytest.raises(ValueError, match="was replaced by another file"):
        pickle.loads(data)


def test_refuses_files_that_export_did_not_write(tmp_path):
    path = write_small_file(tmp_path / "m.onnx", keras_facnn=None, beside=False)
    with pytest.raises(ValueError, match="that `FACNN.export` wrote"):
        Explainer(path)


def test_refuses_damaged_files(path):
    data = path.read_bytes()
    path.with_name("small.onnx.json").unlink()
    for start in (b"", data[:100], data[: len(data) // 2], b"\0" + data):
        path.write_bytes(start)
        with pytest.raises(ValueError, match="small.onnx cannot be opened"):
            Explainer(path)


def test_refuses_a_json_of_another_file(path, tmp_path):
    other = write_small_file(tmp_path / "other.onnx", description="other")
    beside = tmp_path / "small.onnx.json"
    shutil.copy(tmp_path / "other.onnx.json", beside)
    with pytest.raises(ValueError, match="json is not of .*small.onnx"):
        Explainer(path)
    beside.write_text("{")
    with pytest.raises(ValueError, match="json cannot be read"):
        Explainer(path)
    beside.unlink()
    assert Explainer(path).sha256 == Explainer(path).sha256
    sha256 = json.loads((tmp_path / "other.onnx.json").read_bytes())["sha256"]
    assert Explainer(other).sha256 == sha256


@pytest.mark.parametrize(
    "subtracted, facts",
    [(0.0, {"scale": SCALE * 1.01}), (0.5, {}), (0.0, {"maps": "centered"})],
)
def test_refuses_maps_that_do_not_sum_to_logits(tmp_path, subtracted, facts):
    path = write_small_file(tmp_path / "m.onnx", subtracted, **facts)
    with pytest.raises(ValueError, match="its maps do not sum to its logits"):
        Explainer(path)


@pytest.mark.parametrize(
    "facts, message",
    [
        ({"layers": [1, 2]}, "lacks the outputs class_maps_1"),
        ({"class_names": ["red", "green"]}, "be of its 2 classes"),
        ({"class_names": "red"}, "its fact `class_names` cannot be used"),
        ({"image_shape": [6, 6]}, "its fact `image_shape` cannot be used"),
        ({"image_shape": [5, 5, 3]}, "cannot be run on an image"),
        ({"fit": "squeeze"}, "its fact `fit` cannot be used"),
        ({"maps": None}, "its fact `centered` cannot be used"),
        ({"probabilities": "relu"}, "its fact `several_labels` cannot be"),
        ({"scale": 0}, "its fact `scale` cannot be used"),
        ({"layers": []}, "its fact `layers` cannot be used"),
    ],
)
def test_refuses_facts_that_do_not_fit(tmp_path, facts, message):
    path = write_small_file(tmp_path / "m.onnx", **facts)
    with pytest.raises(ValueError, match=message):
        Explainer(path)


def test_names_may_be_unknown(tmp_path, pixels):
    path = write_small_file(tmp_path / "m.onnx", class_names=None)
    explainer = Explainer(path)
    assert explainer.class_names is None and explainer.num_classes == 3
    assert "name" not in explainer(pixels)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"path": "m.tflite"}, ValueError, "`path` must end in .onnx or .xml"),
        ({"path": "none.onnx"}, FileNotFoundError, "no file .*none.onnx"),
        ({"engine": "tvm"}, ValueError, "`engine` must be one of"),
        (
            {"path": "m.xml", "engine": "onnxruntime"},
            ValueError,
            "that runs .xml files: openvino",
        ),
        ({"threads": 0}, ValueError, "`threads` must be a positive integer"),
        ({"precision": "int8"}, ValueError, "`precision` must be one of"),
        (
            {"precision": "bfloat16"},
            ValueError,
            '`precision` must be "float32" for engine=.onnxruntime',
        ),
    ],
)
def test_refuses_bad_arguments_for_a_file(path, arguments, error, message):
    with pytest.raises(error, match=message):
        Explainer(**{"path": path, **arguments})


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"images": []}, "`images` must hold at least one picture"),
        ({"images": np.zeros((2, 5, 5, 3))}, r"shape \(batch, 6, 6, 3\)"),
        ({"images": np.full((1, 6, 6, 3), np.nan)}, "`images` must be finite"),
        ({"images": ["a.png", np.zeros((6, 6, 3))]}, "all files or all arrays"),
        ({"classes": "pink"}, "`classes` must be among .*red, green, blue"),
        ({"classes": 3}, "`classes` must be None"),
        ({"classes": [0, 1]}, "`classes` must be None"),
        ({"maps": "float64"}, "`maps` must be one of float32, float16"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer"),
        ({"centered": 1}, "`centered` must be True or False"),
        ({"check": "yes"}, "`check` must be True or False"),
    ],
)
def test_refuses_bad_arguments_of_a_call(explainer, pixels, arguments, message):
    with pytest.raises(ValueError, match=message):
        explainer(**{"images": pixels, **arguments})


def test_centered_maps_of_a_file_cannot_become_raw(tmp_path, pixels):
    """This is refused, because their mean over the classes is lost."""
    onnx = pytest.importorskip("onnx")
    path = write_small_file(tmp_path / "m.onnx", beside=False, maps="centered")
    model = onnx.load(path)
    for node in model.graph.node:
        for side in (node.input, node.output):
            side[:] = ["raw" if n == "class_maps" else n for n in side]
    mean = onnx.helper.make_node("ReduceMean", ["raw", "classes"], ["mean"])
    less = onnx.helper.make_node("Sub", ["raw", "mean"], ["class_maps"])
    model.graph.node.extend([mean, less])
    model.graph.initializer.append(
        onnx.helper.make_tensor("classes", onnx.TensorProto.INT64, [1], [3])
    )
    onnx.save(model, path)
    explainer = Explainer(path)
    assert explainer.centered
    maps = explainer(pixels, "all")["maps"]
    np.testing.assert_allclose(maps.sum(-1), 0, atol=1e-6)
    assert explainer(pixels, check=True)["sum_error"].max() < 1e-5
    with pytest.raises(ValueError, match="`centered` must be True or None"):
        explainer(pixels, centered=False)


def test_a_broken_picture_is_an_error_with_its_name(explainer, tmp_path):
    good, broken = tmp_path / "good.png", tmp_path / "broken.png"
    good.write_bytes(png(np.zeros((9, 9, 3), "uint8")))
    broken.write_bytes(good.read_bytes()[:40])
    with pytest.raises(ValueError, match="broken.png cannot be read"):
        explainer([good, broken])
    with pytest.raises(FileNotFoundError, match="none.png"):
        explainer([good, tmp_path / "none.png"])
