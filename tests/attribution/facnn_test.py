import numpy as np
import pytest

from keras_facnn.attribution import contrast
from keras_facnn.attribution import disagreement


def test_contrast_sums_to_the_margin(small_model, images):
    logits = small_model.predict(images, verbose=0)
    rows = np.arange(5)
    a, b = [3, 1, 0, 2, 2], [0, 1, 2, 3, 1]
    maps = contrast(small_model, images, a, b)
    assert maps.shape == (5, 4, 4)
    np.testing.assert_allclose(
        maps.sum((1, 2)), logits[rows, a] - logits[rows, b], atol=1e-4
    )
    np.testing.assert_allclose(maps, -contrast(small_model, images, b, a))
    np.testing.assert_allclose(
        contrast(small_model, images, None, 1).sum((1, 2)),
        logits.max(-1) - logits[:, 1],
        atol=1e-4,
    )
    with pytest.raises(ValueError, match="`a` and `b` must be"):
        contrast(small_model, images, "all", 1)


@pytest.mark.parametrize("layer, maps_per_class", [(1, 2), ("fa_3", 4)])
def test_disagreement_is_the_deviation_of_a_class_own_maps(
    small_model, images, layer, maps_per_class
):
    (maps,) = (
        small_model.feature_extractor(layer).predict(images, verbose=0).values()
    )
    blocks = np.split(maps, 4, axis=-1)
    assert blocks[0].shape[-1] == maps_per_class
    expected = np.stack([b.std(-1) for b in blocks], axis=-1)
    actual = disagreement(small_model, images, "all", layer=layer, batch_size=2)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        disagreement(small_model, images, 2, layer=layer),
        expected[..., 2],
        rtol=1e-4,
        atol=1e-6,
    )
