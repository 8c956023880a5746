import dataclasses
import typing

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """What an FA-CNN sees in some images, and why it says what it says.

    Args:
        images: Array `(B, H, W, channels)`, 0..255, as the model read them.
        classes: Integers `(B,)`, the class of each image that is explained:
            the predicted one, unless another was asked for.
        probabilities: Array `(B, C)`: a softmax, or, of several labels an
            image, a sigmoid each.
        maps: Array `(B, h, w, C)`, the class maps at the last FA layer. A map's
            mean, times the scale of the head, is the logit, or, of centered
            maps, the logit less the mean of all classes' logits.
        layer_maps: Dict from the number of an FA layer to the maps `(B, h, w)`
            of `classes` there, at that layer's own resolution.
        layer_probabilities: Array `(B, L, C)`, what the head reads off every FA
            layer.
        class_names: Sequence of C strings, or None.
        centered: Whether `maps` and `layer_maps` are centered: less the mean of
            all classes' maps.
        several_labels: Whether an image may have several labels, so that each
            class has a probability of its own.

    Example:

    >>> import numpy as np
    >>> from keras_facnn.explaining.explanation import Explanation
    >>> told = Explanation(
    ...     images=np.zeros((1, 8, 8, 3)),
    ...     classes=np.array([1]),
    ...     probabilities=np.array([[0.2, 0.8]]),
    ...     maps=np.ones((1, 4, 4, 2)),
    ...     layer_maps={1: np.ones((1, 8, 8))},
    ...     layer_probabilities=np.array([[[0.5, 0.5], [0.2, 0.8]]]),
    ...     class_names=["ant", "bee"],
    ... )
    >>> told.name_of(1)
    'bee'
    >>> len(told[:1].images)
    1
    """

    images: np.ndarray
    classes: np.ndarray
    probabilities: np.ndarray
    maps: np.ndarray
    layer_maps: dict[int, np.ndarray]
    layer_probabilities: np.ndarray
    class_names: typing.Sequence[str] | None = None
    centered: bool = False
    several_labels: bool = False

    def name_of(self, index: int) -> str:
        """The name of a class, or its number where names are not known."""
        if self.class_names is None:
            return f"class {index}"
        return self.class_names[index]

    def __getitem__(self, rows: slice) -> "Explanation":
        """The explanation of some of the images."""
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
