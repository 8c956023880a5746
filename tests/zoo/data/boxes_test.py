import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow_datasets")

from zoo.data import boxes  # noqa: E402
from zoo.data import images as data  # noqa: E402

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
    images, _, _ = data.load(str(tmp_path), "val", (48, 16, 3))
    found = boxes.load(str(table), str(tmp_path), "val", (48, 16, 3))
    assert found.shape == (2, 4)
    for image, (left, top, right, bottom) in zip(
        images, found.astype(int), strict=True
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
    table.write_text(HEADER + "test/class_0/0.png,1,2,3,4\n" * 2)
    with pytest.raises(ValueError, match="two boxes for test/class_0/0.png"):
        load()
    table.write_text(HEADER + "test/class_0/0.png,1,2,3,4\n")
    with pytest.raises(ValueError, match="no box for test/class_0/1.png"):
        load()
