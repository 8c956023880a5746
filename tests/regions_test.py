"""Regions in memory: masks, boxes and grids."""

import keras
import numpy as np
import pytest

import keras_facnn
from keras_facnn.regions import area_weights
from keras_facnn.regions import boxes_to_masks
from keras_facnn.regions import check_regions
from keras_facnn.regions import regions_on_grid


def by_repeating(mask, height, width):
    """The means over cells, from a mask in which all sizes divide."""
    fine = np.repeat(np.repeat(mask, height, axis=0), width, axis=1)
    rows, columns = mask.shape
    return fine.reshape(height, rows, width, columns).mean(axis=(1, 3))


@pytest.mark.parametrize(
    "shape, grid",
    [((8, 6), (4, 3)), ((7, 5), (3, 2)), ((5, 9), (7, 10)), ((3, 3), (3, 3))],
)
def test_averages_over_the_area_of_each_cell(rng, shape, grid):
    masks = rng.uniform(0, 1, (3, *shape)).astype("float32")
    masks[1] = np.nan
    found = regions_on_grid(masks, *grid)
    assert found.shape == (3, *grid) and found.dtype == "float32"
    for i in (0, 2):
        np.testing.assert_allclose(
            found[i], by_repeating(masks[i], *grid), atol=1e-6
        )
    assert np.isnan(found[1]).all()
    # The same by tensors, as a loss does it.
    rows, columns = (
        area_weights(*sizes).astype("float32")
        for sizes in zip(shape, grid, strict=True)
    )
    tensor = keras.ops.matmul(rows, keras.ops.matmul(masks, columns.T))
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(tensor), found, atol=1e-6
    )


def test_the_weights_of_a_cell_sum_to_1():
    for pixels in range(1, 20):
        for cells in range(1, 20):
            weights = area_weights(pixels, cells)
            assert weights.shape == (cells, pixels)
            np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.only_on("torch")
def test_boxes_cover_pixels_by_their_area():
    (mask,) = boxes_to_masks([[0.5, 1, 2.25, 9]], (3, 4))
    expected = np.outer([0, 1, 1], [0.5, 1, 0.25, 0])
    np.testing.assert_array_equal(mask, expected)
    # Where boxes overlap, they count once.
    boxes = np.array([[[0, 0, 2, 2], [1, 1, 3, 3]]])
    (mask,) = boxes_to_masks(boxes, (3, 3))
    np.testing.assert_array_equal(mask, [[1, 1, 0], [1, 1, 1], [0, 1, 1]])


@pytest.mark.only_on("torch")
def test_an_image_may_have_no_box():
    masks = boxes_to_masks([None, [[0, 0, 1, 1], [1, 1, 2, 2]]], (2, 2))
    assert np.isnan(masks[0]).all()
    np.testing.assert_array_equal(masks[1], np.eye(2))
    assert np.isnan(boxes_to_masks([None], (2, 2))).all()


@pytest.mark.only_on("torch")
def test_takes_all_forms_of_regions():
    masks = np.zeros((2, 4, 4), bool)
    masks[0, :2] = masks[1, :, 2:] = True
    boxes = [[0, 0, 8, 4], [4, 0, 8, 8]]
    for regions in (
        masks,
        masks.astype("float32"),
        keras.ops.convert_to_tensor(masks),
        boxes,
        np.array(boxes),
        [np.array(boxes[0]), masks[1]],
        [np.array(boxes[:1]), boxes[1]],
        [masks[0], np.kron(masks[1], np.ones((2, 2), bool))],
    ):
        # A float mask of 4 columns would be boxes.
        if getattr(regions, "dtype", None) == "float32":
            regions = regions.repeat(2, axis=2)
        found = check_regions(regions, 2, (8, 8))
        assert found.dtype == "float32"
        np.testing.assert_array_equal(regions_on_grid(found, 4, 4), masks)
    found = check_regions([None, boxes[1]], 2, (8, 8))
    assert np.isnan(found[0]).all() and found[1].sum() == 32
    kept = check_regions(masks, 2, (8, 8))
    assert kept.shape == (2, 4, 4)


@pytest.mark.only_on("torch")
@pytest.mark.parametrize(
    "regions, match",
    [
        (np.zeros((3, 4, 5)), r"shape \(2, H, W\)"),
        (np.zeros((2, 5, 5)) + 255, "1 inside and 0 outside.* 255 to 255"),
        (np.array([[[np.nan, 0.0, 1.0]]] * 2), "NaN at some"),
        ([[0, 0, 1, 1]], "2 entries, one per image"),
        ([[0, 0, 1, 1], [3, 3, 2, 4]], "left < right"),
        ([[0, 0, 1, 1], [1, 2, 3]], "a mask .*boxes .*or None"),
        (["a.png", "b.png"], "`regions` must be an array"),
        (np.zeros(4), "Received: shape"),
    ],
)
def test_refuses_what_is_no_region(regions, match):
    with pytest.raises(ValueError, match=match):
        check_regions(regions, 2, (8, 8))


@pytest.mark.only_on("torch")
def test_refuses_boxes_outside_of_the_image():
    for boxes in ([[9, 0, 12, 4]], [[0, 0, 0, 4]]):
        with pytest.raises(ValueError, match="`boxes` must .*Received"):
            keras_facnn.boxes_to_masks(boxes, (8, 8))
    with pytest.raises(ValueError, match="one entry per image"):
        keras_facnn.boxes_to_masks([], (8, 8))
