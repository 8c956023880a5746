"""OpenVINO, a `.xml` file with the graph and a `.bin` file with the weights."""

import os
import pathlib
from collections.abc import Sequence
from xml.etree import ElementTree

from keras_facnn._checks.text import printable
from keras_facnn.export.facts import Facts
from keras_facnn.export.facts import as_texts
from keras_facnn.export.format import Format
from keras_facnn.export.format import Run
from keras_facnn.runtime import openvino


def _finish(path: pathlib.Path, names: Sequence[str], facts: Facts) -> None:
    from openvino import Core
    from openvino import save_model

    graph = Core().read_model(path)
    (images,) = graph.inputs
    images.get_tensor().set_names({"images"})
    for output, name in zip(graph.outputs, names, strict=True):
        output.get_tensor().set_names({name})
    for key, value in as_texts(facts).items():
        # XML cannot hold control characters.
        graph.set_rt_info(printable(value), ["keras_facnn", key])
    named = path.with_name("named-" + path.name)
    save_model(graph, named, compress_to_fp16=False)
    # The file of the weights is mapped while the graph exists.
    del graph
    for ending in (".xml", ".bin"):
        os.replace(named.with_suffix(ending), path.with_suffix(ending))


def _load(path: pathlib.Path) -> Run:
    return openvino.open_file(path, None, "float32").run_all


def _read_facts(path: pathlib.Path) -> Facts:
    # OpenVINO would read the weights too.
    info = ElementTree.parse(path).find("rt_info/keras_facnn")
    if info is None:
        raise ValueError(f"{path} has no facts")
    return {fact.tag: fact.get("value") for fact in info}


FORMAT = Format(
    ending=".xml",
    endings_beside=(".bin",),
    # On TensorFlow, Keras' exporter drops all outputs but one.
    backends=("torch",),
    packages={"openvino": "openvino"},
    finish=_finish,
    load=_load,
    read_facts=_read_facts,
)
