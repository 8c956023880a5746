"""A loss that knows where the evidence for a class may lie."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.numbers import check_int
from keras_facnn.training.penalized_loss import PenalizedLoss
from keras_facnn.training.penalized_loss import losses_within
from keras_facnn.training.regions import check_rank
from keras_facnn.training.regions import resize_by_area
from keras_facnn.training.regions import split_regions
from keras_facnn.training.regions import widen

# If hardly any of a map's values is positive, its share in a region is one of
# nearly nothing, and the gradient of that share would have no bound. So the sum
# of positive values counts as at least this share of all values, plus a little.
LEAST_SHARE = 1e-3
LEAST_SUM = 1e-7


@keras.saving.register_keras_serializable(package="keras_facnn")
class RegionPenalty(PenalizedLoss):
    """Add a penalty on evidence in wrong places to a loss of logits.

    A classifier can be right for the wrong reason: it finds the hand that
    holds a fish, or the mark of a scanner. This loss tells an FA-CNN where
    evidence may lie. For each image with a region, it adds `weight` times the
    share of the evidence for the label's class that lies outside the region,
    or inside it with `inside=False`. Evidence is the positive part of the
    class map, which comes with the prediction. So the penalty needs no
    gradient of a gradient, and hardly any time.

    In `fit`, `evaluate` and `train_on_batch`, pass the regions beside the
    labels: `y={"labels": labels, "regions": masks}`. This works for arrays and
    for every kind of dataset. Masks are arrays `(B, H, W)` of any resolution,
    1 inside a region and 0 outside; they are averaged over each cell of the
    maps, so small masks save memory. A mask of NaN stands for an image without
    a region, which has no penalty. The penalty is the mean over all images of
    a batch, also those without a region. If only 1 % of the images have one,
    its mean over an epoch is 1 % of that of an image, so a larger `weight` may
    help. Metrics see the labels only. Validation data may have regions or not;
    without them, the validation loss has no penalty.

    With deep alignment, the penalty is that of the last FA layer.

    Source: the penalty on class maps instead of input gradients (Ross et al.,
    "Right for the Right Reasons", arXiv 1703.03717), as a share of the evidence
    (Rao et al., "Studying How to Efficiently and Effectively Guide Models with
    Explanations", arXiv 2303.11932). There, the attributions are those of
    another method, and need a gradient.

    Args:
        loss: The `keras.losses.Loss` of logits to which the penalty is added.
            It may be an `EvidencePenalty`, or be within one.
        weight: Non-negative float, the penalty if all evidence is in the wrong
            place.
        inside: Whether evidence must lie inside the regions. False means
            outside, for regions that must not count, such as the places of a
            cue that an audit found.
        margin: Non-negative integer, by how many cells of the maps to widen the
            regions. None means 0 with `inside=True`, and 1 with
            `inside=False`. A cell also sees what is around it, so evidence that
            is banned from the cells of a cue moves to the cells beside it.
        centered: Whether evidence is that of centered maps, the part that
            decides under a softmax. False means the maps as they are. None
            means False if `loss` is a binary crossentropy, for which each class
            decides by itself, and True otherwise.
        **kwargs: Base loss keyword arguments: `name`, `reduction` and `dtype`.
            Those of `loss` have no effect.

    Call arguments:
        y_true: A dict of `"labels"` in the format that `loss` expects, integers
            or one-hot, and of `"regions"`.
        y_pred: The result of `model.compute_class_maps(x, training=True)`: a
            pair of logits `(B, C)` and class maps `(B, h, w, C)`. In `fit`,
            an FA-CNN passes them by itself. Other models have no class maps,
            so that this loss raises an error.

    Raises:
        TypeError: If `loss` is not a `keras.losses.Loss`.
        ValueError: If another argument has an invalid value, or if there is a
            `RegionPenalty` in `loss`.

    Example:

    The evidence for the class must lie in the left half:

    >>> import keras
    >>> import numpy as np
    >>> import keras_facnn
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> loss = keras_facnn.RegionPenalty(loss, weight=1.0)
    >>> model = keras_facnn.FACNN(3, depths=(2,), maps_per_class=(2,))
    >>> model.compile("adam", loss, metrics=["accuracy"])
    >>> images = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3))
    >>> labels = np.arange(8) % 3
    >>> masks = np.zeros((8, 32, 32), "float32")
    >>> masks[:, :, :16] = 1
    >>> masks[4:] = np.nan  # These images have no region.
    >>> y = {"labels": labels, "regions": masks}
    >>> history = model.fit(images, y, verbose=0)
    >>> sorted(history.history)
    ['accuracy', 'loss']
    """

    def __init__(
        self,
        loss: keras.losses.Loss,
        weight: float = 1.0,
        inside: bool = True,
        margin: int | None = None,
        centered: bool | None = None,
        name: str | None = "region_penalty",
        **kwargs: Any,
    ):
        super().__init__(loss, weight, name=name, **kwargs)
        within = losses_within(loss)
        if any(isinstance(one, RegionPenalty) for one in within):
            raise ValueError(
                "`loss` must not have another RegionPenalty in it. "
                f"Received: loss={loss!r}"
            )
        self.inside = check_bool("inside", inside)
        if margin is None:
            margin = 0 if self.inside else 1
        self.margin = check_int("margin", margin, least=0)
        if centered is None:
            centered = not type(within[-1]).__name__.startswith("Binary")
        self.centered = check_bool("centered", centered)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        labels, regions = split_regions(y_true)
        logits, maps = y_pred, None
        if isinstance(y_pred, (list, tuple)):
            logits, maps = y_pred
        elif _STEP.running:
            maps, regions = _STEP.maps, _STEP.regions
        if maps is None and (regions is not None or not _STEP.running):
            raise ValueError(
                "RegionPenalty needs the class maps of an FA-CNN. Compile a "
                "`keras_facnn.FACNN` with it; in a custom training loop, call "
                'loss({"labels": labels, "regions": masks}, '
                "model.compute_class_maps(x, training=True)). Received: only "
                f"y_pred of shape {tuple(logits.shape)}"
            )
        losses = self.loss.call(labels, logits)
        if regions is None:
            return losses
        return self.add_penalty(
            losses, self.misplaced_evidence(labels, maps, regions)
        )

    def misplaced_evidence(self, labels: Any, maps: Any, regions: Any) -> Any:
        """Return the share of each image's evidence that is in a wrong place.

        This is the penalty of each image before `weight`.

        Args:
            labels: Integers `(B,)` or `(B, 1)`, or `(B, C)` of one or several
                labels per image. The shares of several classes are averaged,
                weighted by these values.
            maps: Class maps `(B, h, w, C)`.
            regions: Masks `(B, H, W)` of 0 to 1, or of NaN for an image without
                a region.

        Returns:
            A float32 tensor `(B,)` of 0 to 1. It is 0 for images without a
            region, and where no evidence is positive.

        Example:

        All evidence for class 0 is on the left:

        >>> import keras
        >>> import numpy as np
        >>> import keras_facnn
        >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> loss = keras_facnn.RegionPenalty(loss, inside=False, margin=0)
        >>> maps = np.zeros((1, 2, 2, 2), "float32")
        >>> maps[0, :, 0, 0] = 3.0
        >>> left = np.array([[[1.0, 0.0]]], "float32")
        >>> share = loss.misplaced_evidence(np.array([0]), maps, left)
        >>> keras.ops.convert_to_numpy(share).tolist()
        [1.0]
        """
        maps = ops.convert_to_tensor(maps, "float32")
        wrong, known = self.wrong_cells(regions, ops.shape(maps)[1:3])
        evidence, weights = self._evidence(labels, maps)
        positive = ops.relu(evidence)
        total = ops.sum(positive, axis=(1, 2))
        misplaced = ops.sum(positive * wrong[..., None], axis=(1, 2))
        values = ops.sum(ops.abs(evidence), axis=(1, 2))
        least = ops.stop_gradient(LEAST_SHARE * values) + LEAST_SUM
        shares = misplaced / ops.maximum(total, least)
        share = ops.divide_no_nan(
            ops.sum(weights * shares, axis=-1), ops.sum(weights, axis=-1)
        )
        return ops.where(known, share, ops.zeros_like(share))

    def wrong_cells(self, regions: Any, size: tuple[Any, Any]) -> Any:
        """Return where no evidence may lie, and which images have a region.

        Args:
            regions: Masks `(B, H, W)`, as in `misplaced_evidence`.
            size: `(h, w)` of the maps.

        Returns:
            A pair of tensors: the share of each cell `(B, h, w)` that is wrong,
            and booleans `(B,)`.
        """
        masks = ops.cast(ops.convert_to_tensor(regions), "float32")
        check_rank(masks)
        unknown = ops.isnan(masks)
        known = ops.logical_not(ops.any(unknown, axis=(1, 2)))
        masks = ops.where(unknown, ops.zeros_like(masks), masks)
        shares = widen(resize_by_area(masks, size), self.margin)
        return 1 - shares if self.inside else shares, known

    def _evidence(self, labels: Any, maps: Any) -> tuple[Any, Any]:
        """Return the evidence of some classes, and the weights of the classes.

        Returns:
            A pair of `(B, h, w, K)` and `(B, K)`. K is 1 for integer labels,
            which takes less time than all classes.
        """
        labels = ops.convert_to_tensor(labels)
        if len(labels.shape) == 2 and labels.shape[-1] == 1:
            labels = ops.squeeze(labels, -1)
        evidence, weights = maps, ops.cast(labels, "float32")
        if len(labels.shape) == 1:
            # A label that is ignored, such as -1, has only zeros.
            one_hot = ops.one_hot(
                ops.cast(labels, "int32"), maps.shape[-1], dtype="float32"
            )
            evidence = ops.einsum("bhwc,bc->bhw", maps, one_hot)[..., None]
            weights = ops.ones_like(one_hot[:, :1])
        if self.centered:
            evidence = evidence - ops.mean(maps, axis=-1, keepdims=True)
        return evidence, weights

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "inside": self.inside,
            "margin": self.margin,
            "centered": self.centered,
        }


def has_region_penalty(losses: Any) -> bool:
    """Return whether one of the losses of `compile` is a `RegionPenalty`."""
    return any(
        isinstance(one, RegionPenalty)
        for loss in keras.tree.flatten(losses)
        for one in losses_within(loss)
    )


class _Step(threading.local):
    """What an FA-CNN passes to the losses that Keras calls in this thread."""

    running = False
    maps: Any = None
    regions: Any = None


_STEP = _Step()


@contextlib.contextmanager
def passing_regions(maps: Any = None, regions: Any = None) -> Iterator[None]:
    """Pass the maps and regions of a batch to every `RegionPenalty`.

    Keras passes only labels and logits. Without regions, there is no penalty.

    Args:
        maps: Class maps `(B, h, w, C)`, or None.
        regions: Masks `(B, H, W)`, or None.
    """
    _STEP.running, _STEP.maps, _STEP.regions = True, maps, regions
    try:
        yield
    finally:
        _STEP.running, _STEP.maps, _STEP.regions = False, None, None
