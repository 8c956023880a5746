"""Load pictures with labels from a folder per class. Needs Pillow."""

import dataclasses
import os
import typing
import warnings
from collections.abc import Iterator
from collections.abc import Mapping

import numpy as np

from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.messages import callers_stacklevel
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_seed
from keras_facnn._checks.text import join_first
from keras_facnn.pictures.class_folders import class_numbers
from keras_facnn.pictures.class_folders import list_class_folders
from keras_facnn.pictures.class_folders import warn_about_left_out
from keras_facnn.pictures.copies import digest_record
from keras_facnn.pictures.copies import digests_of_training
from keras_facnn.pictures.copies import file_digest
from keras_facnn.pictures.copies import group_copies
from keras_facnn.pictures.copies import warn_about_copies
from keras_facnn.pictures.reading import read_pictures
from keras_facnn.pictures.sizes import shape_to_read
from keras_facnn.types import Fit
from keras_facnn.types import OnError


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ImageFolder:
    """Pictures of a folder, with labels; the result of `load_folder`.

    It unpacks as `images, labels, names, paths`.

    Args:
        images: uint8 array `(B, H, W, channels)`, 0..255, or None if the
            pictures were only listed.
        labels: Integers `(B,)`, the class of each picture.
        names: List of the names of the classes.
        paths: List of the B paths.
        left_out: Dict from the path within the folder of each file that was
            left out, to the reason.
        held_out: Dict of the `fraction` and `seed` of `split`, or None.
        digests: List of the first bytes of each file's SHA-256, or None if the
            files were only listed. Then the files are read when needed.

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
    held_out: dict[str, typing.Any] | None = None
    digests: list[bytes] | None = None

    def __iter__(self) -> Iterator[typing.Any]:
        yield from (self.images, self.labels, self.names, self.paths)

    def __repr__(self) -> str:
        counts = np.bincount(self.labels, minlength=len(self.names))
        classes = join_first(map("{} {}".format, self.names, counts), 20)
        return f"<ImageFolder of {len(self.paths)} pictures: {classes}>"

    def select(self, index: typing.Any) -> "ImageFolder":
        """Return some of the pictures.

        Args:
            index: Index of an array `(B,)`: integers, booleans or a slice.

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
        """Split each class by the same share, reproducibly.

        Copies of a picture in one class go to the same side. A warning names
        pictures that are in two classes and are on both sides for that reason.

        Args:
            fraction: The share of each class to hold out, 0 to 1; at least one
                picture of each class, and not all of them.
            seed: Non-negative integer. Another seed holds out other pictures.

        Returns:
            The pictures to train on, and those that are held out.

        Raises:
            ValueError: If a class has fewer than two different pictures.
        """
        fraction = check_float("fraction", fraction, least=0, most=1)
        seed = check_seed(seed)
        is_held_out = np.zeros(len(self.paths), bool)
        digests = self._digests()
        for label in np.unique(self.labels):
            index = np.flatnonzero(self.labels == label)
            copies = list(group_copies(index, digests).values())
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
        warn_about_copies(
            self.paths, digests, is_held_out, "on both sides of the split"
        )
        return whole.select(~is_held_out), whole.select(is_held_out)

    @property
    def metadata(self) -> dict[str, typing.Any]:
        """Metadata to save with a preset that was trained on these pictures.

        It has `class_names`, and under `trained_on` a few bytes of the SHA-256
        of each picture. By these, `seen_by` recognizes the pictures, even after
        the folder was moved or has grown.
        """
        return {
            "class_names": list(self.names),
            "trained_on": {
                "images": len(self.paths),
                "held_out": self.held_out,
                "sha256": digest_record(self._digests()),
            },
        }

    def seen_by(self, model: typing.Any) -> np.ndarray | None:
        """Return which of these pictures a model was trained on.

        Args:
            model: A `FACNN` with the `preset_metadata` of a preset.

        Returns:
            Booleans `(B,)`, or None if the preset does not say what it was
            trained on, in the form of `metadata`.
        """
        record = getattr(model, "preset_metadata", None) or {}
        if "trained_on" not in record:
            return None
        known = digests_of_training(record)
        return np.array([digest in known for digest in self._digests()], bool)

    def _digests(self) -> list[bytes]:
        if self.digests is not None:
            return self.digests
        return [file_digest(path) for path in self.paths]


def with_digests(folder: ImageFolder) -> ImageFolder:
    """Return a folder that knows its `digests`, so that no call reads again."""
    return dataclasses.replace(folder, digests=folder._digests())


def load_folder(
    path: str | os.PathLike[str],
    model: typing.Any = None,
    *,
    image_size: int | tuple[int, int] | None = None,
    fit: Fit = "crop",
    on_error: OnError = "raise",
    max_value: float | None = None,
    read: bool = True,
) -> ImageFolder:
    """Read photographs from a folder that has a folder for each class.

    The name of a class is the name of its folder, and folders within it belong
    to it. All pictures that Pillow reads are read, as by `load_images`; their
    endings may be in upper or lower case. Hidden files and those of operating
    systems are ignored. A warning counts and names all other files that are
    left out. Another warning names pictures that are in several classes.

    Args:
        path: Path of the folder, such as `photos` of `photos/cat/1.jpg`.
        model: As in `load_images`. If it has names of its classes, the labels
            are their numbers in the model.
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
        ValueError: If there are no class folders; if they seem to be parts of a
            data set, such as `train` and `test`; if one holds no picture; if a
            name can't be the name of a class; or if a picture can't be read.
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
    folders, files, left_out = list_class_folders(root)
    numbers, names = class_numbers(folders, model)
    labels = np.repeat(numbers, [len(own) for own in files]).astype("int32")
    paths = [os.path.join(root, file) for own in files for file in own]
    if left_out:
        warn_about_left_out(root, left_out)
    listed = ImageFolder(None, labels, names, paths, left_out)
    if not read:
        return listed
    images, skipped = read_pictures(
        paths, shape_to_read(model, image_size), fit, on_error, max_value
    )
    if skipped:
        listed = _without(listed, skipped, root)
    digests = listed._digests()
    warn_about_copies(
        listed.paths, digests, listed.labels, "in several classes"
    )
    return dataclasses.replace(listed, images=images, digests=digests)


def _without(
    listed: ImageFolder, skipped: Mapping[int, str], root: str
) -> ImageFolder:
    """Return the pictures without skipped ones; no class may become empty."""
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
