import keras
import numpy as np
import pytest

from keras_facnn import resize_maps


@pytest.mark.parametrize("size", [(8, 8), (7, 13), (4, 6), (9, 7)])
def test_resizes_bilinearly_with_half_pixel_centers(rng, size):
    """The reference is the definition, pixel by pixel."""
    maps = rng.normal(size=(2, 4, 6, 3)).astype("float32")
    out = resize_maps(maps, size)
    assert out.shape == (2, *size, 3)
    for i in range(size[0]):
        for j in range(size[1]):
            y = np.clip((i + 0.5) * 4 / size[0] - 0.5, 0, 3)
            x = np.clip((j + 0.5) * 6 / size[1] - 0.5, 0, 5)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, 3), min(x0 + 1, 5)
            top = maps[:, y0, x0] * (1 - x + x0) + maps[:, y0, x1] * (x - x0)
            low = maps[:, y1, x0] * (1 - x + x0) + maps[:, y1, x1] * (x - x0)
            expected = top * (1 - y + y0) + low * (y - y0)
            np.testing.assert_allclose(out[:, i, j], expected, atol=1e-5)


def test_takes_one_class_per_image(rng):
    maps = rng.normal(size=(2, 4, 6)).astype("float64")
    out = resize_maps(maps, (8, 12))
    assert out.shape == (2, 8, 12) and out.dtype == np.float32
    every = resize_maps(maps[..., None], (8, 12))
    np.testing.assert_array_equal(out, every[..., 0])


@pytest.mark.parametrize("size", [(0, 4), 5, (4,), ("a", "b"), None])
def test_refuses_bad_sizes(size):
    with pytest.raises(ValueError, match="`size` must be .*Received"):
        resize_maps(np.zeros((1, 4, 4)), size)


def test_refuses_what_is_no_map():
    with pytest.raises(ValueError, match="`maps` must have shape"):
        resize_maps(np.zeros((4, 4)), (8, 8))


def test_takes_tensors_of_the_backend(small_model, images):
    tensor = keras.ops.convert_to_tensor(images)
    np.testing.assert_allclose(
        small_model.class_maps(tensor),
        small_model.class_maps(images),
        rtol=1e-6,
    )
