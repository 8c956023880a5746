"""Read random parts of photographs batch by batch, as `fit` asks."""

import math

import keras
import numpy as np

from keras_facnn.pictures.image_folder import ImageFolder
from keras_facnn.pictures.random_crop import read_random_crop

# Photos are decoded by some threads, which fill a few batches ahead.
_THREADS = 2
_BATCHES_AHEAD = 4


class RandomBatches(keras.utils.PyDataset):
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
        super().__init__(workers=_THREADS, max_queue_size=_BATCHES_AHEAD)
        self._steps, self._batch_size = steps, batch_size
        self._photos, self._image_shape = photos, image_shape
        self._weights, self._seed = weights, [seed, number]
        rng = np.random.default_rng(self._seed)
        passes = math.ceil(steps * batch_size / len(photos.paths))
        # Each photo is shown as often as any other, or once more.
        self._order = np.concatenate(
            [rng.permutation(len(photos.paths)) for _ in range(passes)]
        )

    def __len__(self) -> int:
        return self._steps

    def __getitem__(
        self, number: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        start = number * self._batch_size
        index = self._order[start : start + self._batch_size]
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
