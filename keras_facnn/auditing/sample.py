"""A sample of the images of each class, which merges."""

import dataclasses
import hashlib
import heapq
from typing import Any

import numpy as np

from keras_facnn.auditing.observing import Observations

# A sample holds about so many images in all, and so many per class.
_IMAGES = 12_000
_IMAGES_PER_CLASS = (12, 400)


@dataclasses.dataclass(frozen=True, eq=False)
class Pick:
    """One image of the sample.

    Args:
        key: A number that depends only on the pixels. The images with the
            smallest keys are the sample.
        index: The position of the image among all that were audited.
        label: The number of the right class, or -1.
        path: The path of the image, or None.
        picture: The bytes of a JPEG file of what the model saw, or None if the
            audit read it from its path.
        thumbnail: uint8 array, see `looks.thumbnail`.
        texture: Floats, see `looks.texture`.
        classes: Integers `(K,)`, the likeliest classes, as in `Observations`.
        logits: Floats `(K,)`.
        evidence: Floats `(K, cells)`.
        mean_evidence: Floats `(cells,)`.
        places: Integers `(places,)`.
        features: Float16 `(places, D)`.
    """

    key: int
    index: int
    label: int
    path: str | None
    picture: bytes | None
    thumbnail: np.ndarray
    texture: np.ndarray
    classes: np.ndarray
    logits: np.ndarray
    evidence: np.ndarray
    mean_evidence: np.ndarray
    places: np.ndarray
    features: np.ndarray

    @property
    def said(self) -> int:
        """The likeliest class."""
        return int(self.classes[0])


class Sample:
    """Up to `size` images per class, chosen by the keys of their pixels.

    Which images are chosen depends neither on their order nor on how they were
    divided among processes (bottom-k sampling: Cohen and Kaplan, 2007). Copies
    of an image have the same key and count once.

    Args:
        num_classes: Positive integer.
        size: Positive integer, images per class.
    """

    def __init__(self, num_classes: int, size: int) -> None:
        self.num_classes = num_classes
        self.size = size
        # For each class, a heap of (-key, pick), whose first has the largest
        # key.
        self._heaps: dict[int, list[tuple[int, Pick]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._heaps.values()))

    def wants(self, said: int, key: int) -> bool:
        """Return whether an image would be in the sample."""
        heap = self._heaps.get(said, [])
        if len(heap) >= self.size and -heap[0][0] <= key:
            return False
        return all(key != -other for other, _ in heap)

    def add(self, pick: Pick) -> None:
        """Add an image, if it belongs to the sample."""
        if not self.wants(pick.said, pick.key):
            return
        heap = self._heaps.setdefault(pick.said, [])
        # Keys are unique, so picks are never compared.
        heapq.heappush(heap, (-pick.key, pick))
        if len(heap) > self.size:
            heapq.heappop(heap)

    def of_class(self, said: int) -> list[Pick]:
        """Return the images that were called a class, in a fixed order."""
        heap = self._heaps.get(said, [])
        return [pick for _, pick in sorted(heap, key=lambda e: -e[0])]

    def __add__(self, other: "Sample") -> "Sample":
        merged = Sample(self.num_classes, self.size)
        for part in (self, other):
            for heap in part._heaps.values():
                for _, pick in heap:
                    merged.add(pick)
        return merged


def images_per_class(num_classes: int) -> int:
    """Return of how many images per class the sample of an audit is."""
    least, most = _IMAGES_PER_CLASS
    return min(max(_IMAGES // num_classes, least), most)


def sampling_key(data: bytes) -> int:
    """Return a number that depends only on some bytes, as if at random."""
    digest = hashlib.blake2b(data, digest_size=8).digest()
    return int.from_bytes(digest, "big")


def answers_of(seen: Observations, i: int) -> dict[str, np.ndarray]:
    """Return what a `Pick` keeps of the observations of an image."""
    names = ("classes", "logits", "evidence", "mean_evidence", "places")
    # A part of an array would keep that of the whole batch.
    return {name: getattr(seen, name)[i].copy() for name in names}


def stack(picks: list[Pick], name: str) -> Any:
    """Return one field of some images as an array."""
    return np.stack([getattr(pick, name) for pick in picks])
