"""Run written files as a user would, without this package."""

import json
import zipfile

import pytest


def run_onnx(path, images):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    (given,) = session.get_inputs()
    assert given.name == "images" and isinstance(given.shape[0], str)
    return dict(zip(names, session.run(None, {"images": images}), strict=True))


def run_openvino(path, images):
    openvino = pytest.importorskip("openvino")
    model = openvino.compile_model(
        path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return {k.get_any_name(): v for k, v in model({"images": images}).items()}


def run_litert(path, images):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    runner = interpreter.Interpreter(str(path)).get_signature_runner()
    return runner(images=images)


def run_saved_model(path, images):
    tf = pytest.importorskip("tensorflow")
    # Its variables exist as long as this object.
    loaded = tf.saved_model.load(str(path))
    outputs = loaded.serve(images)
    return {k: v.numpy() for k, v in outputs.items()}


RUN = {
    "onnx": run_onnx,
    "openvino": run_openvino,
    "litert": run_litert,
    "tf_saved_model": run_saved_model,
}


def facts_in(name, path):
    """Return the facts in a written file."""
    if name == "onnx":
        import onnx

        return _values({p.key: p.value for p in onnx.load(path).metadata_props})
    if name == "openvino":
        import openvino

        graph = openvino.Core().read_model(path)
        info = graph.get_rt_info(["keras_facnn"])
        return _values({k: v.value for k, v in info.astype(dict).items()})
    if name == "litert":
        return json.loads(zipfile.ZipFile(path).read("keras_facnn.json"))
    return json.loads((path / "assets.extra/keras_facnn.json").read_text())


def _values(facts):
    """Return the values of facts that are held as text."""
    texts = ("description", "license", "dataset", "fit", "maps", "keras_facnn")
    return {
        key: text if key in (*texts, "probabilities") else json.loads(text)
        for key, text in facts.items()
    }
