"""The README's lines do what they say, pasted one after the other.

So do those of each page of the documentation. Its lines in a tab of a backend
run there; the others on PyTorch, which starts soonest, and where a tab needs
them. What stands below lines as `text` is what they print.
"""

import contextlib
import io
import pathlib
import re
import shutil
import textwrap

import keras
import numpy as np
import pytest
from PIL import Image
from PIL import ImageOps

import keras_facnn

ROOT = pathlib.Path(__file__).parents[1]
BACKEND = keras.backend.backend()
TABS = {
    "TensorFlow": "tensorflow",
    "JAX": "jax",
    "PyTorch": "torch",
    "ONNX Runtime": "torch",
}
BLOCK = re.compile(
    r'^=== "(?P<tab>[^"]+)"\n'
    r"|^(?P<indent> *)```python\n(?P<code>.*?)^(?P=indent)```\n"
    r"(?:\n(?P=indent)```text\n(?P<said>.*?)^(?P=indent)```\n)?",
    re.MULTILINE | re.DOTALL,
)
# Minutes of training, of which a test needs none.
LONG = "epochs, steps = 6, 80"


def compiled(code, name):
    code = textwrap.dedent(code).replace(LONG, "epochs, steps = 2, 1")
    return compile(code, name, "exec")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the lines run: a folder with `samples/` and `photos/`."""
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    kinds = {"airplane": "vehicle", "automobile": "vehicle", "ship": "vehicle"}
    for path in (ROOT / "samples").glob("*.jpg"):
        photos = tmp_path / "photos" / kinds.get(path.stem, "animal")
        photos.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, photos)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python_blocks_run(folder):
    text = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 8
    assert sum(LONG in block for block in blocks) == 1
    names = {}
    # What is pasted first runs on each backend; the rest, ONNX too, on PyTorch.
    for block in blocks if BACKEND == "torch" else blocks[:2]:
        exec(compiled(block, "README.md"), names)
    assert names["maps"].shape == (2, 14, 14, 10)
    assert (folder / "why.png").exists()
    assert names["decides"].shape == (2, 14, 14)
    if BACKEND == "torch":
        mine = keras_facnn.FACNN.from_preset(folder / "my_photos")
        assert mine.class_names == ["animal", "vehicle"]
        assert mine.preset_metadata["trained_on"]["images"] == 4
        assert (folder / "my_hybrid" / "metadata.json").exists()
        assert (folder / "compare.png").exists()
        assert np.isfinite(names["curve"].accuracy_auc)


def blocks_of(path):
    """Blocks of Python: a backend or None, the code, what it prints or None."""
    tab = None
    for found in BLOCK.finditer(path.read_text("utf-8")):
        if found["tab"]:
            tab = TABS.get(found["tab"])
            continue
        said = found["said"] and textwrap.dedent(found["said"])
        yield tab if found["indent"] else None, found["code"], said


PAGES = {
    str(path.relative_to(ROOT / "docs")): path
    for path in sorted((ROOT / "docs").rglob("*.md"))
    if "```python" in path.read_text("utf-8")
}


def test_every_block_of_the_documentation_is_found():
    for name, path in PAGES.items():
        text = path.read_text("utf-8")
        assert len(list(blocks_of(path))) == text.count("```python"), name
    assert len(PAGES) >= 8


@pytest.mark.parametrize("name", PAGES)
def test_python_blocks_of_the_documentation_run(name, folder):
    blocks = list(blocks_of(PAGES[name]))
    backends = {backend for backend, _, _ in blocks}
    if BACKEND not in backends | {"torch"}:
        pytest.skip(f"No lines for {BACKEND} alone")
    keras.utils.set_random_seed(0)
    names = {}
    try:
        for backend, code, said in blocks:
            if backend not in (None, BACKEND):
                continue
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compiled(code, name), names)
            assert said is None or printed.getvalue() == said
    finally:
        if BACKEND == "jax":
            keras.distribution.set_distribution(None)


def reader():
    """The README's function that reads pictures without Keras."""
    text = (ROOT / "README.md").read_text("utf-8")
    return re.search(r"^def read\(.*?\n(?=\n\n)", text, re.M | re.S)[0]


def test_exported_files_are_fed_in_one_way():
    for place in (
        "docs/how_to/export.md",
        "tutorials/explain_in_production.py",
    ):
        assert reader() in (ROOT / place).read_text("utf-8")


def pictures(rng):
    """Kinds of pictures, and how they are saved."""
    color = rng.integers(0, 256, (300, 451, 3)).astype("uint8")
    color = Image.fromarray(color).resize((902, 600))
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = rng.integers(0, 65536, (40, 61)).astype("uint16")
    alpha = color.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(color.size))
    return {
        "large.jpg": (color, {}),
        "turned.jpg": (color, {"exif": exif}),
        "turned.png": (color, {"exif": exif}),
        "sixteen.png": (Image.fromarray(deep), {}),
        "hidden.png": (
            Image.fromarray(deep),
            {"transparency": int(deep[20, 30])},
        ),
        "transparent.png": (alpha, {}),
        "palette.png": (color.quantize(16), {"transparency": 3}),
        "gray.png": (color.convert("L"), {}),
        "cmyk.jpg": (color.convert("CMYK"), {}),
        "odd.png": (color.crop((0, 0, 37, 599)), {}),
    }


@pytest.mark.only_on("torch")
def test_pictures_are_read_as_load_images_reads_them(rng, tmp_path):
    names = {"np": np, "Image": Image, "ImageOps": ImageOps}
    exec(reader(), names)
    for name, (picture, options) in pictures(rng).items():
        picture.save(tmp_path / name, **options)
        expected = keras_facnn.load_images(tmp_path / name, image_size=32)[0]
        found = names["read"](tmp_path / name, (32, 32))
        np.testing.assert_array_equal(found, expected, err_msg=name)
