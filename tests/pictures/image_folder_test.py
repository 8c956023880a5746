import os
import pathlib
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

import keras_facnn
from keras_facnn import load_folder

pytestmark = pytest.mark.only_on("torch")


def draw(path, rng):
    """Saves a small picture that no other is like."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = rng.integers(0, 256, (8, 10, 3)).astype("uint8")
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def photos(tmp_path, rng):
    """Ten pictures of each of two classes, and four of a third."""
    folder = tmp_path / "photos"
    for name, count in (("bee", 10), ("ant", 10), ("cat", 4)):
        for i in range(count):
            draw(folder / name / f"{i}.png", rng)
    return folder


@pytest.fixture
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.usefixtures("no_warnings")
def test_reads_all_endings_and_nested_folders_as_load_images(tmp_path, rng):
    folder = tmp_path / "photos"
    files = [
        "ant/2023/summer/b.JPG",
        "ant/2023/z.png",
        "ant/a.jpeg",
        "ant/b.Jpg",
        "bee/a.PNG",
        "bee/b.webp",
        "bee/c.tif",
        "bee/d.TIFF",
        "bee/e.bmp",
        "bee/f.gif",
        "bee/g.jfif",
        "bee/h.ppm",
    ]
    for file in files:
        draw(folder / file, rng)
    hidden = [".DS_Store", "ant/._a.jpg", "ant/.cache/a.png", "bee/Thumbs.db"]
    for file in hidden:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text("of the system")
    found = load_folder(folder, image_size=(6, 7), fit="pad")
    images, labels, names, paths = found
    found_files = [os.path.relpath(path, folder) for path in paths]
    assert [file.replace(os.sep, "/") for file in found_files] == files
    assert names == ["ant", "bee"]
    assert labels.tolist() == [0] * 4 + [1] * 8
    expected = keras_facnn.load_images(paths, image_size=(6, 7), fit="pad")
    np.testing.assert_array_equal(images, expected)
    assert found.left_out == {}
    listed = load_folder(folder, read=False)
    assert listed.images is None and listed.paths == paths
    assert repr(listed) == "<ImageFolder of 12 pictures: ant 4, bee 8>"


@pytest.mark.posix
def test_counts_and_names_what_it_leaves_out(photos, rng):
    (photos / "bee" / "notes.txt").write_text("text")
    (photos / "bee" / "film.MOV").write_text("film")
    (photos / "ant" / "deep").mkdir()
    (photos / "ant" / "deep" / "a\nb.pdf").write_text("paper")
    draw(photos / "beside.png", rng)
    with pytest.warns(UserWarning) as warned:
        found = load_folder(photos, image_size=8)
    (said,) = [str(w.message) for w in warned]
    assert warned[0].filename == __file__
    assert "Left out 4 files" in said
    for name in ("bee/notes.txt", "bee/film.MOV", "deep/a\\nb.pdf", "beside"):
        assert name in said
    assert list(found.left_out) == [
        "beside.png",
        "ant/deep/a\nb.pdf",
        "bee/film.MOV",
        "bee/notes.txt",
    ]
    assert len(found.images) == 24


@pytest.mark.skipif(
    ".heic" in Image.registered_extensions(), reason="They are read"
)
def test_says_what_the_left_out_pictures_need(photos):
    (photos / "bee" / "IMG_1.HEIC").write_bytes(b"")
    with pytest.warns(UserWarning, match="pip install pillow-heif.*IMG_1"):
        load_folder(photos, read=False)


@pytest.mark.posix
def test_links(photos, tmp_path, rng):
    """To a picture, a class, the folder above, themselves and nothing."""
    elsewhere = draw(tmp_path / "elsewhere" / "a.png", rng)
    os.symlink(elsewhere, photos / "ant" / "linked.png")
    dogs = draw(tmp_path / "dogs" / "a.png", rng).parent
    os.symlink(dogs, photos / "dog")
    os.symlink(photos, photos / "ant" / "all")
    os.symlink("again", photos / "again")
    os.symlink("loop", photos / "bee" / "loop")
    with pytest.warns(UserWarning, match="Left out 3 files.*'ant/all'"):
        found = load_folder(photos, image_size=8)
    assert found.names == ["ant", "bee", "cat", "dog"]
    assert np.bincount(found.labels).tolist() == [11, 10, 4, 1]
    os.symlink("x.png", photos / "bee" / "x.png")
    os.symlink("gone.png", photos / "bee" / "y.png")
    with pytest.warns(UserWarning), pytest.raises(OSError, match="x.png"):
        load_folder(photos, image_size=8)
    with pytest.warns(UserWarning) as warned:
        found = load_folder(photos, image_size=8, on_error="skip")
    assert "Skipped 2 of 28 pictures" in str(warned[1].message)
    assert np.bincount(found.labels).tolist() == [11, 10, 4, 1]


def test_skips_and_names_what_it_cannot_read(photos):
    whole = load_folder(photos, image_size=8)
    (photos / "bee" / "3.png").write_bytes(b"no picture")
    (photos / "ant" / "0.png").write_bytes(b"")
    with pytest.raises(ValueError, match="0.png cannot be read"):
        load_folder(photos, image_size=8)
    said = "Skipped 2 of 24 pictures: .*ant/0.png cannot be.*bee/3.png cannot"
    with pytest.warns(UserWarning, match=said):
        found = load_folder(photos, image_size=8, on_error="skip")
    kept = np.ones(24, bool)
    kept[[0, 13]] = False
    np.testing.assert_array_equal(found.images, whole.images[kept])
    np.testing.assert_array_equal(found.labels, whole.labels[kept])
    assert found.paths == [
        p for p, k in zip(whole.paths, kept, strict=True) if k
    ]
    assert list(found.left_out) == ["ant/0.png", "bee/3.png"]
    for path in (photos / "cat").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="No picture of cat can be read"):
        load_folder(photos, image_size=8, on_error="skip")


def test_splits_each_class_by_the_same_share(photos):
    found = load_folder(photos, image_size=8)
    train, held_out = found.split(0.3)
    assert np.bincount(held_out.labels).tolist() == [3, 3, 1]
    assert np.bincount(train.labels).tolist() == [7, 7, 3]
    assert sorted(train.paths + held_out.paths) == sorted(found.paths)
    for part in (train, held_out):
        np.testing.assert_array_equal(
            part.images, keras_facnn.load_images(part.paths, image_size=8)
        )
        assert part.names == found.names
    # The same for whoever lists it, wherever it lies; another by another seed.
    again = load_folder(photos, read=False).split(0.3)[1]
    assert again.paths == held_out.paths
    assert found.split(0.3, seed=1)[1].paths != held_out.paths
    # At least one of each class is on each side.
    for fraction, counts in ((0, [1, 1, 1]), (1, [9, 9, 3])):
        _, part = found.split(fraction)
        assert np.bincount(part.labels).tolist() == counts
    one = found.select(np.arange(11))
    with pytest.raises(ValueError, match="two pictures.*'bee'.*bee/0.png"):
        one.split(0.5)
    for fraction in (-0.1, 2, "half", float("nan")):
        with pytest.raises(ValueError, match="`fraction` must be"):
            found.split(fraction)


@pytest.mark.usefixtures("no_warnings")
def test_a_class_may_be_called_train(photos, rng):
    draw(photos / "train" / "a.png", rng)
    draw(photos / "train" / "freight" / "a.png", rng)
    found = load_folder(photos, image_size=8)
    assert found.names == ["ant", "bee", "cat", "train"]
    for name in ("ant", "bee", "cat"):
        shutil.rmtree(photos / name)
    assert load_folder(photos, image_size=8).names == ["train"]


@pytest.mark.usefixtures("no_warnings")
def test_passes_over_what_systems_write(photos, rng):
    for folder in ("@eaDir", "__MACOSX", "lost+found", "ant/@eaDir"):
        draw(photos / folder / "a.png", rng)
    found = load_folder(photos, image_size=8)
    assert found.names == ["ant", "bee", "cat"] and len(found.images) == 24


def test_selects_several_pictures(photos):
    found = load_folder(photos, image_size=8)
    for index in ([3], slice(3, 4), np.arange(24) == 3):
        assert found.select(index).paths == found.paths[3:4]
    for index in (3, np.int64(3), None, [[3]]):
        with pytest.raises(ValueError, match="`index` must be.*Received"):
            found.select(index)


def test_copies_of_a_picture_stay_on_one_side_of_a_split(photos):
    for i in range(7):
        shutil.copy(photos / "bee" / "3.png", photos / "bee" / f"copy{i}.png")
    for read in (True, False):
        listed = (
            load_folder(photos, image_size=8)
            if read
            else load_folder(photos, read=False)
        )
        for seed in range(8):
            parts = listed.split(0.3, seed)
            with_it = [
                sum("copy" in path or path.endswith("bee/3.png") for path in p)
                for p in (part.paths for part in parts)
            ]
            assert sorted(with_it) == [0, 8]
            assert all(set(part.labels) == {0, 1, 2} for part in parts)
            assert sum(len(part.paths) for part in parts) == 31
    alike = photos / "same"
    alike.mkdir()
    for i in range(3):
        shutil.copy(photos / "bee" / "3.png", alike / f"{i}.png")
    with pytest.raises(ValueError, match="two pictures.*differ.*'same'"):
        load_folder(photos, read=False).split(0.3)


@pytest.mark.posix
def test_warns_of_one_picture_in_several_classes(photos):
    os.symlink("cat", photos / "dog")
    with pytest.warns(UserWarning) as warned:
        load_folder(photos, image_size=8)
    (said,) = [str(w.message) for w in warned]
    assert warned[0].filename == __file__
    assert "4 pictures lie in several classes: ('" in said
    assert "cat/0.png', '" in said and "dog/0.png')" in said
    shutil.copy(photos / "cat" / "0.png", photos / "dog.png")
    os.unlink(photos / "dog")
    os.mkdir(photos / "dog")
    shutil.move(photos / "dog.png", photos / "dog" / "again.png")
    shutil.copy(photos / "bee" / "0.png", photos / "dog" / "other.png")
    listed = load_folder(photos, read=False)
    said = set()
    for seed in range(6):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            train, held_out = listed.split(0.3, seed)
        contents = [
            {pathlib.Path(path).read_bytes() for path in part.paths}
            for part in (train, held_out)
        ]
        both = len(contents[0] & contents[1])
        assert len(warned) == (both > 0)
        for warning in warned:
            assert f"{both} pictures lie on both sides" in str(warning.message)
        said.add(both)
    assert said > {0} or said > {1}


def test_names_of_folders_may_be_decomposed(photos):
    """As macOS writes them."""
    os.rename(photos / "cat", photos / "cafe\u0301")
    model = keras_facnn.FACNN(3, (8, 8, 3), (1,), (1,))
    model.preset_metadata = {"class_names": ["caf\u00e9", "bee", "ant"]}
    found = load_folder(photos, model)
    assert found.names == model.class_names
    assert np.bincount(found.labels).tolist() == [4, 10, 10]
    model.preset_metadata = {"class_names": ["cafe\u0301", "bee", "ant"]}
    os.rename(photos / "cafe\u0301", photos / "caf\u00e9")
    assert np.bincount(load_folder(photos, model).labels).tolist() == [
        4,
        10,
        10,
    ]


def test_a_preset_knows_what_it_was_trained_on(photos, tmp_path, rng):
    train, held_out = load_folder(photos, image_size=8).split(0.3)
    model = keras_facnn.FACNN(3, (8, 8, 3), (1,), (1,))
    assert train.seen_by(model) is None
    model.save_to_preset(tmp_path / "preset", train.metadata)
    model = keras_facnn.FACNN.from_preset(tmp_path / "preset")
    assert model.class_names == ["ant", "bee", "cat"]
    assert train.seen_by(model).all() and not held_out.seen_by(model).any()
    # In another place, under other names, and among new ones.
    moved = tmp_path / "moved"
    shutil.move(photos, moved)
    for path in [*moved.rglob("*.png")]:
        path.rename(path.with_name("my" + path.name))
    draw(moved / "bee" / "new.png", rng)
    grown = load_folder(moved, read=False)
    seen = grown.seen_by(model)
    assert seen.sum() == len(train.paths) and len(seen) == 25
    assert {p.replace("my", "") for p in grown.select(seen).paths} == {
        p.replace(str(photos), str(moved)) for p in train.paths
    }
    # Trained further: of these pictures it was still trained on the old ones.
    model.set_weights([w + 1 for w in model.get_weights()])
    model.save_to_preset(tmp_path / "unsaid")
    unsaid = keras_facnn.FACNN.from_preset(tmp_path / "unsaid")
    assert grown.seen_by(unsaid) is None
    new = grown.select([p.endswith("new.png") for p in grown.paths])
    model.save_to_preset(tmp_path / "further", new.metadata)
    further = keras_facnn.FACNN.from_preset(tmp_path / "further")
    assert grown.seen_by(further).sum() == len(train.paths) + 1
    model.preset_metadata = {"trained_on": "my photos"}
    with pytest.raises(ValueError, match="`trained_on`.*'my photos'"):
        grown.seen_by(model)


def test_labels_are_the_numbers_of_a_models_classes(photos):
    model = keras_facnn.FACNN(4, (8, 8, 3), (1,), (1,))
    model.preset_metadata = {"class_names": ["dog", "cat", "bee", "ant"]}
    found = load_folder(photos, model)
    assert found.images.shape == (24, 8, 8, 3)
    assert found.names == ["dog", "cat", "bee", "ant"]
    assert found.labels.tolist() == [3] * 10 + [2] * 10 + [1] * 4
    model.preset_metadata = {"class_names": ["dog", "cat", "bee", "fly"]}
    with pytest.raises(ValueError, match="'ant'.*`image_size`"):
        load_folder(photos, model)


def make(folder, *files):
    """Make empty files, or skip where macOS changes or refuses their names."""
    for file in files:
        path = os.fsencode(folder) + b"/" + os.fsencode(file)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb"):
                pass
        except OSError as e:
            pytest.skip(f"The file system refuses a name: {e}")
    names = {os.fsencode(file).split(b"/")[0] for file in files}
    if set(os.listdir(os.fsencode(folder))) != names:
        pytest.skip("The file system takes two names for one")


@pytest.mark.parametrize(
    "files, message",
    [
        (["a.png", "b.png"], "a folder for each class.*'a.png', 'b.png'"),
        ([".hidden/a.png"], "a folder for each class.*an empty folder"),
        (["ant/a.png", "bee/b.txt"], "'.*/bee' holds no picture.*bee/b.txt"),
        ([b"ant\xff/a.png"], r"'ant\\udcff' .*UTF-8.*Rename"),
        ([" /a.png"], "' ' .*not blank.*Rename"),
        (["Ant/a.png", "ant /a.png"], "differ by case or blanks.*Rename"),
        (["\u00e9/a.png", "e\u0301/a.png"], "differ by case or blanks"),
        (["train/ant/a.png", "val/ant/b.png"], "parts of a data set.*/train'"),
        (
            [
                "train/ant/a.png",
                "train/bee/a.png",
                "test/a/a.png",
                "test/b.png",
            ],
            "parts of a data set.*/test'.*rename",
        ),
        (["Train/ant/a.png", "dev/ant/b.png"], "parts of a data set.*/Train'"),
        (["train/a.png", "test/b.png"], "parts of a data set"),
        (["all/a.png", "train/a/a.png", "test/a/b.png"], "parts of a data set"),
        (
            ["train/ant/a.png", "train/b.png", "train/a/c.png"],
            "parts of a data",
        ),
        (["@eaDir/a.png", "__MACOSX/._a.png"], "class.*an empty folder"),
    ],
)
@pytest.mark.posix
def test_refuses_folders_that_are_none_of_classes(tmp_path, files, message):
    make(tmp_path, *files)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=message):
            load_folder(tmp_path, image_size=8)


def test_refuses_bad_arguments(photos, monkeypatch):
    with pytest.raises(TypeError, match="`path` must be.*Received: path=3"):
        load_folder(3)
    with pytest.raises(FileNotFoundError, match="no folder 'nowhere'"):
        load_folder("nowhere")
    with pytest.raises(ValueError, match="`read` must be True or False"):
        load_folder(photos, read="yes")
    with pytest.raises(ValueError, match="`on_error` must be one of"):
        load_folder(photos, on_error="ignore")
    monkeypatch.setattr(keras_facnn.pictures.sizes, "_memory", lambda: 10_000)
    with pytest.raises(ValueError, match="24 images .* this machine has"):
        load_folder(photos, image_size=32)


def test_the_first_call_in_a_process_knows_all_endings():
    """Pillow loads its plugins when they are first asked for."""
    code = """
from keras_facnn.pictures.opening import picture_endings
first = picture_endings()
assert {".bmp", ".jpg", ".png", ".tif", ".webp"} <= set(first), first
assert first == picture_endings()
"""
    subprocess.run([sys.executable, "-c", code], check=True)
