import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow")

from zoo.data import boxes  # noqa: E402
from zoo.data import images as data  # noqa: E402

pytestmark = pytest.mark.only_on("torch")

HEADER = "file,xmin,ymin,xmax,ymax\n"


def test_a_box_holds_its_object_after_resizing(tmp_path):
    spots = {"b/1.png": (8, 4, 15, 19), "a/2.png": (0, 0, 31, 7)}
    for name, (left, top, right, bottom) in spots.items():
        pixels = np.zeros((24, 32, 3), "uint8")
        pixels[top : bottom + 1, left : right + 1] = 255
        path = tmp_path / "val" / name
        path.parent.mkdir(parents=True)
        Image.fromarray(pixels).save(path)
    table = tmp_path / "boxes.csv"
    table.write_text(
        HEADER
        + "".join(
            f"val/{name},{','.join(map(str, box))}\n"
            for name, box in spots.items()
        )
    )
    images, _, _ = data.load(str(tmp_path), "val", (48, 16, 3), fit="stretch")
    found = boxes.load(str(table), str(tmp_path), "val", (48, 16, 3), "stretch")
    for image, ((left, top, right, bottom),) in zip(
        images, (b.astype(int) for b in found), strict=True
    ):
        white = np.zeros((48, 16), bool)
        white[top:bottom, left:right] = True
        np.testing.assert_array_equal(image[..., 0] > 127, white)


def test_says_what_is_wrong_with_a_table(folder, tmp_path):
    table = tmp_path / "boxes.csv"

    def load():
        boxes.load(str(table), str(folder), "test", (32, 32, 3))

    table.write_text("file,x,y\n")
    with pytest.raises(ValueError, match="must have the columns.*'x', 'y'"):
        load()
    table.write_text(HEADER + "test/class_0/0.png,1,2,3\n")
    with pytest.raises(ValueError, match="Line 2 .*xmin <= xmax.*0.png"):
        load()
    for edges in ("5,2,3,4", "nan,2,3,4", "1,2,3,x", "-1,2,3,4"):
        table.write_text(HEADER + f"test/class_0/0.png,{edges}\n")
        with pytest.raises(ValueError, match="Line 2 .*xmin <= xmax.*0.png"):
            load()
    table.write_text(HEADER + "test/class_0/x.png,1,2,3,4\n")
    with pytest.raises(ValueError, match="box for test/class_0/x.png, which"):
        load()
    table.write_text(HEADER + "train/class_0/0.png,1,2,3,4\n")
    with pytest.raises(ValueError, match="no box for an image of the split"):
        load()
    for edges in ("1,2,32,4", "1,2,3,1e308", "40,2,41,4", "1,2,inf,4"):
        table.write_text(HEADER + f"test/class_0/0.png,{edges}\n")
        with pytest.raises(ValueError, match="not within the 32 x 32 pixels"):
            load()


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_box_holds_its_object_however_it_is_fitted(
    tmp_path, fit, orientation
):
    """A white square on black, 16 and 8 pixels into an upright 64x32 image."""
    pixels = np.zeros((32, 64, 3), "uint8")
    pixels[8:24, 16:40] = 255
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x112] = orientation
    if orientation == 6:
        image = image.transpose(Image.Transpose.ROTATE_90)
    path = tmp_path / "val" / "a" / "1.png"
    path.parent.mkdir(parents=True)
    image.save(path, exif=exif)
    table = tmp_path / "boxes.csv"
    table.write_text(HEADER + "val/a/1.png,16,8,39,23\n")
    root, shape = str(tmp_path), (64, 64, 3)
    images, _, _ = data.load(root, "val", shape, fit=fit)
    (((left, top, right, bottom),),) = boxes.load(
        str(table), root, "val", shape, fit
    )
    rows, columns = np.nonzero(images[0, ..., 0] > 190)
    np.testing.assert_allclose(
        (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1),
        (left, top, right, bottom),
        atol=1.01,
    )


def test_refuses_a_box_that_the_crop_leaves_out(tmp_path):
    path = tmp_path / "val" / "a" / "1.png"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (64, 16)).save(path)
    table = tmp_path / "boxes.csv"
    table.write_text(HEADER + "val/a/1.png,0,0,9,15\n")
    with pytest.raises(ValueError, match="part of the image that `--fit crop`"):
        boxes.load(str(table), str(tmp_path), "val", (16, 16, 3))
    ((box,),) = boxes.load(str(table), str(tmp_path), "val", (16, 16, 3), "pad")
    np.testing.assert_allclose(box, (0, 6, 2.5, 10))


def test_an_image_has_any_number_of_boxes(folder, tmp_path):
    table = tmp_path / "boxes.csv"
    table.write_text(
        HEADER
        + "test/class_0/1.png,0,0,3,4\ntest/class_0/3.png,1,2,3,4\n"
        + "test/class_0/1.png,5,6,7,8\ntrain/class_0/0.png,0,0,1,1\n"
    )
    found = boxes.load(str(table), str(folder), "test", (32, 32, 3))
    assert [len(b) for b in found[:4]] == [0, 2, 0, 1]
    assert not any(map(len, found[4:]))
    np.testing.assert_array_equal(found[1], [[0, 0, 4, 5], [5, 6, 8, 9]])
