import numpy as np
import pytest

from keras_facnn.attribution import occlusion


def by_hand(weights, images, target, covers, size, stride):
    """captum's definition in loops: mean fall over the squares of a pixel."""
    total = np.zeros(images.shape[:3])
    count = np.zeros(images.shape[:3])
    height, width = images.shape[1:3]
    top = 0
    while True:
        left = 0
        while True:
            square = np.s_[:, top : top + size, left : left + size]
            kernel = weights[square[1:]][..., target]
            fall = (images - covers)[square] * kernel
            total[square] += fall.sum((1, 2, 3))[:, None, None]
            count[square] += 1
            if left + size >= width:
                break
            left += stride
        if top + size >= height:
            break
        top += stride
    assert (count > 0).all()
    return total / count


@pytest.mark.parametrize("size, stride", [(3, 1), (3, 2), (4, 3), (9, 9)])
def test_is_the_mean_fall_over_squares(linear, rng, size, stride):
    model, weights = linear
    images = rng.normal(size=(2, 9, 7, 2)).astype("float32")
    actual = occlusion(
        model, images, 1, size=size, stride=stride, baseline=0.5, batch_size=5
    )
    expected = by_hand(weights, images, 1, 0.5, size, stride)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_baselines(linear, rng):
    model, weights = linear
    images = rng.normal(size=(2, 9, 7, 2)).astype("float32")
    mean = images.mean((1, 2), keepdims=True)
    for baseline, covers in (("mean", mean), (mean, mean), (images, images)):
        np.testing.assert_allclose(
            occlusion(model, images, 1, size=3, baseline=baseline),
            by_hand(weights, images, 1, covers, 3, 1),
            rtol=1e-4,
            atol=1e-5,
        )
    blurred = occlusion(model, images, 1, size=3, baseline="blur")
    assert np.isfinite(blurred).all()


def test_classes(linear, rng):
    model, _ = linear
    images = rng.normal(size=(2, 9, 7, 2)).astype("float32")
    every = occlusion(model, images, "all", size=3)
    assert every.shape == (2, 9, 7, 3)
    top = model.predict(images, verbose=0).argmax(-1)
    for classes, expected in ((None, top), ([2, 0], [2, 0])):
        np.testing.assert_allclose(
            occlusion(model, images, classes, size=3),
            every[np.arange(2), ..., expected],
            rtol=1e-5,
            atol=1e-6,
        )


def test_refuses_strides_that_leave_pixels_uncovered(linear):
    model, _ = linear
    images = np.zeros((1, 9, 7, 2))
    with pytest.raises(ValueError, match="`stride` must be at most.*Received"):
        occlusion(model, images, size=2, stride=3)
    with pytest.raises(ValueError, match="`baseline` must be.*Received"):
        occlusion(model, images, size=2, baseline="black")
