import importlib.util
import logging
import os
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

import keras_facnn
from tests.zoo.conftest import NAMES
from zoo.data import images as data
from zoo.data.stream import train_stream

pytestmark = pytest.mark.only_on("torch")


def test_loads_a_folder(folder):
    images, labels, names = data.load(str(folder), "train", (32, 32, 3))
    assert images.shape == (120, 32, 32, 3)
    assert images.dtype == np.uint8
    assert names == NAMES
    # A class is a color, so its images are closest to each other.
    means = images.mean((1, 2))
    for c in range(10):
        assert np.ptp(means[labels == c], axis=0).max() < 10


def test_resizes(folder):
    images, _, _ = data.load(str(folder), "test", (16, 24, 3))
    assert images.shape == (40, 16, 24, 3)


def test_refuses_what_is_not_there(folder):
    with pytest.raises(ValueError, match="`--data` must be.*no/such"):
        data.load("no/such/folder", "train", (32, 32, 3))
    with pytest.raises(ValueError, match="`split` must be.*'val'"):
        data.load(str(folder), "val", (32, 32, 3))


def test_a_table_names_the_classes(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    rows = [f"{name}\tcolor {name[-1]}" for name in NAMES]
    table = tmp_path / "classes.tsv"
    table.write_text("\n".join(["folder\tname", *reversed(rows)]))
    _, _, names = data.load(str(tmp_path), "test", (32, 32, 3))
    assert names == [f"color {c}" for c in range(10)]
    table.write_text("\n".join(["folder\tname", *rows[1:]]))
    with pytest.raises(ValueError, match="lacks.*class_0"):
        data.load(str(tmp_path), "test", (32, 32, 3))


def test_a_table_chooses_classes(folder, tmp_path):
    table = tmp_path / "some.tsv"
    table.write_text("folder\tname\nclass_7\tseven\nclass_2\ttwo\n")
    images, labels, names = data.load(
        str(folder), "test", (32, 32, 3), classes=str(table)
    )
    whole, whole_labels, _ = data.load(str(folder), "test", (32, 32, 3))
    assert names == ["two", "seven"]
    for label, was in enumerate((2, 7)):
        np.testing.assert_array_equal(
            images[labels == label], whole[whole_labels == was]
        )
    table.write_text("folder\tname\nclass_7\tseven\nclass_x\tx\n")
    with pytest.raises(ValueError, match="not there.*class_x"):
        data.load(str(folder), "test", (32, 32, 3), classes=str(table))
    # A preset of more classes than the images have.
    some = data.find(
        str(folder), "test", classes=str(table), may_lack_classes=True
    )
    assert (some.names, some.folders) == (
        ["seven", "x"],
        ["class_7", "class_x"],
    )
    assert set(some.labels) == {0}


def test_names_a_class_folder_without_images(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "test" / "class_3").iterdir():
        path.rename(path.with_suffix(".txt"))
    with pytest.raises(ValueError, match="class_3' holds no picture"):
        data.load(str(tmp_path), "test", (32, 32, 3))


@pytest.mark.parametrize("memory_gib", [None, 0])
def test_names_or_skips_broken_images(folder, tmp_path, memory_gib):
    """Cut short, empty, and not an image at all."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    where = tmp_path / "test"
    cut = where / "class_1" / "0.png"
    cut.write_bytes(cut.read_bytes()[:200])
    (where / "class_4" / "2.png").write_bytes(b"")
    (where / "class_9" / "3.png").write_text("<html>404</html>")
    with pytest.raises(ValueError) as error:
        data.load(str(tmp_path), "test", (32, 32, 3), memory_gib=memory_gib)
    assert "3 of the 40 images" in str(error.value)
    for name in ("class_1/0.png", "class_4/2.png", "class_9/3.png"):
        assert name in str(error.value)
    images, labels, _ = data.load(
        str(tmp_path), "test", (32, 32, 3), skip_broken=True, memory_gib=0
    )
    assert len(images) == len(labels) == 37
    assert np.bincount(labels).tolist() == [4, 3, 4, 4, 3, 4, 4, 4, 4, 3]
    whole, whole_labels, _ = data.load(str(folder), "test", (32, 32, 3))
    good = np.ones(40, bool)
    good[[4, 18, 39]] = False
    read = images.reader()
    np.testing.assert_array_equal(
        np.stack([read(i).numpy() for i in range(37)]), whole[good]
    )
    np.testing.assert_array_equal(labels, whole_labels[good])


def test_decoding_at_each_step_gives_the_batches_of_memory(folder):
    streams = []
    for memory_gib in (None, 0):
        images, labels, _ = data.load(
            str(folder), "train", (24, 24, 3), memory_gib=memory_gib
        )
        assert isinstance(images, np.ndarray) == (memory_gib is None)
        stream = train_stream(
            images, labels, 10, 50, 1, crop=(0.5, 16, 16), step=3
        )
        streams.append(stream.take(4))
    for (a, b), (c, d) in zip(*streams, strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)


class Colors(tfds.core.GeneratorBasedBuilder):
    """The images of a folder, as a TensorFlow Dataset."""

    VERSION = tfds.core.Version("1.0.0")
    folder = None

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "label": tfds.features.ClassLabel(names=NAMES),
                }
            )
        )

    def _split_generators(self, manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for path in sorted((self.folder / "train").glob("*/*.png")):
            yield str(path), {"image": path, "label": path.parent.name}


def test_a_tensorflow_dataset_gives_what_its_folder_gives(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(Colors, "folder", folder)
    table = tmp_path / "some.tsv"
    table.write_text("wnid\tname\nclass_7\tseven\nclass_2\ttwo\n")
    images, labels, names = data.load(
        "colors", "train", (32, 32, 3), str(tmp_path), str(table)
    )
    expected, expected_labels, _ = data.load(
        str(folder), "train", (32, 32, 3), classes=str(table)
    )
    assert names == ["two", "seven"]

    def ordered(images, labels):
        """As rows in an order of their own, since data sets are shuffled."""
        flat = np.hstack([labels[:, None], images.reshape(len(images), -1)])
        return flat[np.lexsort(flat.T)]

    np.testing.assert_array_equal(
        ordered(images, labels), ordered(expected, expected_labels)
    )
    with pytest.raises(ValueError, match="`split` must be.*'test'"):
        data.load("colors", "test", (32, 32, 3), str(tmp_path))


@pytest.fixture
def photos(rng, tmp_path):
    """Pictures as people have them, all of one class, and their paths."""
    where = tmp_path / "all" / "cat"
    where.mkdir(parents=True)
    pixels = rng.integers(0, 256, (40, 60, 4)).astype("uint8")
    rgba = Image.fromarray(pixels)
    rgb = rgba.convert("RGB")
    exif = Image.Exif()
    exif[0x112] = 6
    rgb.save(where / "turned.jpg", exif=exif)
    rgb.save(where / "wide.JPE")
    rgb.save(where / "b.jfif", "jpeg")
    rgb.save(where / "c.webp")
    rgb.save(where / "d.tif")
    rgb.save(where / "e.tiff")
    rgba.save(where / "transparent.png")
    rgb.quantize(16).save(where / "palette.gif")
    rgb.convert("CMYK").save(where / "ink.jpg")
    rgb.convert("L").save(where / "gray.bmp")
    deep = rng.integers(0, 65536, (40, 60)).astype("uint16")
    Image.fromarray(deep).save(where / "deep.png")
    return tmp_path, sorted(map(str, where.iterdir()))


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_reads_pictures_as_the_package_does(photos, fit):
    root, paths = photos
    expected = keras_facnn.load_images(paths, image_size=(24, 32), fit=fit)
    images, labels, _ = data.load(str(root), "all", (24, 32, 3), fit=fit)
    np.testing.assert_array_equal(images, expected)
    assert labels.tolist() == [0] * len(paths)
    later, _, _ = data.load(
        str(root), "all", (24, 32, 3), fit=fit, memory_gib=0
    )
    read = tf.data.Dataset.range(len(paths)).map(later.reader())
    np.testing.assert_array_equal(
        np.stack(list(read.as_numpy_iterator())), expected
    )


def test_a_picture_of_the_right_size_keeps_its_pixels(tmp_path, rng):
    pixels = rng.integers(0, 256, (32, 32, 3)).astype("uint8")
    path = tmp_path / "all" / "cat" / "a.jpg"
    path.parent.mkdir(parents=True)
    Image.fromarray(pixels).save(path)
    for fit in ("crop", "pad", "stretch"):
        images, _, _ = data.load(str(tmp_path), "all", (32, 32, 3), fit=fit)
        np.testing.assert_array_equal(images[0], np.asarray(Image.open(path)))


def test_counts_and_names_what_it_leaves_out(folder, tmp_path, caplog):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    cat = tmp_path / "test" / "class_1"
    (cat / "notes.txt").write_text("seen on Monday")
    (cat / "._0.png").write_bytes(b"of macOS")
    shutil.copy(cat / "0.png", tmp_path / "test" / "beside.png")
    rows = "".join(f"{name}\t{name}\n" for name in NAMES)
    (tmp_path / "test" / "classes.tsv").write_text("folder\tname\n" + rows)
    with caplog.at_level(logging.WARNING, "absl"):
        images, _, _ = data.load(str(tmp_path), "test", (32, 32, 3))
    assert len(images) == 40
    (said,) = [r.getMessage() for r in caplog.records]
    assert "Left out 2 files" in said
    assert "class_1/notes.txt" in said
    assert "beside.png" in said


def test_reads_what_load_folder_reads(folder, tmp_path, rng):
    """Deeper pictures and endings of any case; `.` is the whole of a folder."""
    root = tmp_path / "photos"
    shutil.copytree(folder / "test", root)
    cat = root / "class_1"
    (cat / "more" / "of").mkdir(parents=True)
    shutil.copy(cat / "0.png", cat / "more" / "of" / "0.PNG")
    expected = keras_facnn.load_folder(root, image_size=32)
    for name, split in ((tmp_path, "photos"), (root, ".")):
        images, labels, names = data.load(str(name), split, (32, 32, 3))
        np.testing.assert_array_equal(images, expected.images)
        np.testing.assert_array_equal(labels, expected.labels)
        assert names == expected.names
    assert len(images) == 41
    parts = expected.split(0.25)
    for split, part in zip(("train", "validation"), parts, strict=True):
        found = data.find(str(root), split, validation_fraction=0.25)
        assert found.sources.tolist() == part.paths


@pytest.mark.parametrize("name", ["loop", "class_1/loop", "class_1/x.png"])
def test_a_link_to_itself_ends_nothing(folder, tmp_path, name):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for link in (tmp_path / "test" / name, tmp_path / "loop"):
        os.symlink(link.name, link)
    images, _, _ = data.load(
        str(tmp_path), "test", (32, 32, 3), skip_broken=True
    )
    assert len(images) == 40


def test_refuses_at_the_start_names_that_no_preset_can_hold(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    os.rename(
        os.fsencode(tmp_path / "test" / "class_1"),
        os.fsencode(tmp_path / "test") + b"/class_\xff",
    )
    with pytest.raises(ValueError, match=r"class_\\udcff.* UTF-8"):
        data.find(str(tmp_path), "test")


def test_says_why_images_cannot_be_decoded(folder, tmp_path):
    """And does not lay it on the images where the model is at fault."""
    with pytest.raises(ValueError, match=r"1 channel.*\(32, 32, 4\)"):
        data.load(str(folder), "test", (32, 32, 4))
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "test" / "class_4" / "2.png").write_text("text")
    with pytest.raises(ValueError, match="2.png .*: it is of no known format"):
        data.load(str(tmp_path), "test", (32, 32, 3))


def test_a_link_to_nothing_is_a_broken_image(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    os.symlink(tmp_path / "gone", tmp_path / "test" / "class_1" / "x.png")
    with pytest.raises(ValueError, match="1 of the 41 .*class_1/x.png"):
        data.load(str(tmp_path), "test", (32, 32, 3))
    images, _, _ = data.load(
        str(tmp_path), "test", (32, 32, 3), skip_broken=True
    )
    assert len(images) == 40


def test_never_leaves_a_class_without_images(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "test" / "class_3").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="classes .'class_3'. without an"):
        data.load(str(tmp_path), "test", (32, 32, 3), skip_broken=True)


@pytest.mark.parametrize("other", ["CLASS_3", "class_3 "])
def test_refuses_class_folders_that_are_nearly_the_same(
    folder, tmp_path, other
):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    shutil.copytree(tmp_path / "test" / "class_3", tmp_path / "test" / other)
    with pytest.raises(ValueError, match="differ by case or blanks.*Rename"):
        data.load(str(tmp_path), "test", (32, 32, 3))


@pytest.mark.parametrize(
    "text, message",
    [
        ("class_7\tseven\nclass_2\ttwo", "Line 1 .*must be a header"),
        ("f\tn\nclass_7\ta\nclass_7\tb", "Line 3 .*class of an earlier line"),
        ("f\tn\nclass_7\ta\nclass_2\ta", "Line 3 .*name of an earlier line"),
        ("f\tn\nclass_7\t\n", "Line 2 .*must hold a class and its name"),
        ("f\tn\nclass_7\t \n", "Line 2 .*must hold a class and its name"),
        ('f\tn\nclass_7\t"a\nclass_2\tb', "Line 2 .*no quotes"),
        ("f\tn\nclass_7\ta\tb", "Line 2 .*two columns"),
        ("f\tn\nclass_7", "Line 2 .*two columns"),
        ("", "must be a header and rows"),
        (b"f\tn\nclass_7\t\xff", "UTF-8"),
    ],
)
def test_says_what_is_wrong_with_a_table(folder, tmp_path, text, message):
    table = tmp_path / "some.tsv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message):
        data.find(str(folder), "test", classes=str(table))


def test_reads_a_table_of_another_program(folder, tmp_path):
    """Notepad's mark, Windows' line ends, an empty line, Chinese."""
    table = tmp_path / "some.tsv"
    table.write_bytes("\ufefff\tn\r\nclass_7\t\u4e03\r\n\r\n".encode())
    found = data.find(str(folder), "test", classes=str(table))
    assert (found.folders, found.names) == (["class_7"], ["\u4e03"])


def test_divides_a_folder_without_splits(folder):
    """Of 12 images a class, 0.25 are 3; always the same ones."""
    root = str(folder / "train")
    parts = {
        split: data.find(root, split, validation_fraction=0.25)
        for split in ("train", "validation")
    }
    for split, count in (("train", 9), ("validation", 3)):
        assert np.bincount(parts[split].labels).tolist() == [count] * 10
        assert parts[split].names == NAMES
        again = data.find(root, split, validation_fraction=0.25)
        assert again.sources.tolist() == parts[split].sources.tolist()
    both = [*parts["train"].sources, *parts["validation"].sources]
    assert sorted(both) == sorted(data.find(str(folder), "train").sources)
    # Not the first ones of each class.
    chosen = [os.path.basename(p) for p in parts["validation"].sources]
    assert chosen[:3] != ["0.png", "1.png", "10.png"]
    with pytest.raises(ValueError, match="`split` must be.*'test'"):
        data.find(root, "test", validation_fraction=0.25)
    with pytest.raises(ValueError, match="parts of a data set.*/test'"):
        data.find(str(folder), "train", validation_fraction=0.25)
    above, name = os.path.split(root)
    with pytest.raises(ValueError, match="--validation_fraction") as e:
        data.find(root, "val")
    assert "use '.' as the split" in str(e.value)
    assert len(data.find(root, ".").sources) == len(both)
    assert len(data.find(above, name).sources) == len(both)
    with pytest.raises(ValueError, match=r"`split` must be one of \[\]"):
        data.find(f"{root}/class_0", "val")
    with pytest.raises(ValueError, match="needs a folder.*cifar10"):
        data.find("cifar10", "train", validation_fraction=0.25)


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_no_part_of_a_class_is_empty(folder, tmp_path, fraction):
    root = str(folder / "train")
    for split in ("train", "validation"):
        found = data.find(root, split, validation_fraction=fraction)
        assert np.bincount(found.labels).min() >= 1
    path = tmp_path / "cat" / "a.png"
    path.parent.mkdir()
    Image.new("RGB", (4, 4)).save(path)
    with pytest.raises(ValueError, match="two pictures or more .*cat"):
        data.find(str(tmp_path), "train", validation_fraction=fraction)


def test_a_fingerprint_tells_data_apart(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "a" / "data")
    shutil.copytree(folder, tmp_path / "b" / "data")
    image = tmp_path / "b" / "data" / "test" / "class_3" / "1.png"

    def fingerprint(name):
        return data.find(str(tmp_path / name / "data"), "test").fingerprint

    assert fingerprint("a") == fingerprint("b")
    whole = image.read_bytes()
    image.write_bytes(whole + b"0")
    assert fingerprint("a") != fingerprint("b")
    image.write_bytes(whole)
    assert fingerprint("a") == fingerprint("b")
    image.rename(image.with_name("9.png"))
    assert fingerprint("a") != fingerprint("b")


def test_a_folder_needs_no_tensorflow_datasets(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    # Run anew, as a first import.
    for name in [n for n in sys.modules if n.startswith("zoo.data")]:
        monkeypatch.delitem(sys.modules, name)
    spec = importlib.util.spec_from_file_location("images_anew", data.__file__)
    images = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, images)
    spec.loader.exec_module(images)
    found = images.find(str(folder), "test")
    assert len(found.sources) == 40
    with pytest.raises(ImportError, match="pip install tensorflow-datasets"):
        images.find("cifar10", "test")
