"""ONNX, for ONNX Runtime, also in browsers."""

import pathlib
from collections.abc import Sequence

from keras_facnn.export.facts import Facts
from keras_facnn.export.facts import as_texts
from keras_facnn.export.format import Format
from keras_facnn.export.format import Run
from keras_facnn.runtime import onnxruntime


def _finish(path: pathlib.Path, names: Sequence[str], facts: Facts) -> None:
    import onnx

    graph = onnx.load(path)
    renamed = dict(
        zip((o.name for o in graph.graph.output), names, strict=True)
    )
    for node in graph.graph.node:
        for side in (node.input, node.output):
            for i, name in enumerate(side):
                side[i] = renamed.get(name, name)
    for output, name in zip(graph.graph.output, names, strict=True):
        output.name = name
    onnx.helper.set_model_props(graph, as_texts(facts))
    onnx.checker.check_model(graph)
    onnx.save(graph, path)


def _load(path: pathlib.Path) -> Run:
    return onnxruntime.open_file(path, None, "float32").run_all


def _read_facts(path: pathlib.Path) -> Facts:
    import onnx

    graph = onnx.load(path, load_external_data=False)
    return {p.key: p.value for p in graph.metadata_props}


FORMAT = Format(
    ending=".onnx",
    backends=("torch",),
    options=("opset_version",),
    packages={"onnx": "onnx", "onnxruntime": "onnxruntime"},
    finish=_finish,
    load=_load,
    read_facts=_read_facts,
)
