"""Masks of photos from the reasons of a stored audit."""

import json

import pytest

import keras_facnn
from keras_facnn.auditing.avoided import read_avoided
from tests.transfer.conftest import write_photo

pytestmark = pytest.mark.only_on("torch")


@pytest.fixture
def audited(tmp_path, monkeypatch, rng):
    """An audit of 12 photos; of 6 plums, 3 have a tag, and 4 are compared."""
    monkeypatch.chdir(tmp_path)
    for name in ("pear", "plum"):
        for i in range(6):
            write_photo(f"photos/{name}/{i}.png", "red", rng)
    reason = {
        "name": "plum 1",
        "class": "plum",
        "kind": "place",
        "alarm": True,
        "members": [
            {"path": f"photos/plum/{i}.png", "cells": [0, i]} for i in (1, 2, 3)
        ],
        "rest": [{"path": "photos/plum/0.png"}],
        "usual_cells": [0, 1],
    }
    looks = {**reason, "name": "pear 1", "class": "pear", "alarm": False}
    return {
        "folder": "photos",
        "fit": "crop",
        "grid": [2, 2],
        "reasons": [reason, looks],
    }


def masks_of(audit, folder="photos", names=("plum 1",), fit="crop"):
    with open("audit.json", "w") as file:
        json.dump(audit, file)
    photos = keras_facnn.load_folder(folder, read=False)
    masks, said = read_avoided("audit.json", names, photos, folder, fit)
    # Half cells, of which only the corners are in no widened neighbor.
    corners = {p[-10:]: m[::3, ::3].ravel() for p, m in masks.items()}
    return {path: m.tolist() for path, m in corners.items()}, said


def test_photos_that_were_not_compared_get_the_usual_place(audited):
    masks, said = masks_of(audited)
    assert masks == {
        "plum/1.png": [1, 1, 0, 0],
        "plum/2.png": [1, 0, 1, 0],
        "plum/3.png": [1, 0, 0, 1],
        "plum/4.png": [1, 1, 0, 0],
        "plum/5.png": [1, 1, 0, 0],
    }
    assert said == [
        "Avoiding plum 1: its place in 3 photos by the audit, and the same "
        "place in 2 photos of plum that the audit did not compare. The "
        "audit did not find it in 1 photo of plum. Look whether it is there, "
        "because each photo that has it needs a mask."
    ]


def test_places_reach_half_a_cell_farther(audited):
    masks_of(audited)
    photos = keras_facnn.load_folder("photos", read=False)
    masks, _ = read_avoided("audit.json", ["plum 1"], photos, "photos")
    mask = masks[photos.paths[-1]]
    assert mask.tolist() == [[1] * 4] * 3 + [[0] * 4]


def test_without_a_usual_place_it_says_so(audited):
    audited["reasons"][0]["usual_cells"] = None
    masks, said = masks_of(audited)
    assert len(masks) == 3
    assert "did not compare 2 photos of plum. They have no mask" in said[0]
    assert "Draw masks" in said[0]


@pytest.mark.parametrize("spelled", ["absolute", "up", "moved", "linked"])
def test_photos_are_found_however_the_folder_is_called(
    audited, spelled, tmp_path, monkeypatch
):
    expected, _ = masks_of(audited)
    folder = tmp_path / "photos"
    if spelled == "up":
        (tmp_path / "inner").mkdir()
        monkeypatch.chdir(tmp_path / "inner")
        folder = "../photos"
    elif spelled == "moved":
        folder = folder.rename(tmp_path / "elsewhere")
    elif spelled == "linked":
        # The audit of a list of paths knows no folder.
        audited["folder"] = None
        folder = tmp_path / "link"
        folder.symlink_to("photos")
    assert masks_of(audited, folder)[0] == expected


def test_another_folder_is_refused(audited, tmp_path, rng):
    for name in ("pear", "plum"):
        write_photo(tmp_path / "other" / name / "z.png", "red", rng)
    with pytest.raises(ValueError, match=r"photos in other\. .* of photos, su"):
        masks_of(audited, "other")


def test_what_is_no_audit_is_named(audited, tmp_path):
    photos = keras_facnn.load_folder("photos", read=False)
    (tmp_path / "audit.html").write_text("<html>")
    said = r"Received: audit\.html, the page of a report"
    with pytest.raises(ValueError, match=rf"{said}$"):
        read_avoided("audit.html", ["plum 1"], photos, "photos")
    (tmp_path / "audit.json").write_text("{}")
    with pytest.raises(ValueError, match=rf"{said}\. Try audit\.json"):
        read_avoided("audit.html", ["plum 1"], photos, "photos")
    with pytest.raises(ValueError, match=r"must be read as .*fit='crop'"):
        masks_of(audited, fit="pad")
    with pytest.raises(ValueError, match="mean 'plum 1'") as error:
        masks_of(audited, names=["plum1"])
    assert "pear 1" not in str(error.value)
    audited["reasons"][0]["kind"] = "texture"
    with pytest.raises(ValueError, match="all over the image"):
        masks_of(audited)
    audited["reasons"][0] |= {"kind": "place", "members": [{"path": None}]}
    with pytest.raises(ValueError, match="in files"):
        masks_of(audited)


def test_masks_of_two_reasons_are_joined(audited):
    audited["reasons"].append({**audited["reasons"][0], "name": "plum 2"})
    audited["reasons"][2]["members"] = [
        {"path": "photos/plum/0.png", "cells": [3]}
    ]
    audited["reasons"][2] |= {"rest": [], "usual_cells": [3]}
    masks, said = masks_of(audited, names=["plum 1", "plum 2"])
    assert masks["plum/0.png"] == [0, 0, 0, 1]
    assert masks["plum/1.png"] == [1, 1, 0, 1]
    assert len(said) == 2
