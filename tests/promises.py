"""Check what holds for every FA-CNN."""

import keras
import numpy as np

from keras_facnn import FACNN
from tests.export.running import RUN


def predict(model, images):
    return model.predict(images, verbose=0)


def feature_maps(model, images):
    maps = predict(model.feature_extractor(), images)
    return [maps[f"fa_{layer}"] for layer in range(1, model.num_layers + 1)]


def with_other_weights(model, rng):
    """Return the model after a random change of all weights and statistics."""
    model.set_weights(
        [
            w + 0.1 * rng.uniform(size=w.shape).astype(w.dtype)
            for w in model.get_weights()
        ]
    )
    return model


def check_exactness(model, images):
    measured = model.verify(images)
    assert measured["theorem_1_correlation"] > 0.9999
    for name in ("theorem_1_error", "completeness_error", "evidence_error"):
        assert measured[name] < 1e-4


def check_copies(model, images, folder, option):
    """Check that fused, saved and loaded copies agree and keep their config."""
    expected = model.predict(images, verbose=0)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(predict(clone, images), expected)
    np.testing.assert_allclose(
        model.fuse().predict(images, verbose=0), expected, rtol=1e-4
    )
    model.save(folder / "model.keras")
    model.save_to_preset(folder / "preset")
    for loaded in (
        keras.models.load_model(folder / "model.keras"),
        FACNN.from_preset(folder / "preset"),
    ):
        assert getattr(loaded, option) == getattr(model, option)
        np.testing.assert_array_equal(
            loaded.predict(images, verbose=0), expected
        )


def check_exported(model, images, folder):
    """Check that a file of PyTorch or TensorFlow answers as the model."""
    name, ending = {
        "torch": ("onnx", ".onnx"),
        "tensorflow": ("litert", ".tflite"),
    }[keras.backend.backend()]
    path = folder / f"model{ending}"
    model.export(path, verbose=False)
    outputs = RUN[name](path, images.astype("float32"))
    np.testing.assert_allclose(
        outputs["logits"], predict(model, images), rtol=1e-3
    )
