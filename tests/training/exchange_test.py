"""Copies of images in which a place is exchanged."""

import numpy as np
import pytest
from PIL import Image

import keras_facnn

pytestmark = pytest.mark.only_on("torch")


@pytest.fixture
def tagged(rng):
    """Images of three classes, with a tag on most of class 1, and regions."""
    labels = np.repeat([0, 1, 2], [20, 10, 15])
    images = rng.integers(0, 200, (45, 8, 8, 3)).astype("uint8")
    regions = np.full((45, 4, 4), np.nan)
    images[20:28, 2:4, :2] = 255
    regions[20:28] = 0
    regions[20:28, 1, 0] = 1
    return images, labels, regions


def test_the_cue_comes_to_other_classes_and_leaves_its_own(tagged):
    images, labels, regions = tagged
    mixed, of_class, weights = keras_facnn.exchange_regions(
        *tagged, inside=False
    )
    np.testing.assert_array_equal(mixed[:45], images)
    np.testing.assert_array_equal(of_class[:45], labels)
    assert weights[:45].tolist() == [1] * 20 + [0] * 8 + [1] * 17
    copies, copied, weight = mixed[45:], of_class[45:], weights[45:]
    has_tag = (copies[:, 2:4, :2] == 255).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(has_tag, copied != 1)
    # Each of the 8 has 3 copies with something of another, 1 that is covered,
    # 1 that is cropped, and 4 others that have its tag.
    assert len(copies) == 8 * 9 and has_tag.sum() == 8 * 4
    # All copies of the 35 others count a quarter as much as these.
    assert weight[~has_tag].sum() == pytest.approx(2 * 8)
    assert weight[has_tag].sum() == pytest.approx(35 / 4)
    alone = ~has_tag & (weight == 0.5)
    covered, crops = copies[alone][:8], copies[alone][8:]
    colors = np.round(images[20:28].mean(axis=(1, 2)))
    np.testing.assert_array_equal(covered[:, 2, 0], colors)
    # The largest square without the tag is 6 of 8 pixels wide, at the right.
    for image, crop in zip(images[20:28], crops, strict=True):
        part = Image.fromarray(image[1:7, 2:])
        expected = part.resize((8, 8), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(crop, expected, atol=1)

    place = np.zeros((8, 8), bool)
    place[2:4, :2] = True
    exchanged = zip(copies[~alone], copied[~alone], strict=True)
    for copy, label in exchanged:
        alike = (images[:, ~place] == copy[~place]).all(axis=(1, 2))
        (source,) = np.flatnonzero(alike)
        assert labels[source] == label
        shown = (images[:, place] == copy[place]).all(axis=(1, 2))
        assert (labels[shown] != label).all() and shown.any()
    # No image of another class is taken twice before all were taken once.
    others = [c[~place].tobytes() for c in copies[has_tag]]
    assert len(set(others)) == min(len(others), 35)


def test_what_is_inside_stays(tagged):
    images, labels, regions = tagged
    mixed, of_class, weights = keras_facnn.exchange_regions(*tagged)
    assert set(of_class[45:].tolist()) == {1}
    assert (mixed[45:, 2:4, :2] == 255).all()
    assert len(mixed) == 45 + 8 * 5
    for copy in mixed[45 : 45 + 8 * 3]:
        outside = (images[:, 4:] == copy[4:]).all(axis=(1, 2, 3))
        assert (labels[outside] != 1).all() and outside.any()
    covered = mixed[-16:-8, 4:]
    assert (covered == covered[:, :1, :1]).all()
    # Of a crop, nothing is left but the tag.
    assert (mixed[-8:] == 255).all()
    assert weights[45:].sum() == pytest.approx(2 * 8)


def test_the_weight_is_that_of_the_copies(tagged):
    def of(weight):
        return keras_facnn.exchange_regions(
            *tagged, inside=False, weight=weight
        )[2]

    assert of(0)[:45].tolist() == [1] * 45 and not of(0)[45:].any()
    np.testing.assert_allclose(of(0.25)[20:28], 0.75)
    np.testing.assert_allclose(of(0.25)[45:], 0.25 * of(1)[45:])
    np.testing.assert_allclose(of(3)[45:], 3 * of(1)[45:])
    assert not of(3)[20:28].any()


def test_a_cell_that_is_half_inside_is_mixed_by_half():
    images = np.stack([np.full((4, 4, 1), v, "float32") for v in (0, 100)])
    regions = np.full((2, 2, 2), np.nan)
    regions[0] = [[0.5, 0], [0, 1]]
    mixed, *_ = keras_facnn.exchange_regions(
        images, [0, 1], regions, inside=False
    )
    assert mixed.dtype == "float32"
    expected = np.kron([[50, 0], [0, 100]], np.ones((2, 2)))
    np.testing.assert_allclose(mixed[2, :, :, 0], expected)


def test_the_seed_chooses_the_others(tagged):
    first, again, other = (
        keras_facnn.exchange_regions(*tagged, seed=seed)[0]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("inside", [False, True])
def test_many_images_with_a_region_have_fewer_copies(rng, inside):
    images = rng.integers(0, 255, (1400, 2, 2, 1)).astype("uint8")
    labels, regions = np.arange(1400) % 2, np.ones((1400, 2, 2))
    regions[:, 0, 0] = 0
    # Of the first half, nothing is left that a crop could show.
    regions = np.kron(regions, np.ones((4, 4)))
    regions[:700] = np.indices((8, 8)).sum(axis=0) % 2
    mixed, _, weights = keras_facnn.exchange_regions(
        images, labels, regions, inside=inside
    )
    assert len(mixed) == (3 if inside else 4) * 1400
    assert weights[1400 : 3 * 1400].tolist() == [1] * 2 * 1400


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("value", [0, 1])
def test_a_region_of_all_or_nothing_has_no_copies(tagged, inside, value):
    """A copy would be another image with a wrong label, or no other one."""
    images, labels, regions = tagged
    expected, *_ = keras_facnn.exchange_regions(*tagged, inside=inside)
    regions[0] = value
    mixed, *_ = keras_facnn.exchange_regions(*tagged, inside=inside)
    assert len(mixed) == len(expected)
    regions[20:28] = value
    with pytest.raises(ValueError, match="0 images with such a region"):
        keras_facnn.exchange_regions(*tagged, inside=inside)


@pytest.mark.parametrize(
    "change",
    [
        {"regions": np.full((45, 4, 4), np.nan)},
        {"labels": np.zeros(45, int)},
        {"labels": np.zeros(44, int)},
        {"regions": np.ones((44, 4, 4))},
        {"inside": 2},
        {"weight": -1},
        {"seed": -1},
    ],
)
def test_wrong_arguments_are_refused(tagged, change):
    images, labels, regions = tagged
    given = {"images": images, "labels": labels, "regions": regions, **change}
    with pytest.raises(ValueError, match=next(iter(change))):
        keras_facnn.exchange_regions(**given)
