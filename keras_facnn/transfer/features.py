"""Compute the features of photographs with a frozen backbone, once."""

import hashlib
import json
import math
import pathlib
import shutil
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_facnn._backend.cache import cached_function
from keras_facnn._backend.forward import progress_bar
from keras_facnn._backend.forward import run_in_batches
from keras_facnn.architecture.backbone_config import backbone_config
from keras_facnn.pictures.copies import file_digest
from keras_facnn.pictures.random_crop import read_random_crop
from keras_facnn.pictures.read_ahead import read_ahead
from keras_facnn.pictures.reading import read_picture
from keras_facnn.presets import weights
from keras_facnn.transfer.feature_file import FeatureFile
from keras_facnn.transfer.feature_file import PhotoKey
from keras_facnn.transfer.feature_file import photo_key

_BATCH = 32
# Few photos are shown in several versions, from which the fit gains. For many
# photos it does not, and each version takes as long as the first.
_VERSIONS_IN_ALL = 2400
_MOST_VERSIONS = 8


def versions_per_photo(num_photos: int) -> int:
    """Return in how many versions the features of a photo are computed.

    The first version is the photo as the model will see it, the second is
    mirrored, and others are random parts.
    """
    return min(max(_VERSIONS_IN_ALL // max(num_photos, 1), 1), _MOST_VERSIONS)


def check_disk(
    folder: pathlib.Path, num_photos: int, shape: Sequence[int]
) -> None:
    """Raise if the disk has no room for the features of some more photos."""
    needed = 2 * num_photos * math.prod(shape)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            f"The features of {num_photos:,} photos need "
            f"{needed / 2**30:.1f} GiB on disk, and {str(folder)!r} has "
            f"{free / 2**30:.1f} GiB"
        )


def compute_features(
    backbone: keras.Model,
    paths: Sequence[str],
    folder: pathlib.Path,
    versions: int,
    seed: int,
    verbose: int,
) -> tuple[FeatureFile, list[PhotoKey], dict[int, str]]:
    """Compute the features of all photos that the file in a folder lacks.

    The features of a photo are the means of the backbone's maps, which is all
    that the logits of a linear projection depend on.

    Args:
        backbone: A model from images `(B, H, W, channels)` to maps.
        paths: Paths of the photos.
        folder: An existing folder for the file.
        versions: Positive integer, the number of versions per photo.
        seed: Seed of the random versions.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        The file, with rows `(versions, channels)`; the key of each photo; and
        a dict from the index of each photo that cannot be read to the reason.
    """
    shape = (versions, backbone.output_shape[-1])
    made_with = {
        "backbone": backbone_digest(backbone),
        "image_shape": list(backbone.input_shape[1:]),
        "seed": seed,
    }
    file = FeatureFile(folder, made_with, shape)
    keys = [photo_key(path) for path in paths]
    unreadable = add_missing(
        file,
        pooled_function(backbone),
        keys,
        lambda i: _read(paths[i], backbone.input_shape[1:], versions, seed),
        shape,
        verbose,
    )
    return file, keys, unreadable


def add_missing(
    file: FeatureFile,
    function: Callable[[Any], Any],
    keys: Sequence[PhotoKey],
    read: Callable[[int], tuple[np.ndarray, bytes]],
    shape: Sequence[int],
    verbose: int,
) -> dict[int, str]:
    """Add the features of all photos that a file lacks.

    Args:
        file: The file.
        function: Compiled function from images to the features of each.
        keys: The key of each photo.
        read: Function from the number of a photo to its versions, images
            `(versions, H, W, channels)`, and its digest.
        shape: The number of versions per photo, and the shape of the features
            of a version.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        A dict from the index of each photo that cannot be read to the reason.
    """
    # A key may be there twice, but has one row.
    first: dict[PhotoKey, int] = {}
    for i, key in enumerate(keys):
        if key not in file:
            first.setdefault(key, i)
    missing = list(first.values())
    check_disk(file.folder, len(missing), shape)
    unreadable: dict[int, str] = {}
    bar = progress_bar(len(keys), verbose, "photo")
    bar.update(len(keys) - len(missing))
    for some in read_ahead(missing, read, _BATCH):
        good = []
        for position, result in some:
            if isinstance(result, Exception):
                unreadable[missing[position]] = str(result)
            else:
                good.append((keys[missing[position]], *result))
        if good:
            added, images, digests = zip(*good, strict=True)
            rows = run_in_batches(
                function, np.concatenate(images), _BATCH, one_size=True
            )
            file.add(added, digests, rows.reshape(len(added), *shape))
        bar.add(len(some))
    return {
        i: unreadable[first[key]]
        for i, key in enumerate(keys)
        if first.get(key) in unreadable
    }


def backbone_digest(backbone: keras.Model) -> str:
    """Return a hash of all that the maps of a backbone depend on."""
    config = json.dumps(backbone_config(backbone), sort_keys=True)
    both = config + weights.digest(backbone)
    return hashlib.sha256(both.encode("ascii")).hexdigest()


def pooled_function(backbone: keras.Model) -> Callable[[Any], Any]:
    """Return a compiled function from images to the means of the maps."""

    def pooled(images: Any) -> Any:
        maps = backbone(images, training=False)
        return ops.mean(ops.cast(maps, "float32"), axis=(1, 2))

    return cached_function(backbone, "means of the maps", lambda: pooled)


def _read(
    path: str, image_shape: tuple[int, int, int], versions: int, seed: int
) -> tuple[np.ndarray, bytes]:
    """Return the versions of a photo, and its digest."""
    digest = file_digest(path)
    whole = read_picture(path, image_shape)
    shown = [whole, whole[:, ::-1]][:versions]
    # The parts depend on the photo and not on its place among the others.
    rng = np.random.default_rng([seed, *digest])
    while len(shown) < versions:
        shown.append(read_random_crop(path, image_shape, rng))
    return np.stack(shown), digest
