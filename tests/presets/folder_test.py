"""Presets are written only where they may be, and survive a kill."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from keras_facnn import FACNN
from keras_facnn._files import folders
from keras_facnn.presets import files
from tests.presets.server import same

pytestmark = pytest.mark.only_on("torch")


def fill(folder, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "file").write_text(text)


def test_a_bundled_name_needs_a_path(small_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"bundled.*'\./cifar10'.*Received"):
        small_model.save_to_preset("cifar10")
    small_model.save_to_preset("./cifar10")
    same(FACNN.from_preset("./cifar10"), small_model)
    with pytest.warns(UserWarning, match=r"bundled preset.*'\./cifar10'"):
        assert (
            FACNN.from_preset("cifar10", load_weights=False).num_classes == 10
        )


@pytest.mark.parametrize(
    "directory", ["hf://user/repo", "https://host/p", "", None, b"p", 3, "a\0b"]
)
def test_what_is_no_folder_is_refused(
    small_model, tmp_path, monkeypatch, directory
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="`directory` must be.*Received"):
        small_model.save_to_preset(directory)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [250, 300])
def test_a_name_that_is_too_long_is_refused(small_model, tmp_path, length):
    """250 characters are a valid name, but the temporary name is longer."""
    with pytest.raises(ValueError, match="`directory` must be a shorter name"):
        small_model.save_to_preset(tmp_path / ("x" * length))
    with pytest.raises(ValueError, match="`directory` must be a shorter name"):
        small_model.save_to_preset(tmp_path / ("x" * 300) / "preset")
    small_model.save_to_preset(tmp_path / ("x" * 200))
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_in_which_the_process_works_stays(
    small_model, tmp_path, monkeypatch
):
    """If it were replaced, the process would have no working folder."""
    here = tmp_path / "preset" / "within"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    for directory in (".", "", here, "..", "../../preset"):
        with pytest.raises(ValueError, match="`directory` must.*Received"):
            small_model.save_to_preset(directory)
    link = tmp_path / "link"
    link.symlink_to(here, target_is_directory=True)
    with pytest.raises(ValueError, match="in which this process works"):
        small_model.save_to_preset(link)
    assert os.path.samefile(os.curdir, here)
    small_model.save_to_preset("new")
    same(FACNN.from_preset("new"), small_model)


def test_a_folder_below_a_file_is_refused(small_model, tmp_path):
    (tmp_path / "file").write_text("text")
    for path in ("file/p", "file/deep/p"):
        with pytest.raises(ValueError, match="`directory`.*/file' is none"):
            small_model.save_to_preset(tmp_path / path)


def test_files_of_the_system_keep_no_preset_from_a_save(small_model, tmp_path):
    folder = tmp_path / "p"
    small_model.save_to_preset(folder, {"description": "first"})
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._config.json"):
        (folder / name).write_text("")
    small_model.save_to_preset(folder, {"description": "second"})
    assert FACNN.from_preset(folder).preset_metadata["description"] == "second"
    for name in ("README.md", ".gitignore"):
        (folder / name).write_text("mine")
    with pytest.raises(
        ValueError, match="`directory`.* holds '.gitignore', 'README.md'$"
    ):
        small_model.save_to_preset(folder)
    assert (folder / "README.md").read_text() == "mine"


@pytest.mark.only_on("torch")
def test_a_report_without_a_preset_stays(small_model, tmp_path):
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(ValueError, match=r"which holds 'report\.html'$"):
        small_model.save_to_preset(tmp_path)
    assert (tmp_path / "report.html").read_text() == "mine"


def test_distinguishes_files_from_folders(small_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small_model.save_to_preset("p")
    for name in ("m.h5", "p.zip", "p.txt"):
        (tmp_path / name).write_text("")
    for handle, hint in (
        ("m.h5", "which is a file.*`keras.saving.load_model`.*`.keras`"),
        ("p.zip", "which is a file.*Unpack it"),
        ("p.txt", "which is a file$"),
        ("p/config.json", "which is a file of a preset. Pass its folder, 'p'"),
        (tmp_path / "p" / "model.weights.h5", "Pass its folder, '/.*/p'"),
    ):
        with pytest.raises(ValueError, match=f"config.json.*{hint}"):
            FACNN.from_preset(handle)


def test_a_tilde_is_home(small_model, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    small_model.save_to_preset("~/m")
    assert (tmp_path / "home" / "m" / "config.json").is_file()
    same(FACNN.from_preset("~/m"), small_model)


def test_the_target_of_a_link_is_replaced(small_model, tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    small_model.save_to_preset(real, {"description": "first"})
    link.symlink_to(real, target_is_directory=True)
    small_model.save_to_preset(link, {"description": "second"})
    assert link.is_symlink()
    for folder in (real, link):
        metadata = FACNN.from_preset(folder).preset_metadata
        assert metadata["description"] == "second"


@pytest.mark.parametrize(
    "contents",
    [
        {"config.json": '{"class_name": "keras_facnn>FACNN"}'},
        {"config.json": '{"model_type": "bert"}', "model.weights.h5": "x"},
        dict.fromkeys(
            ("config.json", "metadata.json", "model.weights.h5"), "{}"
        ),
        dict.fromkeys(
            ("config.json", "metadata.json", "model.weights.h5"), "[[["
        ),
    ],
)
def test_a_folder_of_someone_else_stays(small_model, tmp_path, contents):
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match="`directory` must be.*Received"):
        small_model.save_to_preset(tmp_path)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == contents


def test_files_are_the_same_on_any_system(small_model, tmp_path, monkeypatch):
    """Here `write_text` writes CRLF, and `read_text` reads it as LF."""
    write = pathlib.Path.write_text
    monkeypatch.setattr(
        pathlib.Path,
        "write_text",
        lambda path, text, encoding=None, **_: write(
            path, text, encoding, newline="\r\n"
        ),
    )
    small_model.save_to_preset(tmp_path / "p")
    for name in ("config.json", "metadata.json"):
        assert b"\r" not in (tmp_path / "p" / name).read_bytes()
    same(FACNN.from_preset(tmp_path / "p"), small_model)


def test_a_preset_of_another_system_loads(small_model, tmp_path):
    """Its files are of the old format, with CRLF, and hashes of that."""
    import hashlib

    small_model.save_to_preset(tmp_path / "p")
    config = (tmp_path / "p" / "config.json").read_bytes()
    config = config.replace(b"\n", b"\r\n")
    (tmp_path / "p" / "config.json").write_bytes(config)
    metadata = json.loads((tmp_path / "p" / "metadata.json").read_bytes())
    del metadata["format"], metadata["sha256"]
    metadata["config"]["sha256"] = hashlib.sha256(config).hexdigest()
    text = json.dumps(metadata, indent=2).replace("\n", "\r\n")
    (tmp_path / "p" / "metadata.json").write_bytes(text.encode())
    same(FACNN.from_preset(tmp_path / "p"), small_model)


# --- Killed ---


KILLED = """
import os, pathlib, sys
sys.path.insert(0, {room!r})
import folders  # By itself, as Keras takes seconds to import.
calls = 0
def dying(function):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls == {when}:
            os._exit(9)
        return function(*args, **kwargs)
    return call
for name in ("rename", "mkdir"):
    setattr(pathlib.Path, name, dying(getattr(pathlib.Path, name)))
folders.shutil.rmtree = dying(folders.shutil.rmtree)
with folders.replacing(pathlib.Path({folder!r})) as new:
    (new / "file").write_text("new")
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Return a parent of `p` and an exit code for each moment of a kill."""
    room = str(pathlib.Path(folders.__file__).parent)
    parents = [tmp_path_factory.mktemp("killed") for _ in range(6)]
    processes = []
    for when, parent in enumerate(parents, start=1):
        fill(parent / "p", "old")
        code = KILLED.format(room=room, folder=str(parent / "p"), when=when)
        processes.append(subprocess.Popen([sys.executable, "-c", code]))
    codes = [process.wait() for process in processes]
    # The last moments are after the end; otherwise, some were left out.
    assert 9 in codes and codes[-1] == 0, codes
    return list(zip(parents, codes, strict=True))


def test_a_kill_at_any_moment_loses_nothing(killed):
    missing = 0
    for parent, _ in killed:
        missing += not (parent / "p").exists()
        folders.restore(parent / "p")
        assert (parent / "p" / "file").read_text() in ("old", "new")
    assert missing == 1


def test_the_next_save_removes_what_kills_left(killed):
    for parent, code in killed:
        left = [p for p in parent.iterdir() if p.name != "p"]
        assert bool(left) <= (code == 9)
        # It removes nothing else.
        fill(parent / ".p-mine.saving", "mine")
        fill(parent / ".p-q-abcd1234.saving" / "new", "another preset's")
        with folders.replacing(parent / "p") as new:
            (new / "file").write_text("newer")
        # A running process may use them.
        assert all(p.exists() for p in left)
        for path in left:
            os.utime(path, (0, 0))
        os.utime(parent / ".p-q-abcd1234.saving", (0, 0))
        os.utime(parent / ".p-mine.saving", (0, 0))
        with folders.replacing(parent / "p") as new:
            (new / "file").write_text("newest")
        assert (parent / "p" / "file").read_text() == "newest"
        assert {p.name for p in parent.iterdir()} == {
            "p",
            ".p-mine.saving",
            ".p-q-abcd1234.saving",
        }


def test_loading_brings_back_what_a_kill_took_away(small_model, tmp_path):
    small_model.save_to_preset(tmp_path / "p")
    aside = tmp_path / ".p-abcd1234.saving"
    aside.mkdir()
    (tmp_path / "p").rename(aside / "old")
    same(FACNN.from_preset(tmp_path / "p"), small_model)
    assert (tmp_path / "p" / "config.json").is_file()


def test_ctrl_c_between_the_renames_loses_nothing(tmp_path, monkeypatch):
    fill(tmp_path / "p", "old")
    rename = pathlib.Path.rename

    def interrupted(path, target):
        if path.name == "new":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(pathlib.Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        with folders.replacing(tmp_path / "p") as new:
            (new / "file").write_text("new")
    assert [p.name for p in tmp_path.iterdir()] == ["p"]
    assert (tmp_path / "p" / "file").read_text() == "old"


def test_another_save_meanwhile_is_no_error(tmp_path, monkeypatch):
    # Some systems have no locks.
    monkeypatch.setattr(folders, "_PATIENCE_SECONDS", 0)
    fill(tmp_path / "p", "old")
    rename, others = pathlib.Path.rename, []

    def disturbed(path, target):
        if path.name == "new" and not others:
            others.append(1)
            folders.restore(tmp_path / "p")
        return rename(path, target)

    monkeypatch.setattr(pathlib.Path, "rename", disturbed)
    with folders.replacing(tmp_path / "p") as new:
        (new / "file").write_text("new")
    assert (tmp_path / "p" / "file").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["p"]


# --- Several processes ---


WORKER = """
import pathlib, sys, time
sys.path.insert(0, {room!r})
import folders
folder, end = pathlib.Path({folder!r}), time.monotonic() + 2
names, count = ("a", "b", "c"), 0
def read():
    return [(folder / name).read_text() for name in names]
while time.monotonic() < end:
    count += 1
    if {number}:
        with folders.replacing(folder) as new:
            for name in names:
                (new / name).write_text(f"{number} {{count}}")
    else:
        assert folders.exists(folder)
        a, b, c = folders.reading(folder, read)
        assert a == b == c, (a, b, c)
print(count)
"""


def test_parallel_saves_and_loads_see_complete_versions(tmp_path):
    fill(tmp_path / "p", "old")
    for name in ("a", "b", "c"):
        (tmp_path / "p" / name).write_text("0 0")
    room = str(pathlib.Path(folders.__file__).parent)
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                WORKER.format(
                    room=room, folder=str(tmp_path / "p"), number=number
                ),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in (0, 0, 1, 2, 3)
    ]
    for process in processes:
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        assert int(output) > 5
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_a_load_is_of_one_version(small_model, tmp_path, monkeypatch):
    """Another model is saved after the config was read, and again."""
    other = FACNN(3, (8, 8, 3), depths=(2,), maps_per_class=(1,))
    small_model.save_to_preset(tmp_path / "p", {"description": "first"})
    read, saves = files.Folder.read, []

    def disturbed(self, name):
        data = read(self, name)
        if name == files.CONFIG and len(saves) < 2:
            saves.append(name)
            saved = [other, small_model][len(saves) - 1]
            monkeypatch.setattr(files.Folder, "read", read)
            saved.save_to_preset(tmp_path / "p", {"description": "second"})
            monkeypatch.setattr(files.Folder, "read", disturbed)
        return data

    monkeypatch.setattr(files.Folder, "read", disturbed)
    model = FACNN.from_preset(tmp_path / "p")
    assert len(saves) == 2
    assert model.preset_metadata["description"] == "second"
    same(model, small_model)
