"""Read photographs batch by batch, as Keras' `fit` and `predict` ask."""

import math

import keras
import numpy as np

from keras_facnn.pictures.image_folder import ImageFolder
from keras_facnn.pictures.random_crop import read_random_crop
from keras_facnn.pictures.reading import read_picture

# Photos are decoded by some threads, which fill a few batches ahead.
_THREADS = 2
_BATCHES_AHEAD = 4


class _Batches(keras.utils.PyDataset):
    """Batches of photographs, read by several threads."""

    def __init__(self, count: int, batch_size: int) -> None:
        super().__init__(workers=_THREADS, max_queue_size=_BATCHES_AHEAD)
        self._count = count
        self._batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(self._count / self._batch_size)

    def _part(self, number: int) -> slice:
        start = number * self._batch_size
        return slice(start, min(start + self._batch_size, self._count))


class PlainBatches(_Batches):
    """All photos in their order, as a model sees them, without labels.

    Args:
        photos: The photos.
        image_shape: `(height, width, channels)`.
        batch_size: Positive integer.
    """

    def __init__(
        self,
        photos: ImageFolder,
        image_shape: tuple[int, int, int],
        batch_size: int,
    ) -> None:
        super().__init__(len(photos.paths), batch_size)
        self._paths, self._image_shape = photos.paths, image_shape

    def __getitem__(self, number: int) -> tuple[np.ndarray]:
        paths = self._paths[self._part(number)]
        return (np.stack([read_picture(p, self._image_shape) for p in paths]),)


class RandomBatches(_Batches):
    """Random parts of photos, in a random order, with labels and weights.

    A number and the seed say what is in a round, so that a round can be
    repeated.

    Args:
        photos: The photos.
        image_shape: `(height, width, channels)`.
        batch_size: Positive integer.
        steps: Positive integer, the number of batches.
        weights: Float array `(C,)`, the weight of each class.
        seed: Integer.
        number: Integer, the number of the round.
    """

    def __init__(
        self,
        photos: ImageFolder,
        image_shape: tuple[int, int, int],
        batch_size: int,
        steps: int,
        weights: np.ndarray,
        seed: int,
        number: int,
    ) -> None:
        super().__init__(steps * batch_size, batch_size)
        self._photos, self._image_shape = photos, image_shape
        self._weights, self._seed = weights, [seed, number]
        rng = np.random.default_rng(self._seed)
        passes = math.ceil(self._count / len(photos.paths))
        # Each photo is shown as often as any other, or once more.
        self._order = np.concatenate(
            [rng.permutation(len(photos.paths)) for _ in range(passes)]
        )

    def __getitem__(
        self, number: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        index = self._order[self._part(number)]
        rng = np.random.default_rng([*self._seed, number])
        images = np.stack(
            [
                read_random_crop(self._photos.paths[i], self._image_shape, rng)
                for i in index
            ]
        )
        labels = self._photos.labels[index]
        one_hot = np.eye(len(self._weights), dtype="float32")[labels]
        return images, one_hot, self._weights[labels].astype("float32")
