"""A SavedModel of TensorFlow, a folder."""

import json
import pathlib
from collections.abc import Sequence

import numpy as np

from keras_facnn.export.facts import Facts
from keras_facnn.export.facts import as_json
from keras_facnn.export.format import Format
from keras_facnn.export.format import Run

# TensorFlow leaves this folder to applications.
_FACTS = "assets.extra/keras_facnn.json"


def _finish(path: pathlib.Path, names: Sequence[str], facts: Facts) -> None:
    file = path / _FACTS
    file.parent.mkdir()
    file.write_bytes(as_json(facts))


def _load(path: pathlib.Path) -> Run:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        signature = loaded.signatures["serving_default"]
        values = signature(images=tf.constant(images))
        return {key: value.numpy() for key, value in values.items()}

    return run


def _read_facts(path: pathlib.Path) -> Facts:
    return json.loads((path / _FACTS).read_bytes())


FORMAT = Format(
    ending="",
    backends=("tensorflow", "jax"),
    any_size=("tensorflow",),
    names_outputs=True,
    options=("is_static", "jax2tf_kwargs"),
    packages={"tensorflow": "tensorflow"},
    finish=_finish,
    load=_load,
    read_facts=_read_facts,
)
