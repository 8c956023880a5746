import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.zoo.conftest import NAMES
from zoo.data import images as data
from zoo.data.stream import train_stream


def test_loads_a_folder(folder):
    images, labels, names = data.load(str(folder), "train", (32, 32, 3))
    assert images.shape == (120, 32, 32, 3)
    assert images.dtype == np.uint8
    assert names == NAMES
    # A class is a colour, so its images are closest to each other.
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
    rows = [f"{name}\tcolour {name[-1]}" for name in NAMES]
    table = tmp_path / "classes.tsv"
    table.write_text("\n".join(["folder\tname", *reversed(rows)]))
    _, _, names = data.load(str(tmp_path), "test", (32, 32, 3))
    assert names == [f"colour {c}" for c in range(10)]
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


def test_names_a_class_folder_without_images(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "test" / "class_3").iterdir():
        path.rename(path.with_suffix(".txt"))
    with pytest.raises(ValueError, match="class_3 holds no image"):
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


class Colours(tfds.core.GeneratorBasedBuilder):
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
    monkeypatch.setattr(Colours, "folder", folder)
    table = tmp_path / "some.tsv"
    table.write_text("wnid\tname\nclass_7\tseven\nclass_2\ttwo\n")
    images, labels, names = data.load(
        "colours", "train", (32, 32, 3), str(tmp_path), str(table)
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
        data.load("colours", "test", (32, 32, 3), str(tmp_path))
