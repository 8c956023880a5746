"""Checks that `openvino_test.py` runs on the OpenVINO backend."""

import sys
import threading

import numpy as np
import pytest

import keras_facnn
from keras_facnn import attribution
from keras_facnn import metrics


def forward_outputs(model, images):
    """Return all outputs that need no gradient, as a dict of arrays."""
    # These maps have no ties, so every backend ranks the locations alike.
    maps = images.mean(axis=-1)
    removal = metrics.pixel_removal(
        model, images, [1] * len(images), maps, fractions=(0.0, 0.5, 1.0)
    )
    return {
        "class_maps": model.class_maps(images, layer=2, batch_size=2),
        "logits": model.predict_with_maps(images)[0],
        "layer_logits": model.layer_logits(images),
        "layer_evidence": model.layer_evidence(images, maps=True),
        "explain": model.explain(images).maps,
        "fuse": model.fuse().class_maps(images),
        "contrast": attribution.contrast(model, images, 1, 2),
        "disagreement": attribution.disagreement(model, images),
        "cam": attribution.cam(model, images, "all"),
        "score_cam": attribution.score_cam(model, images[:2], layer=2),
        "ablation_cam": attribution.ablation_cam(model, images[:2], layer=2),
        "rise": attribution.rise(model, images, masks=8),
        "occlusion": attribution.occlusion(model, images, size=8),
        "removal": np.asarray(removal.probability),
    }


def check_gradients_are_refused(model, images):
    for call in (
        lambda: attribution.grad_cam(model, images, layer=2),
        lambda: attribution.grad_cam_plus_plus(model, images, layer=2),
        lambda: attribution.hires_cam(model, images, layer=2),
        lambda: attribution.layer_cam(model, images, layer=2),
        lambda: attribution.saliency(model, images),
        lambda: attribution.smooth_grad(model, images),
        lambda: attribution.var_grad(model, images),
        lambda: attribution.integrated_gradients(model, images),
        lambda: attribution.expected_gradients(
            model, images, background=images
        ),
        lambda: model.verify(images),
        lambda: metrics.similarity_by_layer(model, images),
    ):
        with pytest.raises(NotImplementedError, match="KERAS_BACKEND.*cam"):
            call()


def check_new_values_are_seen(model, images):
    before = model.class_maps(images)
    conv = model.get_layer("conv_2")
    conv.set_weights([2 * w for w in conv.get_weights()])
    assert np.abs(model.class_maps(images) - before).max() > 1e-3
    conv.set_weights([w / 2 for w in conv.get_weights()])
    np.testing.assert_allclose(model.class_maps(images), before, rtol=1e-5)


def check_threads(model, images):
    expected, found = model.class_maps(images), []
    threads = [
        threading.Thread(target=lambda: found.append(model.class_maps(images)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(threads)
    for maps in found:
        np.testing.assert_array_equal(maps, expected)


def main(folder):
    images = np.load(f"{folder}/images.npy")
    model = keras_facnn.FACNN.from_preset(f"{folder}/preset")
    said = forward_outputs(model, images)
    half = keras_facnn.FACNN.from_preset(
        f"{folder}/preset", dtype="mixed_bfloat16"
    )
    said["bfloat16"] = half.class_maps(images, layer=2)
    check_gradients_are_refused(model, images)
    check_new_values_are_seen(model, images)
    check_threads(model, images)
    np.savez(f"{folder}/openvino.npz", **said)


if __name__ == "__main__":
    main(sys.argv[1])
