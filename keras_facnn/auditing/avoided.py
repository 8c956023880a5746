"""Read which places of photographs the reasons of a stored audit are in."""

import difflib
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_facnn.pictures.image_folder import ImageFolder
from keras_facnn.regions import widened
from keras_facnn.types import Fit


def read_avoided(
    file: str | os.PathLike[str],
    names: Sequence[str],
    photos: ImageFolder,
    folder: str | os.PathLike[str],
    fit: Fit = "crop",
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return where photos have some reasons of an audit.

    Photos of the class that the audit did not compare get the usual place of
    the reason, if it has one. All places are widened by half a cell.

    Args:
        file: Path of a JSON file of `Audit.save`.
        names: Names of reasons, such as `"dress 1"`.
        photos: The photos, which may be listed only.
        folder: Their folder. Its name may differ from that in the audit.
        fit: How the photos are read, as in `load_images`.

    Returns:
        Masks by the paths of photos, and a sentence for each reason.
    """
    audit = _read_audit(file)
    if audit.get("fit") not in (None, fit):
        raise ValueError(
            "The photos of an audit whose reasons are avoided must be read as "
            f'they are here, fit="{fit}". Received: fit={audit["fit"]!r}'
        )
    own = _Photos(photos, folder, audit.get("folder"))
    masks: dict[str, np.ndarray] = {}
    sentences = []
    for name in names:
        reason = _reason(audit, name)
        if any(m["path"] is None for m in reason["members"]):
            raise ValueError(
                "An audit whose reasons are avoided must be one of photos in "
                "files, whose paths it knows. "
                f"Received: {os.fspath(file)!r}, of arrays"
            )
        cells = {
            path: member["cells"]
            for member in reason["members"]
            if (path := own.find(member["path"])) is not None
        }
        if not cells:
            raise ValueError(
                f"The audit of --audit must be one of the photos in {folder}. "
                f"Received: {os.fspath(file)}, an audit of "
                f"{audit.get('folder') or 'other photos'}, such as "
                f"{reason['members'][0]['path']}"
            )
        rest = {own.find(pick["path"]) for pick in reason["rest"]} - {None}
        others = [
            path
            for path in own.of_class(reason["class"])
            if path not in cells and path not in rest
        ]
        usual = reason["usual_cells"]
        sentences.append(_sentence(reason, len(cells), len(rest), len(others)))
        if usual is not None:
            cells |= dict.fromkeys(others, usual)
        for path, those in cells.items():
            mask = masks.setdefault(path, np.zeros(audit["grid"], "float32"))
            mask.ravel()[those] = 1
    # A cell counts only if the cue fills most of it, so it reaches farther.
    wide = {path: widened(mask[None])[0] for path, mask in masks.items()}
    return wide, sentences


class _Photos:
    """Photos that are found by their paths within the folder of an audit.

    Args:
        photos: The photos.
        folder: Their folder.
        audited: The folder of the audit as it was called then, or None.
    """

    def __init__(
        self,
        photos: ImageFolder,
        folder: str | os.PathLike[str],
        audited: str | None,
    ) -> None:
        self._photos = photos
        self._roots = [folder] if audited is None else [audited, folder]
        self._by_name = {_within(path, folder): path for path in photos.paths}

    def find(self, path: str) -> str | None:
        """Return the path of a photo of the audit here, or None."""
        for root in self._roots:
            name = _within(path, root)
            if name in self._by_name:
                return self._by_name[name]
        return None

    def of_class(self, name: str) -> list[str]:
        """Return the paths of the photos of a class."""
        names, labels = self._photos.names, self._photos.labels
        return [
            path
            for path, label in zip(self._photos.paths, labels, strict=True)
            if names[label] == name
        ]


def _within(path: str, root: str | os.PathLike[str]) -> str | None:
    """Return the path of a file within a folder, or None."""
    # The links of a folder may lead out of it, and may lead to it.
    for resolved in (os.path.abspath, os.path.realpath):
        full, outer = pathlib.PurePath(resolved(path)), resolved(root)
        if full.is_relative_to(outer):
            return full.relative_to(outer).as_posix()
    return None


def _read_audit(file: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        audit = json.loads(pathlib.Path(file).read_text("utf-8"))
    except ValueError:
        audit = None
    reasons = audit.get("reasons") if isinstance(audit, dict) else None
    if reasons is None or any("rest" not in reason for reason in reasons):
        page = pathlib.Path(file)
        beside = page.with_suffix(".json")
        raise ValueError(
            "--audit must be the JSON file of an audit, which `keras-facnn "
            "audit NAME FOLDER --output audit.json` writes. Received: "
            f"{page}"
            + (", the page of a report" if page.suffix == ".html" else "")
            + (f". Try {beside}" if beside != page and beside.exists() else "")
        )
    return audit


def _reason(audit: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a reason that has a place by its name."""
    by_name = {reason["name"]: reason for reason in audit["reasons"]}
    if name not in by_name:
        near = difflib.get_close_matches(name, by_name, 1)
        alarms = [r["name"] for r in audit["reasons"] if r["alarm"]]
        raise ValueError(
            "--avoid must be the name of a reason of the audit. "
            + (f"Did you mean {near[0]!r}? " if near else "")
            + (
                f"These are suspicious: {', '.join(map(repr, alarms))}. "
                if alarms
                else "None is suspicious. "
            )
            + f"Received: {name!r}"
        )
    if by_name[name]["kind"] == "texture":
        raise ValueError(
            "A texture is all over the image, so it can't be avoided by its "
            f"place. Received: --avoid {name!r}"
        )
    return by_name[name]


def _sentence(
    reason: dict[str, Any], known: int, rest: int, others: int
) -> str:
    """Return which photos have a mask, and which do not."""
    text = (
        f"Avoiding {reason['name']}: its place in {_count(known)} by the audit"
    )
    of_class = f"{_count(others)} of {reason['class']}"
    if others and reason["usual_cells"] is not None:
        text += (
            f", and the same place in {of_class} that the audit did not compare"
        )
    if rest:
        text += (
            f". The audit did not find it in {_count(rest)} of "
            f"{reason['class']}. Look whether it is there, because each photo "
            "that has it needs a mask"
        )
    if others and reason["usual_cells"] is None:
        text += (
            f". The audit did not compare {of_class}. They have no mask, "
            "because the place differs too much from photo to photo. Draw "
            "masks of those that have the cue, and pass all masks by --regions "
            "and --outside"
        )
    return f"{text}."


def _count(photos: int) -> str:
    return "1 photo" if photos == 1 else f"{photos:,} photos"
