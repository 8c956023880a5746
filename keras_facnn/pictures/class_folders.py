"""Find the class folders of a folder, and the pictures in them."""

import difflib
import os
import unicodedata
import warnings
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_facnn._checks.messages import callers_stacklevel
from keras_facnn._checks.text import join_first
from keras_facnn._files.system_files import is_of_system
from keras_facnn.pictures.opening import picture_endings

# Names of folders that hold the class folders of a part of a data set.
_SPLITS = {
    "dev",
    "development",
    "eval",
    "evaluation",
    "test",
    "testing",
    "train",
    "training",
    "val",
    "valid",
    "validation",
}


def list_class_folders(
    root: str,
) -> tuple[list[str], list[list[str]], dict[str, str]]:
    """List the class folders of a folder and the pictures of each.

    Returns:
        The sorted names of the class folders, a list of paths within `root` for
        each, and a dict like `ImageFolder.left_out`.
    """
    folders: list[str] = []
    left_out: dict[str, str] = {}
    for entry in _sorted_entries(root):
        if _is_folder(entry):
            folders.append(entry.name)
        else:
            left_out[entry.name] = "in no class folder"
    if not folders:
        raise ValueError(
            f"{root!r} must hold a folder for each class, with its pictures. "
            f"Received: {join_first(map(repr, left_out)) or 'an empty folder'}"
        )
    _check_names(root, folders)
    endings = picture_endings()
    above = [_identity(os.stat(root))]
    files = [
        list_pictures(root, name, endings, left_out, above) for name in folders
    ]
    _check_no_splits(root, folders, files)
    for name, found in zip(folders, files, strict=True):
        if not found:
            others = [
                f"{file!r} ({reason})"
                for file, reason in left_out.items()
                if file.startswith(f"{name}/")
            ]
            raise ValueError(
                f"The class folder {os.path.join(root, name)!r} holds no "
                f"picture, but {join_first(others) or 'nothing'}"
            )
    return folders, files, left_out


def loose_pictures(root: str) -> list[str]:
    """Return the paths of the pictures in a folder that has no folders.

    They are in no class folder, and so have no labels. The list is empty if
    there are folders.
    """
    if any(map(_is_folder, _sorted_entries(root))):
        return []
    left_out: dict[str, str] = {}
    found = list_pictures(root, ".", picture_endings(), left_out, [])
    if found and left_out:
        warn_about_left_out(
            root, {os.path.basename(f): why for f, why in left_out.items()}
        )
    return [os.path.join(root, os.path.basename(file)) for file in found]


def _check_no_splits(
    root: str, folders: Sequence[str], files: Sequence[Sequence[str]]
) -> None:
    """Raise if the folders look like parts of a data set, not like classes."""
    parts = [name for name in folders if name.casefold() in _SPLITS]
    nested = [
        file.count("/") > 1
        for name, found in zip(folders, files, strict=True)
        if name in parts
        for file in found
    ]
    # A class may be called "train", or have folders within it.
    signs = (
        len(parts) > 1,
        len(parts) == len(folders),
        sum(nested) > len(nested) / 2,
    )
    if parts and sum(signs) > 1:
        raise ValueError(
            f"{root!r} must hold a folder for each class. Received: folders "
            f"{join_first(map(repr, folders))}, of which "
            f"{join_first(map(repr, parts))} look like parts of a data set. "
            "Give one of them, such as "
            f"{os.path.join(root, parts[0])!r}, or rename what are classes"
        )


def list_pictures(
    root: str,
    folder: str,
    endings: Mapping[str, str | None],
    left_out: dict[str, str],
    above: Sequence[tuple[int, int]],
) -> list[str]:
    """List the pictures in a folder and in the folders within it.

    Args:
        root: Path of the folder of the class folders.
        folder: Path of the folder within `root`.
        endings: Result of `picture_endings`.
        left_out: Dict to which all other files and their reasons are added.
        above: The identities of the folders above this one.
    """
    above = [*above, _identity(os.stat(os.path.join(root, folder)))]
    found: list[str] = []
    for entry in _sorted_entries(os.path.join(root, folder)):
        file = f"{folder}/{entry.name}"
        ending = os.path.splitext(entry.name)[1].lower()
        if _is_folder(entry):
            if _identity(os.stat(entry.path)) in above:
                left_out[file] = "a link to a folder above it"
            else:
                found += list_pictures(root, file, endings, left_out, above)
        elif ending not in endings:
            left_out[file] = "no picture's ending"
        elif (missing := endings[ending]) is not None:
            left_out[file] = missing
        else:
            found.append(file)
    return found


def _identity(state: os.stat_result) -> tuple[int, int]:
    return state.st_dev, state.st_ino


def _sorted_entries(folder: str) -> list[os.DirEntry[str]]:
    """Return the entries of a folder by name, without hidden ones."""
    return sorted(
        (
            entry
            for entry in os.scandir(folder)
            if not entry.name.startswith(".") and not is_of_system(entry.name)
        ),
        key=lambda entry: entry.name,
    )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link to itself.
        return False


def _check_names(root: str, folders: Sequence[str]) -> None:
    """Raise if the names of folders can't be names of classes."""
    alike: dict[str, list[str]] = {}
    for name in folders:
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError(
                f"The class folder {name!r} of {root!r} must have a name in "
                "UTF-8, which a preset can hold. Rename it."
            ) from None
        if not name.strip():
            raise ValueError(
                f"The class folder {name!r} of {root!r} must have a name that "
                "is not blank. Rename it."
            )
        key = _composed(name).strip().casefold()
        alike.setdefault(key, []).append(name)
    for same in alike.values():
        if len(same) > 1:
            raise ValueError(
                f"The class folders {same} of {root!r} differ by case or "
                "blanks only, which is likely one class. Rename or merge them."
            )


def class_numbers(
    folders: list[str], model: Any
) -> tuple[np.ndarray, list[str]]:
    """Return the class number of each folder, and the names of all classes."""
    names = getattr(model, "class_names", None)
    if names is None:
        return np.arange(len(folders)), folders
    # macOS composes accents in another way, which looks the same.
    known = {_composed(name): i for i, name in enumerate(names)}
    known |= {name: i for i, name in enumerate(names)}
    numbers = [known.get(name, known.get(_composed(name))) for name in folders]
    unknown = [
        name for name, i in zip(folders, numbers, strict=True) if i is None
    ]
    if unknown:
        raise ValueError(
            "The class folders must have names of the classes of `model`, "
            f"{join_first(names, 20)}. Received: "
            f"{join_first(_with_near(name, names) for name in unknown)}. "
            "Rename them, or move them out of the folder. If `model` shall "
            "only give the size, pass `image_size` instead"
        )
    return np.array(numbers), list(names)


def _with_near(name: str, names: Sequence[str]) -> str:
    """Return an unknown name, with the most similar names that are known."""
    near = difflib.get_close_matches(name, names)
    hint = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
    return f"{name!r}{hint}"


def _composed(name: str) -> str:
    """Return a name with each accent and its letter as one character."""
    return unicodedata.normalize("NFC", name)


def warn_about_left_out(root: str, left_out: Mapping[str, str]) -> None:
    """Warn of files that were left out, by reason."""
    reasons: dict[str, list[str]] = {}
    for file, reason in left_out.items():
        reasons.setdefault(reason, []).append(repr(file))
    parts = [
        f"{len(files)} ({reason}): {join_first(files)}"
        for reason, files in reasons.items()
    ]
    warnings.warn(
        f"Left out {len(left_out)} files of {root!r}: {'; '.join(parts)}",
        stacklevel=callers_stacklevel(),
    )
