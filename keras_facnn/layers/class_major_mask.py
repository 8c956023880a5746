from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_facnn._checks.messages import short_repr
from keras_facnn._checks.models import check_class_major_shape
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_size
from keras_facnn._checks.numbers import is_integer


@keras.saving.register_keras_serializable(package="keras_facnn")
class ClassMajorMask(keras.layers.Layer):
    """Set some maps, or some locations of maps, to zero.

    `FACNN.without` puts this layer before the head. The rest of the maps stays
    as it is, so each logit loses exactly the evidence that is left out.

    Args:
        num_classes: Positive integer, the number of classes C.
        maps: Sequence of pairs `(c, r)`: map `r` of class `c` is zero.
        locations: Sequence of triples `(c, row, column)`: this location is zero
            in all maps of class `c`, or of all classes if `c` is None.
        size: `(height, width)` of the maps. It is needed with `locations`.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Input shape:
        `(batch, height, width, num_classes * R)`, class-major, for any R that
        is larger than each `r` in `maps`.

    Output shape:
        The same.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> maps = np.array([1.0, 2.0, 3.0, 4.0], "float32").reshape((1, 1, 1, 4))
    >>> layer = keras_facnn.layers.ClassMajorMask(2, maps=[(0, 1)])
    >>> np.array(layer(maps)).ravel().tolist()
    [1.0, 0.0, 3.0, 4.0]
    """

    def __init__(
        self,
        num_classes: int,
        maps: Sequence[Sequence[int]] = (),
        locations: Sequence[Sequence[int | None]] = (),
        size: Sequence[int] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_classes = check_int("num_classes", num_classes)
        self.size = None if size is None else check_size("size", size)
        if len(locations) and self.size is None:
            raise ValueError(
                "`size` must be the size of the maps, because there are "
                "`locations`. Received: size=None"
            )
        limits = (self.num_classes, *(self.size or ()))
        self.maps = _check_rows("maps", maps, (limits[0], 2**31))
        self.locations = _check_rows("locations", locations, limits)

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)
        maps_per_class = input_shape[-1] // self.num_classes
        kept = np.ones((self.num_classes, maps_per_class), "float32")
        for c, r in self.maps:
            kept[c, r] = 0
        masks = [kept.reshape(-1)] if self.maps else []
        if self.locations:
            # One mask serves all classes if none has its own.
            common = all(c is None for c, _, _ in self.locations)
            classes = 1 if common else self.num_classes
            by_class = np.ones((*(self.size or ()), classes), "float32")
            for c, row, column in self.locations:
                by_class[row, column, slice(None) if c is None else c] = 0
            repeats = 1 if common else maps_per_class
            masks.append(by_class.repeat(repeats, axis=-1))
        # Keras would track a list.
        self._masks = tuple(masks)

    def call(self, inputs: Any) -> Any:
        for mask in self._masks:
            inputs = inputs * ops.convert_to_tensor(mask, inputs.dtype)
        return inputs

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        return keras.KerasTensor(
            self.compute_output_shape(inputs.shape), dtype=self.compute_dtype
        )

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        h, w, channels = check_class_major_shape(
            self, input_shape, self.num_classes
        )
        maps_per_class = channels // self.num_classes
        if any(r >= maps_per_class for _, r in self.maps):
            raise ValueError(
                f"Layer `{self.name}` expects more maps per class than "
                f"{max(r for _, r in self.maps)}, the largest number in "
                f"`maps`. Received: input_shape={tuple(input_shape)}"
            )
        for own, side in zip(self.size or (), (h, w), strict=False):
            if side not in (None, own):
                raise ValueError(
                    f"Layer `{self.name}` expects maps of the size of its "
                    f"`locations`, {self.size}. "
                    f"Received: input_shape={tuple(input_shape)}"
                )
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "maps": [list(row) for row in self.maps],
            "locations": [list(row) for row in self.locations],
            "size": self.size and list(self.size),
        }


def _check_rows(name: str, rows: Any, limits: Sequence[int]) -> tuple:
    """Return rows of integers below limits as tuples, or raise.

    In rows of three, the first may be None.
    """

    def fits(row: Any) -> bool:
        return (
            isinstance(row, (list, tuple))
            and len(row) == len(limits)
            and all(
                (number is None and len(row) == 3 and i == 0)
                or (is_integer(number) and 0 <= number.__index__() < limit)
                for i, (number, limit) in enumerate(
                    zip(row, limits, strict=True)
                )
            )
        )

    if not isinstance(rows, (list, tuple)) or not all(map(fits, rows)):
        kind = "pairs (c, r)" if name == "maps" else "(c, row, column)"
        below = ", ".join(map(str, limits))
        raise ValueError(
            f"`{name}` must be a sequence of {kind}, integers from 0 and below "
            f"{below}. Received: {name}={short_repr(rows)}"
        )
    return tuple(
        tuple(n if n is None else n.__index__() for n in row) for row in rows
    )
