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
        assert names["names"] == ["animal", "vehicle"]
        assert (folder / "my_photos" / "metadata.json").exists()
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
