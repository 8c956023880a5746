"""The record of an explanation."""

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """An FA-CNN's decisions about some images, and the reasons for them.

    `FACNN.explain` returns it.

    Args:
        images: Array `(B, H, W, channels)`, 0..255, as the model read them.
        classes: Integers `(B,)`, the explained class of each image. By default,
            it is the predicted class.
        probabilities: Array `(B, C)`, by softmax, or by a sigmoid per class if
            an image may have several labels.
        maps: Array `(B, h, w, C)`, the class maps at the last FA layer. The
            mean of a map, times the scale of the head, is the logit. If the
            maps are centered, it is the logit minus the mean logit.
        layer_maps: Dict from the number of an FA layer to the maps `(B, h, w)`
            of `classes` at that layer, at its own resolution.
        layer_probabilities: Array `(B, L, C)`, the probabilities that the head
            computes from every FA layer.
        class_names: Sequence of C strings, or None.
        centered: Whether the mean of all classes' maps was subtracted from
            `maps` and `layer_maps`.
        several_labels: Whether an image may have several labels, so that each
            class has a probability of its own.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> explanation = keras_facnn.Explanation(
    ...     images=np.zeros((1, 8, 8, 3)),
    ...     classes=np.array([1]),
    ...     probabilities=np.array([[0.2, 0.8]]),
    ...     maps=np.ones((1, 4, 4, 2)),
    ...     layer_maps={1: np.ones((1, 8, 8))},
    ...     layer_probabilities=np.array([[[0.5, 0.5], [0.2, 0.8]]]),
    ...     class_names=["ant", "bee"],
    ... )
    >>> explanation.name_of(1)
    'bee'
    >>> len(explanation[:1].images)
    1
    """

    images: np.ndarray
    classes: np.ndarray
    probabilities: np.ndarray
    maps: np.ndarray
    layer_maps: dict[int, np.ndarray]
    layer_probabilities: np.ndarray
    class_names: Sequence[str] | None = None
    centered: bool = False
    several_labels: bool = False

    def name_of(self, index: int) -> str:
        """Return the name of a class, or its number if names are unknown."""
        if self.class_names is None:
            return f"class {index}"
        return self.class_names[index]

    def __getitem__(self, rows: slice) -> "Explanation":
        """Return the explanation of some of the images."""
        return dataclasses.replace(
            self,
            images=self.images[rows],
            classes=self.classes[rows],
            probabilities=self.probabilities[rows],
            maps=self.maps[rows],
            layer_maps={
                layer: maps[rows] for layer, maps in self.layer_maps.items()
            },
            layer_probabilities=self.layer_probabilities[rows],
        )
