"""Each line of the README is run or checked.

Its blocks run one after the other, as a reader pastes them. So do those of each
page of the documentation: the lines in a tab of a backend run on it, and the
others on PyTorch, which starts soonest, and where a tab needs them. The `text`
below a block is what it prints.
"""

import contextlib
import importlib
import io
import json
import pathlib
import re
import shlex
import shutil
import textwrap
import tomllib

import keras
import numpy as np
import pytest
from PIL import Image
from PIL import ImageOps

import keras_facnn
from keras_facnn.cli.main import _parser

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$\n?", re.MULTILINE | re.DOTALL)
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


def compiled(code, name):
    return compile(textwrap.dedent(code), name, "exec")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Make a folder with `samples/` and `photos/`, where the lines run."""
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    kinds = {"airplane": "vehicle", "automobile": "vehicle", "ship": "vehicle"}
    for path in (ROOT / "samples").glob("*.jpg"):
        photos = tmp_path / "photos" / kinds.get(path.stem, "animal")
        photos.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, photos)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- Blocks of the README ---


def commands(block):
    """Split a shell block into commands, each a list of words."""
    found = []
    for line in block.replace("\\\n", "").splitlines():
        found.append([])
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # A string that goes on in the next line.
            words = ["'"]
        for word in words:
            found[-1].append(word) if word != "&&" else found.append([])
    return [command for command in found if command]


def check_make(targets):
    for target in targets:
        assert re.search(rf"^{target}\b.*:", MAKEFILE, re.MULTILINE), target


def check_pip(words):
    """Check that extras exist, and that the Makefile installs the same."""
    assert words[0] == "install"
    for word in words[1:]:
        assert word.startswith(".") or word in MAKEFILE, word
    check_extras(words)


def check_extras(words):
    for word in words:
        if word.startswith("."):
            extras = re.fullmatch(r"\.\[([\w,]+)\]", word)[1].split(",")
            assert set(extras) <= set(PROJECT["optional-dependencies"]), word


def check_python(words):
    assert words == ["-m", "venv", ".venv"]


def check_source(words):
    assert words == [".venv/bin/activate"]


def check_export(words):
    ((name, backend),) = (word.split("=") for word in words)
    assert name == "KERAS_BACKEND" and backend in TABS.values()


def run_keras_facnn(words):
    """Run a command of the package, and look for the file that it writes."""
    module, main = PROJECT["scripts"]["keras-facnn"].split(":")
    assert getattr(importlib.import_module(module), main)(words) == 0
    if "--output" in words:
        assert pathlib.Path(words[words.index("--output") + 1]).exists()


# The programs that the README names, and what checks or runs their arguments.
PROGRAMS = {
    ".": check_source,
    "export": check_export,
    "keras-facnn": run_keras_facnn,
    "make": check_make,
    "pip": check_pip,
    "python3": check_python,
}


def program(command):
    """Split a command into its program and its arguments."""
    if command[0].startswith("KERAS_BACKEND="):
        check_export(command[:1])
        command = command[1:]
    name, *words = command
    folder, _, name = name.rpartition("/")
    if folder:
        assert f"make_venv,{folder.removesuffix('/bin')}" in MAKEFILE
    return name, words


def readme_blocks():
    """Return each block with its language, and what it prints or None."""
    blocks = FENCED.findall(README)
    following = [*blocks[1:], ("", "")]
    for (language, block), (after, printed) in zip(
        blocks, following, strict=True
    ):
        if language != "text":
            yield language, block, printed if after == "text" else None


def test_every_block_is_checked():
    """What `test_blocks_run` can neither run nor check must not be there."""
    kinds = [language for language, _, _ in readme_blocks()]
    assert set(kinds) == {"python", "sh"}
    assert README.count("```") == 2 * len(FENCED.findall(README))
    printed = [after for _, _, after in readme_blocks() if after is not None]
    assert len(printed) == README.count("```text")
    for language, block, after in readme_blocks():
        if language == "sh":
            assert after is None
            for command in commands(block):
                assert program(command)[0] in PROGRAMS


def test_blocks_run(folder):
    """Each block of Python imports what it needs."""
    ran = []
    for language, block, expected in readme_blocks():
        if language == "python":
            # What is pasted first runs on each backend; the rest on PyTorch.
            if ran and BACKEND != "torch":
                break
            printed = io.StringIO()
            ran.append({})
            with contextlib.redirect_stdout(printed):
                exec(compiled(block, "README.md"), ran[-1])
            assert expected is None or printed.getvalue() == expected
            continue
        for command in commands(block):
            name, words = program(command)
            PROGRAMS[name](words)
    assert (folder / "why.png").exists()
    assert ran[0]["explanation"].maps.shape == (2, 16, 16, 1000)
    if BACKEND == "torch":
        assert len(ran) == README.count("```python") == 4
        for name in ("my_photos", "mine"):
            mine = keras_facnn.FACNN.from_preset(folder / name)
            assert mine.class_names == ["animal", "vehicle"]
            assert mine.preset_metadata["trained_on"]["images"] == 4
        assert (folder / "mine.png").exists()
        assert (folder / "mine" / "report.html").exists()
        page = (folder / "audit.html").read_text("utf-8")
        assert "Why does the model &quot;my_photos&quot; answer" in page
        assert (folder / "audit.json").exists()
        assert (folder / "my_model" / "metadata.json").exists()


# --- Prose of the README ---


def prose():
    text = FENCED.sub("", README)
    return "\n".join(
        line for line in text.splitlines() if not line.startswith("|")
    )


@pytest.mark.parametrize(
    ("name", "lines"), [("README.md", 200), ("zoo/README.md", 150)]
)
def test_is_short(name, lines):
    assert len((ROOT / name).read_text("utf-8").splitlines()) <= lines


def test_the_table_of_presets_is_what_was_measured():
    header, _, *rows = re.findall(r"^\|(.*)\|$", README, re.MULTILINE)
    columns = [cell.strip() for cell in header.split("|")]
    assert len(rows) == len(keras_facnn.FACNN.presets)
    for row in rows:
        cells = [cell.strip() for cell in row.split("|")]
        row = dict(zip(columns, cells, strict=True))
        name = row["name"].strip("`")
        card = keras_facnn.FACNN.presets[name]
        stored = ROOT / "keras_facnn" / "presets" / name
        size = sum(path.stat().st_size for path in stored.iterdir())
        config = json.loads((stored / "config.json").read_text("utf-8"))
        config = config.get("config", config)
        layers = str(sum(config["depths"]))
        classwise = config.get("classwise_layers", 0)
        if classwise:
            layers += f", the last {classwise} class-wise"
        assert row["classes"].split()[0] == str(len(card["class_names"]))
        assert row["images"] == "x".join(map(str, card["input"]["shape"]))
        assert row["FA layers"].partition(" on ")[0] == layers
        assert row["parameters"] == f"{card['parameters'] / 1e6:.2f} M"
        assert row["on disk"] == f"{size / 1e6:.1f} MB"
        assert row["top-1"] == f"{card['metrics']['top_1']:.1%}"
        assert row["top-5"] == f"{card['metrics']['top_5']:.1%}"


def test_every_number_of_the_prose_is_known():
    text = re.sub(r"`[^`]*`|\]\([^)]*\)", "", prose())
    numbers = set(re.findall(r"(?<![\w.-])\d[\d.]*\d|(?<![\w.-])\d", text))
    paper = re.search(
        r"arxiv.org/abs/([\d.]+)", (ROOT / "CITATION.cff").read_text("utf-8")
    )[1]
    (keras_at_least,) = (
        requirement.partition(">=")[2]
        for requirement in PROJECT["optional-dependencies"]["keras"]
        if requirement.startswith("keras>=")
    )
    assert numbers == {
        PROJECT["requires-python"].removeprefix(">="),
        keras_at_least.partition(".")[0],
        paper,
    }


def test_every_name_of_the_prose_exists():
    """A preset, a file, a public name, a command, or a part of a block."""
    blocks = "".join(block for _, block in FENCED.findall(README))
    rooms = keras, keras_facnn, keras_facnn.FACNN
    for name in re.findall(r"`([^`]+)`", prose()):
        words = name.split()
        if words[0] in PROGRAMS and len(words) > 1:
            PROGRAMS[words[0]](words[1:])
            continue
        assert (
            name in keras_facnn.FACNN.presets
            or name in PROGRAMS
            or name in blocks
            or name == "photos/CLASS/"  # The folder of the fixture.
            or (ROOT / name).exists()
            or any(resolves(room, name) for room in rooms)
        ), name


def resolves(room, name):
    try:
        for part in name.removeprefix("keras.").split("."):
            room = getattr(room, part)
    except AttributeError:
        return False
    return True


# --- Pages of the documentation ---


def blocks_of(path):
    """Yield a backend or None, the code, and what it prints or None."""
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


TEXTS = [
    ROOT / "CONTRIBUTING.md",
    ROOT / "tutorials" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "zoo").rglob("*.md")),
]


@pytest.mark.only_on("torch")
@pytest.mark.parametrize("path", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_shell_commands_of_the_documentation_are_known(path):
    """`tests/zoo/commands_test.py` reads those of the zoo."""
    blocks = re.findall(
        r"^( *)```sh\n(.*?)^\1```$", path.read_text("utf-8"), re.M | re.S
    )
    for _, block in blocks:
        for words in commands(block):
            while words and re.match(r"\w+=", words[0]):
                words = words[1:]
            # It runs in the background, while what follows does.
            if words[-1:] == ["&"]:
                words = words[:-1]
            match words:
                case ["keras-facnn", *arguments]:
                    _parser().parse_args(arguments)
                case ["pip", "install" | "wheel", *names]:
                    check_extras(names)
                case ["make", *targets]:
                    check_make([t for t in targets if "=" not in t])


def reader():
    """Return the function of the tutorial that reads pictures without Keras."""
    path = ROOT / "tutorials" / "explain_in_production.py"
    text = path.read_text("utf-8")
    return re.search(r"^def read\(.*?\n(?=\n\n)", text, re.M | re.S)[0]


def pictures(rng):
    """Return pictures of many kinds, and the options to save them."""
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
