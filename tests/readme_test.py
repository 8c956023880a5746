"""The README's lines do what they say, pasted one after the other."""

import pathlib
import re
import shutil

import keras
import numpy as np

ROOT = pathlib.Path(__file__).parents[1]


def test_python_blocks_run(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    kinds = {"airplane": "vehicle", "automobile": "vehicle", "ship": "vehicle"}
    for path in (ROOT / "samples").glob("*.jpg"):
        folder = tmp_path / "photos" / kinds.get(path.stem, "animal")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 8
    names = {}
    for block in blocks:
        is_export = "export(" in block or "onnxruntime" in block
        if is_export and keras.backend.backend() != "torch":
            # As the text says.
            continue
        exec(compile(block, "README.md", "exec"), names)
    assert names["maps"].shape == (2, 14, 14, 10)
    assert names["names"] == ["animal", "vehicle"]
    assert (tmp_path / "my_photos" / "metadata.json").exists()
    assert (tmp_path / "my_hybrid" / "metadata.json").exists()
    assert (tmp_path / "compare.png").exists()
    assert (tmp_path / "why.png").exists()
    assert names["decides"].shape == (2, 14, 14)
    assert np.isfinite(names["curve"].accuracy_auc)
