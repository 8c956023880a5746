"""A small ONNX file with the facts that `export` writes."""

import json

import numpy as np
import onnx
from onnx import helper
from onnx import numpy_helper

NAMES = ["cat", "dog", "fish"]
SHAPE = (8, 8, 3)
SCALE = 2.0


def write(path):
    """Write a model of 8x8 images, whose maps are one strided convolution."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(0, 0.01, (len(NAMES), 3, 2, 2)).astype("float32")
    graph = helper.make_graph(
        [
            helper.make_node(
                "Transpose", ["images"], ["pixels"], perm=[0, 3, 1, 2]
            ),
            helper.make_node(
                "Conv", ["pixels", "kernel"], ["maps"], strides=[2, 2]
            ),
            helper.make_node(
                "Transpose", ["maps"], ["class_maps"], perm=[0, 2, 3, 1]
            ),
            helper.make_node(
                "ReduceMean", ["class_maps", "axes"], ["means"], keepdims=0
            ),
            helper.make_node("Mul", ["means", "scale"], ["logits"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("images", 1, ["batch", *SHAPE])],
        [
            helper.make_tensor_value_info("logits", 1, ["batch", len(NAMES)]),
            helper.make_tensor_value_info(
                "class_maps", 1, ["batch", 4, 4, len(NAMES)]
            ),
        ],
        [
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(np.array([1, 2]), "axes"),
            numpy_helper.from_array(np.float32(SCALE), "scale"),
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10
    )
    facts = {
        "class_names": NAMES,
        "image_shape": SHAPE,
        "layers": [3],
        "scale": SCALE,
    }
    texts = {"fit": "crop", "maps": "raw", "probabilities": "softmax"}
    texts |= {key: json.dumps(value) for key, value in facts.items()}
    helper.set_model_props(model, {**texts, "keras_facnn": "0.1.0"})
    onnx.save(model, path)
