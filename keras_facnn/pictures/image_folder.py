"""Labeled pictures in a folder for each class. Needs Pillow."""

import base64
import dataclasses
import hashlib
import os
import typing
import unicodedata
import warnings

import numpy as np

from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.messages import callers_stacklevel
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_seed
from keras_facnn._checks.text import join_first
from keras_facnn.pictures.reading import picture_endings
from keras_facnn.pictures.reading import read_pictures
from keras_facnn.pictures.reading import shape_to_read
from keras_facnn.pictures.system_files import is_of_system
from keras_facnn.types import Fit
from keras_facnn.types import OnError

# The folders above those of classes.
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
# Bytes of SHA-256 by which a picture is known again. That two of 100,000
# differ and seem the same has a chance of 1 in 28,000.
_DIGEST = 6


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ImageFolder:
    """Pictures of a folder, with labels; what `load_folder` returns.

    It unpacks as `images, labels, names, paths`.

    Args:
        images: uint8 array `(B, H, W, channels)`, 0..255, or None where the
            pictures were only listed.
        labels: Integers `(B,)`, the class of each picture.
        names: List of the names of the classes.
        paths: List of the B paths.
        left_out: Dict from the path of each file that was left out, within
            the folder, to the reason.
        held_out: Dict of the `fraction` and `seed` of `split`, or None.
        digests: List of the first bytes of each file's SHA-256, or None where
            the files were only listed; they are then read when needed.

    Example:

    >>> import keras_facnn
    >>> from PIL import Image
    >>> import os
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> for shade, kind in enumerate(("ant", "bee")):
    ...     os.mkdir(f"{folder}/{kind}")
    ...     for i in range(5):
    ...         gray = Image.new("L", (9, 9), 40 * i + shade)
    ...         gray.save(f"{folder}/{kind}/{i}.png")
    >>> train, held_out = keras_facnn.load_folder(folder).split(0.2)
    >>> train
    <ImageFolder of 8 pictures: ant 4, bee 4>
    >>> held_out.labels
    array([0, 1], dtype=int32)
    """

    images: np.ndarray | None
    labels: np.ndarray
    names: list[str]
    paths: list[str]
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)
    held_out: dict | None = None
    digests: list[bytes] | None = None

    def __iter__(self):
        yield from (self.images, self.labels, self.names, self.paths)

    def __repr__(self):
        counts = np.bincount(self.labels, minlength=len(self.names))
        classes = join_first(map("{} {}".format, self.names, counts), 20)
        return f"<ImageFolder of {len(self.paths)} pictures: {classes}>"

    def select(self, index: typing.Any) -> "ImageFolder":
        """Returns some of the pictures.

        Args:
            index: What indexes an array `(B,)`: integers, booleans or a slice.

        Raises:
            ValueError: If `index` is one integer, or of another shape.
        """
        kept = np.arange(len(self.paths))[index]
        if kept.ndim != 1:
            raise ValueError(
                "`index` must be a list or array of integers or booleans, or "
                f"a slice. Received: index={repr(index)[:200]}"
            )
        digests = self.digests
        return dataclasses.replace(
            self,
            images=None if self.images is None else self.images[kept],
            labels=self.labels[kept],
            paths=[self.paths[i] for i in kept],
            digests=None if digests is None else [digests[i] for i in kept],
        )

    def split(
        self, fraction: float, seed: int = 0
    ) -> tuple["ImageFolder", "ImageFolder"]:
        """Splits each class by the same share, always in the same way.

        Copies of a picture in one class go to the same side. A warning names
        those that lie in two classes, and are on both sides for that reason.

        Args:
            fraction: The share of each class to hold out, 0 to 1; at least one
                picture of each class, and not all of them.
            seed: Another one chooses other pictures.

        Returns:
            What remains to train on, and what is held out.

        Raises:
            ValueError: If a class has fewer than two pictures that differ.
        """
        fraction = check_float("fraction", fraction, least=0, most=1)
        seed = check_seed(seed)
        is_held_out = np.zeros(len(self.paths), bool)
        digests = self._digests()
        for label in np.unique(self.labels):
            index = np.flatnonzero(self.labels == label)
            copies = list(_copies(index, digests).values())
            if len(copies) < 2:
                raise ValueError(
                    "`split` needs two pictures or more of each class, which "
                    f"differ. Received: {self.names[label]!r} with only "
                    f"{join_first(repr(self.paths[i]) for i in index)}"
                )
            count = round(fraction * len(index))
            order = np.random.default_rng(seed).permutation(len(copies))
            held = 0
            # At least one goes to either side.
            for i in order[:-1]:
                if held < max(count, 1):
                    is_held_out[copies[i]] = True
                    held += len(copies[i])
        whole = dataclasses.replace(
            self,
            held_out={"fraction": fraction, "seed": seed},
            digests=digests,
        )
        _warn_about_copies(whole, is_held_out, "on both sides of the split")
        return whole.select(~is_held_out), whole.select(is_held_out)

    @property
    def metadata(self) -> dict:
        """What `save_to_preset` should say of a model trained on these.

        `class_names`, and under `trained_on` a few bytes of the SHA-256 of
        each picture: by these `seen_by` knows the pictures again, also where
        the folder was moved or has grown.
        """
        own = sorted(set(self._digests()))
        return {
            "class_names": list(self.names),
            "trained_on": {
                "images": len(self.paths),
                "held_out": self.held_out,
                "sha256": base64.b64encode(b"".join(own)).decode("ascii"),
            },
        }

    def seen_by(self, model: typing.Any) -> np.ndarray | None:
        """Returns which of these pictures a model was trained on.

        Args:
            model: A `FACNN` with the `preset_metadata` of a preset.

        Returns:
            Booleans `(B,)`, or None where the preset does not say what it was
            trained on, as `metadata` would have it say.
        """
        record = getattr(model, "preset_metadata", None) or {}
        if "trained_on" not in record:
            return None
        known = _trained_on(record)
        return np.array([digest in known for digest in self._digests()], bool)

    def _digests(self):
        if self.digests is not None:
            return self.digests
        return [_digest(path) for path in self.paths]


def load_folder(
    path: str | os.PathLike,
    model: typing.Any = None,
    *,
    image_size: int | tuple[int, int] | None = None,
    fit: Fit = "crop",
    on_error: OnError = "raise",
    max_value: float | None = None,
    read: bool = True,
) -> ImageFolder:
    """Reads photographs from a folder of a folder for each class.

    A class is the name of its folder; folders within it belong to it. All
    pictures that Pillow reads are taken, whatever the case of their endings,
    and read as by `load_images`. Hidden files, and what systems write, are
    passed over. All else that is left out is counted and named by a warning.
    Another names pictures that lie in several classes.

    Args:
        path: Path of the folder, such as `photos` of `photos/cat/1.jpg`.
        model: As in `load_images`. Where it has names of its classes, the
            labels are its numbers of them.
        image_size: As in `load_images`.
        fit: As in `load_images`.
        on_error: `"raise"` an error at the first picture that can't be read, or
            `"skip"` such pictures, which a warning names.
        max_value: As in `load_images`.
        read: Whether to read the pictures, or only to list them, so that
            `images` is None.

    Returns:
        An `ImageFolder`, which unpacks as `images, labels, names, paths`, in
        the order of the names and paths.

    Raises:
        ValueError: If there are no folders of classes, or they seem to be parts
            of a data set, such as `train` and `test`, or one holds no picture,
            or a name can't be a class', or a picture can't be read.
        FileNotFoundError: If there is no such folder.
        ImportError: If Pillow is missing.

    Example:

    >>> import keras_facnn
    >>> from PIL import Image
    >>> import os
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> for name in ("cat/a.png", "cat/2024/b.JPG", "dog/c.webp"):
    ...     os.makedirs(os.path.dirname(f"{folder}/{name}"), exist_ok=True)
    ...     Image.new("RGB", (40, 30), "red").save(f"{folder}/{name}")
    >>> images, labels, names, paths = keras_facnn.load_folder(
    ...     folder, image_size=32
    ... )
    >>> images.shape, labels.tolist(), names
    ((3, 32, 32, 3), [0, 0, 1], ['cat', 'dog'])
    """
    check_bool("read", read)
    root = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(root, str):
        raise TypeError(
            f"`path` must be the path of a folder. Received: path={path!r}"
        )
    if not os.path.isdir(root):
        raise FileNotFoundError(f"There is no folder {root!r}")
    names, files, left_out = _list(root)
    numbers, names = _numbers(names, model)
    labels = np.repeat(numbers, [len(own) for own in files]).astype("int32")
    paths = [os.path.join(root, file) for own in files for file in own]
    if left_out:
        _warn(root, left_out)
    listed = ImageFolder(None, labels, names, paths, left_out)
    if not read:
        return listed
    images, skipped = read_pictures(
        paths, shape_to_read(model, image_size), fit, on_error, max_value
    )
    if skipped:
        listed = _without(listed, skipped, root)
    listed = dataclasses.replace(
        listed, images=images, digests=listed._digests()
    )
    _warn_about_copies(listed, listed.labels, "in several classes")
    return listed


def _list(root):
    """The names of class folders, the pictures of each, and what else is there.

    Returns:
        A sorted list of names, for each a list of paths within `root`, and a
        dict as `left_out` of `ImageFolder`.
    """
    folders, left_out = [], {}
    for entry in _sorted(root):
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
        _pictures(root, name, endings, left_out, above) for name in folders
    ]
    _check_no_parts(root, folders, files)
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


def _check_no_parts(root, folders, files):
    """Raises where folders seem to be those above the folders of classes."""
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


def _pictures(root, folder, endings, left_out, above):
    """The pictures in a folder and in those within it; all else is left out."""
    above = [*above, _identity(os.stat(os.path.join(root, folder)))]
    found = []
    for entry in _sorted(os.path.join(root, folder)):
        file = f"{folder}/{entry.name}"
        ending = os.path.splitext(entry.name)[1].lower()
        if _is_folder(entry):
            if _identity(os.stat(entry.path)) in above:
                left_out[file] = "a link to a folder above it"
            else:
                found += _pictures(root, file, endings, left_out, above)
        elif ending not in endings:
            left_out[file] = "no picture's ending"
        elif endings[ending] is not None:
            left_out[file] = endings[ending]
        else:
            found.append(file)
    return found


def _identity(state):
    return state.st_dev, state.st_ino


def _sorted(folder):
    """The entries of a folder by name, without those that are hidden."""
    return sorted(
        (
            entry
            for entry in os.scandir(folder)
            if not entry.name.startswith(".") and not is_of_system(entry.name)
        ),
        key=lambda entry: entry.name,
    )


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # A link to itself.
        return False


def _check_names(root, folders):
    """Raises where names of folders can't be those of classes."""
    alike = {}
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
        same = _composed(name).strip().casefold()
        alike.setdefault(same, []).append(name)
    for same in alike.values():
        if len(same) > 1:
            raise ValueError(
                f"The class folders {same} of {root!r} differ by case or "
                "blanks only, which is likely one class. Rename or merge them."
            )


def _numbers(folders, model):
    """The number of each class folder, and the names of all classes."""
    names = getattr(model, "class_names", None)
    if names is None:
        return np.arange(len(folders)), folders
    # macOS has names in another form, which look the same.
    known = {_composed(name): i for i, name in enumerate(names)}
    known |= {name: i for i, name in enumerate(names)}
    numbers = [known.get(name, known.get(_composed(name))) for name in folders]
    unknown = [
        name for name, i in zip(folders, numbers, strict=True) if i is None
    ]
    if unknown:
        raise ValueError(
            "The class folders must have names of the classes of `model`, "
            f"{join_first(names, 20)}. "
            f"Received: {join_first(map(repr, unknown))}. Where "
            "`model` is only to say the size, pass `image_size` in its place"
        )
    return np.array(numbers), list(names)


def _composed(name):
    """A name with each accent in one character with its letter, if there is."""
    return unicodedata.normalize("NFC", name)


def _without(listed, skipped, root):
    """What is left of listed pictures; a class must not be left empty."""
    kept = np.ones(len(listed.paths), bool)
    kept[list(skipped)] = False
    files = [
        os.path.relpath(listed.paths[i], root).replace(os.sep, "/")
        for i in skipped
    ]
    reasons = dict(zip(files, skipped.values(), strict=True))
    empty = set(listed.labels) - set(listed.labels[kept])
    if empty:
        raise ValueError(
            "No picture of "
            f"{join_first(listed.names[i] for i in sorted(empty))} can be "
            f"read: {join_first(reasons.values())}"
        )
    warnings.warn(
        f"Skipped {len(skipped)} of {len(listed.paths)} pictures: "
        f"{join_first(reasons.values(), 20)}",
        stacklevel=callers_stacklevel(),
    )
    left_out = {**listed.left_out, **reasons}
    return dataclasses.replace(listed.select(kept), left_out=left_out)


def _warn(root, left_out):
    reasons = {}
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


def _copies(index, digests):
    """The pictures of equal contents, of those at `index`, by their digest."""
    copies = {}
    for i in index:
        # What can't be read is like nothing else.
        copies.setdefault(digests[i] or i, []).append(i)
    return copies


def _warn_about_copies(folder, places, where):
    """Warns of equal pictures that lie in different places, one an image."""
    copies = _copies(range(len(folder.paths)), folder.digests)
    groups = [
        f"({join_first((repr(folder.paths[i]) for i in index), 3)})"
        for index in copies.values()
        if len({places[i] for i in index}) > 1
    ]
    if groups:
        warnings.warn(
            f"{len(groups)} pictures lie {where}: {join_first(groups)}",
            stacklevel=callers_stacklevel(),
        )


def _digest(path):
    # Nothing is read of what would not end, such as a pipe.
    if not os.path.isfile(path):
        return b""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()[:_DIGEST]


def _trained_on(record):
    """The digests that a preset's record holds, of earlier trainings too."""
    known = set()
    while isinstance(record, dict):
        own = record.get("trained_on")
        if own is not None:
            try:
                data = base64.b64decode(own["sha256"], validate=True)
            except (KeyError, TypeError, ValueError):
                raise ValueError(
                    "`trained_on` in the metadata of a preset must be what "
                    "`ImageFolder.metadata` gives. Received: "
                    f"{repr(own)[:200]}"
                ) from None
            known |= {
                data[i : i + _DIGEST] for i in range(0, len(data), _DIGEST)
            }
        record = record.get("transferred_from")
    return known
