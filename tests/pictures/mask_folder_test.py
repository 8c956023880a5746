"""Photos and masks are made here with Pillow, and must stay aligned."""

import os
import warnings

import numpy as np
import pytest
from PIL import Image

import keras_facnn
from keras_facnn.pictures.mask_folder import match_masks

pytestmark = pytest.mark.only_on("torch")

# How a camera stores an upright picture, by the standard's table.
STORED = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, 1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x, -1),
}


def write(path, pixels, orientation=None, **options):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    exif = Image.Exif()
    if orientation:
        exif[0x112] = orientation
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.save(path, exif=exif, **options)


def load(folder, paths, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return keras_facnn.load_regions(folder, paths, **options)


def blob(height=120, width=200):
    """A picture whose white part lies nowhere near the center."""
    pixels = np.zeros((height, width), "uint8")
    pixels[height // 8 : height // 2, width // 4 : width // 2] = 255
    pixels[height // 2 :, width // 10 : width // 4] = 255
    return pixels


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("orientation", [None, *range(1, 9)])
def test_stays_aligned_with_its_photo(tmp_path, orientation, fit):
    """A photo that is its own mask looks as its mask does."""
    photo, mask = f"{tmp_path}/photos/a.jpg", f"{tmp_path}/masks/a.png"
    stored = STORED[orientation or 1](blob())
    write(photo, stored, orientation, quality=95)
    write(mask, stored)
    for size in ((20, 20), (33, 17), (18, 60)):
        seen = keras_facnn.load_images(photo, image_size=size, fit=fit)
        (region,) = load(f"{tmp_path}/masks", [photo], image_size=size, fit=fit)
        assert region.shape == size
        # The photo's bars are gray, those of the mask are outside.
        seen = np.where(seen == 128, 0, seen).mean(axis=-1) / 255
        # LANCZOS and JPEG differ a little from the mean over areas.
        assert np.abs(region - seen).mean() < 0.05
        assert region.min() == 0 and region.max() == 1


def test_a_mask_may_be_drawn_on_the_upright_photo(tmp_path):
    upright = blob()
    photo = f"{tmp_path}/photos/a.jpg"
    write(photo, STORED[6](upright), 6)
    expected = upright.reshape(30, 4, 50, 4).mean(axis=(1, 3)) / 255
    for mask, orientation in ((upright, None), (STORED[8](upright), 8)):
        write(f"{tmp_path}/masks/a.png", mask, orientation)
        (region,) = load(f"{tmp_path}/masks", [photo], image_size=(30, 50))
        np.testing.assert_allclose(region, expected, atol=0.01)


def test_averages_over_areas_without_ringing(tmp_path):
    mask = np.zeros((40, 40), "uint8")
    mask[:18, :7] = 255
    write(f"{tmp_path}/photos/a.jpg", np.zeros((40, 40, 3), "uint8"))
    write(f"{tmp_path}/masks/a.png", mask)
    paths = [f"{tmp_path}/photos/a.jpg"]
    (region,) = load(f"{tmp_path}/masks", paths, image_size=10)
    expected = np.zeros((10, 10))
    expected[:4, :2] = expected[4, :2] = 1, 0.75
    expected[4] /= 2
    np.testing.assert_allclose(region, expected, atol=0.005)
    # Without a size, it has that of the photo.
    write(f"{tmp_path}/masks/a.png", mask[::2, ::2])
    (region,) = load(f"{tmp_path}/masks", paths)
    assert set(np.unique(region)) == {0.0, 1.0}
    assert region.shape == (40, 40) and region[:18, :8].all()


def forms_of(inside):
    """The same mask in forms that PNG can hold."""
    white = Image.fromarray(np.where(inside, 255, 0).astype("uint8"))
    yield "bits", white.convert("1")
    yield "gray", white
    yield "color", white.convert("RGB")
    yield "palette", white.convert("P")
    deep = np.where(inside, 65535, 0).astype("uint16")
    yield "16 bits", Image.fromarray(deep)
    see_through = Image.new("RGBA", white.size, "white")
    see_through.putalpha(white)
    yield "transparent", see_through
    with_alpha = white.convert("LA")
    yield "gray and opaque", with_alpha


def test_reads_masks_of_all_kinds(tmp_path):
    photo = f"{tmp_path}/photos/a.jpg"
    write(photo, np.zeros((12, 20, 3), "uint8"))
    inside = blob(12, 20) > 0
    os.mkdir(f"{tmp_path}/masks")
    for name, image in forms_of(inside):
        image.save(f"{tmp_path}/masks/a.png")
        (region,) = load(f"{tmp_path}/masks", [photo])
        np.testing.assert_array_equal(region, inside, err_msg=name)


def test_finds_masks_by_the_last_parts_of_the_path(tmp_path):
    names = ["cat/1.jpg", "cat/2.JPG", "dog/1.jpeg", "dog/old/1.jpg"]
    shades = dict(zip(names, (0, 1, None, 1), strict=True))
    for i, (name, shade) in enumerate(shades.items()):
        write(f"{tmp_path}/photos/{name}", np.full((8, 8), 9 * i, "uint8"))
        stem = os.path.splitext(name)[0]
        if shade is not None:
            pixels = np.full((8, 8), 255 * shade, "uint8")
            write(f"{tmp_path}/masks/{stem}.PNG", pixels)
    (tmp_path / "masks" / ".DS_Store").write_bytes(b"")
    images, labels, _, paths = keras_facnn.load_folder(f"{tmp_path}/photos")
    regions = load(tmp_path / "masks", paths)
    by_name = {
        os.path.relpath(path, f"{tmp_path}/photos"): region[0, 0]
        for path, region in zip(paths, regions, strict=True)
    }
    expected = {n: np.nan if s is None else s for n, s in shades.items()}
    np.testing.assert_equal(by_name, expected)
    assert regions.shape == images.shape[:3]
    # The same photo may be named twice.
    assert len(load(tmp_path / "masks", [*paths, *paths])) == 8


def test_takes_the_size_of_a_model(tmp_path, small_model):
    write(f"{tmp_path}/photos/a.jpg", np.zeros((30, 40, 3), "uint8"))
    write(f"{tmp_path}/masks/a.png", np.full((30, 40), 255, "uint8"))
    paths = [f"{tmp_path}/photos/a.jpg"]
    size = small_model.image_shape[:2]
    regions = load(f"{tmp_path}/masks", paths, model=small_model)
    assert regions.shape == (1, *size)


@pytest.fixture
def folders(tmp_path):
    for name in ("cat/1", "dog/2"):
        write(f"{tmp_path}/photos/{name}.jpg", np.zeros((8, 8, 3), "uint8"))
        write(f"{tmp_path}/masks/{name}.png", np.full((8, 8), 255, "uint8"))
    return tmp_path


def test_names_masks_without_a_photo(folders):
    os.rename(folders / "masks/dog/2.png", folders / "masks/dog/two.png")
    paths = [f"{folders}/photos/cat/1.jpg", f"{folders}/photos/dog/2.jpg"]
    with pytest.warns(UserWarning, match="1 of 2 masks .*two.png"):
        regions = keras_facnn.load_regions(folders / "masks", paths)
    assert np.isnan(regions).all(axis=(1, 2)).tolist() == [False, True]
    with pytest.raises(ValueError, match="No mask .*two.png; photos .*2.jpg"):
        keras_facnn.load_regions(folders / "masks" / "dog", paths[1:])


def test_a_mask_belongs_to_one_photo(folders):
    write(f"{folders}/photos/dog/1.jpg", np.zeros((8, 8, 3), "uint8"))
    paths = [f"{folders}/photos/{name}/1.jpg" for name in ("cat", "dog")]
    with pytest.raises(ValueError, match="fits .*cat.*dog"):
        match_masks(folders / "masks" / "cat", paths)
    with pytest.raises(ValueError, match="hold masks, not the photos"):
        match_masks(folders / "masks", [folders / "masks/cat/1.png"])
    write(f"{folders}/masks/cat/1.PNG", np.zeros((8, 8), "uint8"))
    with pytest.raises(ValueError, match="must have different names"):
        match_masks(folders / "masks", paths[:1])


@pytest.mark.parametrize(
    "pixels, match",
    [
        (np.full((8, 12), 255, "uint8"), "proportions .*12 x 8 .*8 x 8"),
        (np.eye(8, dtype="uint8"), "white inside .*brightest pixel is 1"),
    ],
)
def test_refuses_masks_that_can_not_be_meant(folders, pixels, match):
    write(f"{folders}/masks/cat/1.png", pixels)
    paths = [f"{folders}/photos/cat/1.jpg", f"{folders}/photos/dog/2.jpg"]
    with pytest.raises(ValueError, match=f"cat.1.png .*{match}"):
        keras_facnn.load_regions(folders / "masks", paths)


def test_refuses_wrong_arguments(folders):
    path = f"{folders}/photos/cat/1.jpg"
    for paths in (path, [], [b"a"], [None]):
        with pytest.raises(TypeError, match="`paths` must be .*Received"):
            keras_facnn.load_regions(folders / "masks", paths)
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        keras_facnn.load_regions(folders / "no", [path])
    with pytest.raises(TypeError, match="`folder` must be .*Received"):
        keras_facnn.load_regions(3, [path])
    with pytest.raises(ValueError, match="There is no PNG file"):
        keras_facnn.load_regions(folders / "photos", [path])
    with pytest.raises(ValueError, match="`fit` must be one of crop"):
        keras_facnn.load_regions(folders / "masks", [path], fit="tile")
    write(f"{folders}/photos/dog/2.jpg", np.zeros((9, 9, 3), "uint8"))
    paths = [path, f"{folders}/photos/dog/2.jpg"]
    with pytest.raises(ValueError, match="all photos must have one size"):
        keras_facnn.load_regions(folders / "masks", paths)
