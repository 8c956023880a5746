"""LiteRT, once TensorFlow Lite, also for phones."""

import json
import pathlib
import zipfile
from collections.abc import Sequence

import numpy as np

from keras_facnn.export.facts import Facts
from keras_facnn.export.facts import as_json
from keras_facnn.export.format import Format
from keras_facnn.export.format import Run


def _finish(path: pathlib.Path, names: Sequence[str], facts: Facts) -> None:
    # TensorFlow Lite's own metadata are in a ZIP at the end of the file too.
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("keras_facnn.json", as_json(facts))


def _load(path: pathlib.Path) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(path)).get_signature_runner()

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        return runner(images=images)

    return run


def _read_facts(path: pathlib.Path) -> Facts:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("keras_facnn.json"))


FORMAT = Format(
    ending=".tflite",
    backends=("tensorflow",),
    any_size=("tensorflow",),
    names_outputs=True,
    options=None,
    packages={"ai_edge_litert": "ai-edge-litert"},
    finish=_finish,
    load=_load,
    read_facts=_read_facts,
)
