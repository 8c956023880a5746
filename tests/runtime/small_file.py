"""A file as `export` writes it, of a graph that has a closed form."""

import hashlib
import json

import pytest

SCALE = 8.0
FACTS = {
    "class_names": ["red", "green", "blue"],
    "image_shape": [6, 6, 3],
    "image_range": [0, 255],
    "fit": "crop",
    "maps": "raw",
    "layers": [1],
    "probabilities": "softmax",
    "scale": SCALE,
    "offset": 0.0,
    "keras_facnn": "0.1.0",
}


def write_small_file(path, subtracted=0.0, beside=True, **facts):
    """Write an ONNX file whose class maps are the colors of the image, 0..1.

    Args:
        path: Where to write.
        subtracted: What the graph subtracts from the logits.
        beside: Whether a JSON file is written beside it.
        **facts: Facts that replace those of the graph. None leaves a fact out.
    """
    onnx = pytest.importorskip("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT

    def constant(name, values):
        return helper.make_tensor(name, floats, [len(values)], values)

    graph = helper.make_graph(
        [
            helper.make_node("Div", ["images", "white"], ["class_maps"]),
            helper.make_node(
                "ReduceMean", ["class_maps", "axes"], ["means"], keepdims=0
            ),
            helper.make_node("Mul", ["means", "scale"], ["scaled"]),
            helper.make_node("Sub", ["scaled", "offset"], ["logits"]),
        ],
        "colors",
        [helper.make_tensor_value_info("images", floats, ["n", 6, 6, 3])],
        [
            helper.make_tensor_value_info("logits", floats, ["n", 3]),
            helper.make_tensor_value_info("class_maps", floats, ["n", 6, 6, 3]),
        ],
        [
            constant("white", [255.0]),
            constant("scale", [SCALE]),
            constant("offset", [subtracted]),
            helper.make_tensor("axes", onnx.TensorProto.INT64, [2], [1, 2]),
        ],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    kept = {k: v for k, v in {**FACTS, **facts}.items() if v is not None}
    texts = {
        k: v if isinstance(v, str) else json.dumps(v) for k, v in kept.items()
    }
    helper.set_model_props(model, texts)
    onnx.save(model, path)
    if beside:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name(path.name + ".json").write_text(
            json.dumps({**kept, "sha256": sha256})
        )
    return path
