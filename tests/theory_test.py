"""The equations and theorems of docs/theory.md, one test per claim."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_facnn.attribution import grad_cam
from tests import numpy_reference
from tests.promises import feature_maps
from tests.promises import predict


def test_computes_the_equations_of_the_paper(small_model, images):
    np.testing.assert_allclose(
        predict(small_model, images),
        numpy_reference.logits(small_model, images),
        rtol=1e-4,
        atol=1e-5,
    )


def test_completeness(small_model, images):
    logits, maps = small_model.predict_with_maps(images, batch_size=2)
    scale = np.exp(
        ops.convert_to_numpy(small_model.get_layer("head").log_scale)
    )
    np.testing.assert_allclose(
        logits, scale * maps.mean((1, 2)), rtol=1e-5, atol=1e-5
    )


def test_theorem_1(small_model, images):
    """Grad-CAM at the last FA layer is s / (h w) times the raw map."""
    maps = small_model.class_maps(images)
    cams = grad_cam(small_model, images, "all", layer=3)
    scale = np.exp(
        keras.ops.convert_to_numpy(small_model.get_layer("head").log_scale)
    )
    np.testing.assert_allclose(cams, scale / 16 * maps, rtol=1e-4)


def test_lemma_3_bounds_how_fast_maps_morph(small_model, images):
    maps = feature_maps(small_model, images)
    branch = predict(
        keras.Model(small_model.input, small_model.get_layer("relu_3").output),
        images,
    )
    flat = [x.reshape(5, -1).astype("float64") for x in (*maps[1:], branch)]
    before, after, branch = flat
    norm = np.linalg.norm
    cosine = (before * after).sum(1) / norm(before, axis=1)
    cosine /= norm(after, axis=1)
    ratio = norm(branch, axis=1) / norm(before, axis=1)
    assert (cosine >= 1 / (1 + (1 / 3) * ratio) - 1e-6).all()


@pytest.mark.parametrize("classes", [None, 1, [0, 1, 2, 3, 0], "all"])
def test_layer_evidence_sums_to_logit_and_map(small_model, images, classes):
    logits = predict(small_model, images)
    maps = small_model.class_maps(images, classes)
    if classes is None:
        logits = logits.max(-1)
    elif classes != "all":
        logits = logits[np.arange(5), classes]
    numbers = small_model.layer_evidence(images, classes)
    spread = small_model.layer_evidence(images, classes, maps=True)
    assert numbers.shape[:2] == spread.shape[:2] == (5, 4)
    np.testing.assert_allclose(numbers.sum(1), logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(spread.sum(1), maps, rtol=1e-4, atol=1e-5)


def test_evidence_of_a_layer_is_what_silencing_it_takes_away(
    small_model, images
):
    """The last branch feeds no other branch, so its evidence is causal."""
    before = predict(small_model, images)
    evidence = small_model.layer_evidence(images, "all")[:, -1]
    small_model.get_layer("norm_3").beta.assign(np.full((16,), -1e6))
    np.testing.assert_allclose(
        before - predict(small_model, images), evidence, rtol=1e-4, atol=1e-5
    )
