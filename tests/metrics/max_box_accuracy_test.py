"""MaxBoxAccV2 is that of clovaai/wsolevaluation."""

import numpy as np
import pytest

import keras_facnn
from keras_facnn.metrics import max_box_accuracy

# What does not depend on the backend.
pytestmark = pytest.mark.only_on("torch")


def blobs(rng, size, count):
    """A map with some bright parts, some of them rings with a hole."""
    y, x = np.mgrid[: size[0], : size[1]]
    total = np.zeros(size)
    for _ in range(count):
        top, left = rng.uniform(0, size)
        distance = np.hypot(y - top, x - left)
        radius = rng.uniform(0, 0.3) * max(size)
        total += rng.uniform(0.3, 1) * np.exp(
            -((distance - radius) ** 2) / rng.uniform(2, 40)
        )
    return total


def boxes_of(rng, size, count):
    """Whole boxes, of at least one pixel."""
    boxes = []
    for _ in range(count):
        (top, bottom), (left, right) = (
            np.sort(rng.choice(n + 1, 2, replace=False)) for n in size
        )
        boxes.append([left, top, right, bottom])
    return np.array(boxes)


def reference(maps, boxes):
    """The best accuracies in percent, written after wsolevaluation's code."""
    cv2 = pytest.importorskip("cv2")
    thresholds = np.arange(0, 1, 0.001)
    correct = {iou: np.zeros(len(thresholds)) for iou in (30, 50, 70)}
    for map_, truth in zip(maps, boxes, strict=True):
        score = (map_ - map_.min()) / (map_.max() - map_.min())
        height, width = score.shape
        gray = np.expand_dims((score * 255).astype(np.uint8), 2)
        for index, threshold in enumerate(thresholds):
            _, binary = cv2.threshold(
                gray, int(threshold * gray.max()), 255, cv2.THRESH_BINARY
            )
            contours, _ = cv2.findContours(
                binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE
            )
            best = 0
            for contour in contours:
                x, y, w, h = cv2.boundingRect(contour)
                x1, y1 = min(x + w, width - 1), min(y + h, height - 1)
                for left, top, right, bottom in truth:
                    # Its boxes include their last pixels.
                    right, bottom = right - 1, bottom - 1
                    both = max(0, min(x1, right) - max(x, left) + 1) * max(
                        0, min(y1, bottom) - max(y, top) + 1
                    )
                    union = (
                        (x1 - x + 1) * (y1 - y + 1)
                        + (right - left + 1) * (bottom - top + 1)
                        - both
                    )
                    best = max(best, both / union)
            for iou in correct:
                correct[iou][index] += best >= iou / 100
    return [100 * c.max() / len(maps) for c in correct.values()]


def test_is_that_of_wsolevaluation(rng):
    size = (40, 56)
    maps = np.stack([blobs(rng, size, n) for n in range(1, 9)])
    boxes = [boxes_of(rng, size, 1 + n % 3) for n in range(8)]
    result = max_box_accuracy(maps, boxes, size)
    expected = reference(maps, boxes)
    np.testing.assert_allclose(100 * np.array(result.accuracies), expected)
    assert result.mean == pytest.approx(np.mean(expected) / 100)
    # Neither all nor none, so that a difference would be seen.
    assert 0 < result.accuracies[2] < result.accuracies[0] < 1
    # Not only at the best threshold.
    for map_, truth in zip(maps, boxes, strict=True):
        one = max_box_accuracy(map_[None], [truth], size)
        assert [100 * a for a in one.accuracies] == reference([map_], [truth])


def test_a_hole_has_a_box_as_in_the_source():
    """Also that of a ring; a notch at the edge is none."""
    map_ = np.ones((20, 20))
    map_[6:10, 4:13] = 0
    map_[15:, 3:9] = 0
    for box, fits in (((3, 5, 15, 12), 1), ((2, 14, 10, 20), 0)):
        result = max_box_accuracy(map_[None], [box], (20, 20), ious=[0.9])
        assert result.accuracies == [fits]
        assert reference([map_], [[box]])[2] == 100 * fits


def test_maps_are_resized_and_any_range_will_do(rng):
    maps = rng.normal(size=(5, 6, 7))
    boxes = [boxes_of(rng, (48, 56), 2) for _ in maps]
    result = max_box_accuracy(maps, boxes, (48, 56))
    whole = keras_facnn.resize_maps(maps, (48, 56)).astype("float64")
    same = max_box_accuracy(-3 + 7 * whole, boxes, (48, 56))
    np.testing.assert_array_equal(result.values, same.values)
    assert result.thresholds == same.thresholds


def test_the_threshold_is_one_for_all_images():
    """The first map needs a low one and the second a high one."""
    maps = np.zeros((2, 10, 10))
    maps[:, 1:9, 1:9] = 0.5
    maps[:, 4:6, 4:6] = 1
    whole, part = [1, 1, 10, 10], [4, 4, 7, 7]
    result = max_box_accuracy(maps, [whole, part], (10, 10), ious=[0.8])
    assert result.accuracies == [0.5]
    both = max_box_accuracy(maps, [[whole], [part, whole]], (10, 10))
    assert both.accuracies == [1, 1, 1]
    assert both.values.shape == (2, 3)
    assert all(0 <= t < 0.5 for t in both.thresholds)


def test_constant_maps_are_left_out():
    maps = np.zeros((3, 8, 8))
    maps[0, :4, :4] = 1
    result = max_box_accuracy(maps, [[0, 0, 5, 5]] * 3, (8, 8))
    assert result.undefined == 2
    assert result.mean == 1
    assert np.isnan(result.values[1:]).all()
    with pytest.raises(ValueError, match="`maps` must not all be constant"):
        max_box_accuracy(maps[1:], [[0, 0, 5, 5]] * 2, (8, 8))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"ious": []}, "`ious` must have at least one.*Received"),
        ({"ious": [50]}, "`ious`.*Received"),
        ({"boxes": [[4, 0, 2, 2]]}, "`boxes` must have shape.*Received"),
        ({"maps": np.full((1, 4, 4), np.nan)}, "`maps` must be finite"),
        ({"size": (4,)}, "`size`.*Received"),
    ],
)
def test_refuses_bad_arguments(changes, message):
    arguments = {
        "maps": np.eye(4)[None],
        "boxes": [[0, 0, 2, 2]],
        "size": (4, 4),
        **changes,
    }
    with pytest.raises(ValueError, match=message):
        max_box_accuracy(**arguments)
