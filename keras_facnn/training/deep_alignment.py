"""Training of an FA-CNN with Keras, with deep alignment and regions."""

import contextlib
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import keras
from keras import tree

from keras_facnn._backend.forking import check_not_forked
from keras_facnn._backend.soundness import check_sound_gradients
from keras_facnn._backend.tensors import ensure_shape
from keras_facnn._backend.values import collect_values
from keras_facnn._backend.values import restore_values
from keras_facnn._checks.images import warn_about_first_images
from keras_facnn._checks.images import warn_about_first_labels
from keras_facnn._graph.nodes import computes_graph
from keras_facnn.training.custom_loops import CustomLoops
from keras_facnn.training.loss_warnings import warn_about_loss
from keras_facnn.training.region_penalty import has_region_penalty
from keras_facnn.training.region_penalty import passing_regions
from keras_facnn.training.regions import check_first_regions
from keras_facnn.training.regions import has_regions
from keras_facnn.training.regions import split_regions
from keras_facnn.training.regions import weights_of_labels

_OTHERWISE = (
    "In a custom training loop, or if the model is a part of another model, "
    "add `model.deep_alignment_loss(y, model.compute_layer_logits(x, "
    "training=True), loss)` to the loss, or set `model.deep_alignment = 0`."
)


class DeepAlignment(CustomLoops):
    """A graph of FA layers that trains, maybe with deep alignment and regions.

    The loss of a training step is
    `loss(y, logits) + sum_{l < L} v_l * loss(y, logits_l)`. Here `logits_l`
    are the logits that the head computes from the maps of FA layer `l`, and
    `v_l = deep_alignment * l / (1 + ... + (L - 1))`. A `RegionPenalty` gets the
    maps of the last layer from the same forward pass.

    Args:
        *args, **kwargs: Those of `CustomLoops`.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._own_step = _OwnStep()
        # On JAX, the values that Keras has taken out of the model.
        self._untracked.held = ()

    @property
    def _penalizes_regions(self) -> bool:
        return has_region_penalty(getattr(self, "loss", None))

    # --- Methods that Keras calls ---

    def fit(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Call `keras.Model.fit`, and warn about unusual images and labels.

        Images should be in 0..255, and labels should be class indices. For a
        `RegionPenalty`, `y` is `{"labels": labels, "regions": masks}`.
        """
        self._check_not_fused("fit")
        self._check_class_weight(y, kwargs.get("class_weight"))
        self._check_first(x, y, training=True)
        with self._keeping_weights():
            return super().fit(x, y, *args, **kwargs)

    def train_on_batch(
        self, x: Any, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Call `keras.Model.train_on_batch`."""
        self._check_not_fused("train_on_batch")
        self._check_class_weight(y, kwargs.get("class_weight"))
        self._check_regions(y, training=True)
        return super().train_on_batch(x, y, *args, **kwargs)

    def _check_first(self, x: Any, y: Any, training: bool) -> None:
        check_not_forked()
        warn_about_first_images(x)
        labels, _ = split_regions(y)
        warn_about_first_labels(labels, self.num_classes)
        self._check_regions(y, training)

    def _check_regions(self, y: Any, training: bool) -> None:
        # After an error while TensorFlow compiles, the next call fails, too.
        if y is not None:
            self._check_penalty_fits(y, training)
            check_first_regions(y)

    def _check_class_weight(self, y: Any, class_weight: Any) -> None:
        # Keras would look for the classes in the dict of labels and regions.
        in_dataset = y is None and self._penalizes_regions
        if class_weight is not None and (has_regions(y) or in_dataset):
            raise ValueError(
                "`class_weight` does not work with regions. Pass one weight "
                "per image instead, such as sample_weight=np.array("
                "[class_weight[label] for label in labels]). "
                f"Received: class_weight={class_weight!r}"
            )

    def _check_not_fused(self, method: str) -> None:
        if self.fused:
            raise RuntimeError(
                f"`{method}` does not work on a fused model: it has no norms "
                "and is for inference only. Train the model that `fuse` was "
                "called on, and fuse it again."
            )

    def evaluate(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Call `keras.Model.evaluate`, and warn as `fit` does."""
        self._check_first(x, y, training=False)
        with self._keeping_weights():
            return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Call `keras.Model.predict`, and warn if images are not in 0..255."""
        check_not_forked()
        warn_about_first_images(x)
        with self._keeping_weights():
            return super().predict(x, *args, **kwargs)

    @contextlib.contextmanager
    def _keeping_weights(self) -> Iterator[None]:
        """Put the weights back if Keras fails while it holds them."""
        try:
            yield
        except BaseException:
            restore_values(self, self._untracked.held)
            raise
        finally:
            self._untracked.held = ()

    def _get_jax_state(self, **kwargs: Any) -> Any:
        # On JAX, Keras calls this method before it moves the weights out of
        # the model.
        self._untracked.held = collect_values(self)
        return super()._get_jax_state(**kwargs)  # type: ignore[misc]

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Call `keras.Model.compile`, and warn if `loss` does not fit.

        The outputs of an FA-CNN are logits, but some losses expect
        probabilities.
        """
        warn_about_loss(loss, threshold=self.head.threshold)
        super().compile(optimizer, loss, *args, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        # Keras requires this method of classes that override `compile`.
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def make_train_function(self, force: bool = False) -> Any:
        """Make the train function, unless the backend cannot train the model.

        Raises:
            RuntimeError: If the backend would compute wrong gradients.
        """
        check_sound_gradients(self)
        return super().make_train_function(force)

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        with self._own_step.run():
            return super().train_step(*args, **kwargs)

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        with self._own_step.run():
            return super().test_step(*args, **kwargs)

    def _checked(self, x: Any) -> Any:
        """Return images of the model's input shape, or raise."""
        # Keras does not check the shape where it calls `call` directly, as in
        # each training step on JAX. It does not check dimensions that
        # TensorFlow does not know when it compiles, either.
        expected = (None, *self.inputs[0].shape[1:])
        found = (None, *x.shape[1:])
        if len(found) != len(expected):
            return x
        if any(
            None not in (a, b) and a != b
            for a, b in zip(found, expected, strict=True)
        ):
            raise ValueError(
                f"The images must have the model's input shape, {expected}. "
                "`keras_facnn.load_images(paths, model)` returns such images. "
                f"Received: images of shape {found}"
            )
        return ensure_shape(x, expected)

    @computes_graph
    def call(
        self, inputs: Any, training: bool | None = None, mask: Any = None
    ) -> Any:
        inputs = tree.map_structure(self._checked, inputs)
        aligns = bool(training) and self._aligns
        if not self._own_step.running:
            if aligns:
                self._warn_once()
            return super().call(inputs, training=training, mask=mask)
        if not (aligns or self._penalizes_regions):
            return super().call(inputs, training=training, mask=mask)
        maps, logits = self._maps_and_logits(inputs, training, every=aligns)
        self._own_step.left = (logits, maps)
        return logits

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        labels, regions = split_regions(y)
        sample_weight = weights_of_labels(sample_weight)
        self._check_penalty_fits(y, training)
        maps = self._left_maps(y_pred)
        if maps is None and regions is not None:
            maps = self._maps_again(x, training)
        class_maps = None if regions is None else self.head.class_maps(maps[-1])
        with passing_regions(class_maps, regions):
            loss = super().compute_loss(
                x=x,
                y=labels,
                y_pred=y_pred,
                sample_weight=sample_weight,
                training=training,
            )
        if not (training and self._aligns):
            return loss
        if maps is None or not self._compiled_loss:
            raise ValueError(
                f"deep_alignment={self.deep_alignment} needs a loss from "
                "`compile`, and a `y_pred` which the model's `train_step` "
                f"has just computed. {_OTHERWISE}"
            )
        return loss + self.deep_alignment_loss(
            labels,
            self._layer_logits(maps, y_pred),
            sample_weight=sample_weight,
        )

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> Any:
        labels, _ = split_regions(y)
        weights = weights_of_labels(sample_weight)
        return super().compute_metrics(x, labels, y_pred, weights)

    def _check_penalty_fits(self, y: Any, training: bool) -> None:
        """Raise if there is a penalty without regions, or regions without."""
        if has_regions(y) and not self._penalizes_regions:
            raise ValueError(
                "`y` has regions, but the loss of `compile` does not read "
                "them. Compile with keras_facnn.RegionPenalty(loss), or pass "
                f"only the labels as `y`. Received: loss={self.loss!r}"
            )
        if training and self._penalizes_regions and not has_regions(y):
            raise ValueError(
                "RegionPenalty needs regions in training. Pass "
                'y={"labels": labels, "regions": masks}, with masks (B, H, W) '
                "of NaN for images without a region. Received: only labels"
            )

    def _left_maps(self, y_pred: Any) -> Any:
        """Return the maps that this step's forward pass left, or None."""
        logits, maps = self._own_step.left or (None, None)
        self._own_step.left = None
        return maps if y_pred is logits else None

    def _maps_again(self, x: Any, training: bool) -> Any:
        """Return maps where the forward pass was not that of a step."""
        if training:
            raise ValueError(
                "RegionPenalty needs a `y_pred` which the model's `train_step` "
                "has just computed. In a custom training loop, call the loss "
                "with `model.compute_class_maps(x, training=True)`"
            )
        maps, _ = self._maps_and_logits(x, training=False)
        return maps

    def _warn_once(self) -> None:
        if not self._own_step.warned:
            self._own_step.warned = True
            warnings.warn(
                f"deep_alignment={self.deep_alignment} has no effect here. It "
                "only works if this model is compiled and trained with its "
                f"own `fit`. {_OTHERWISE}",
                stacklevel=2,
            )


class _OwnStep(threading.local):
    """State of the step in this thread; each replica has its own."""

    running = False
    # The logits of its forward pass, and the maps of the layers.
    left: tuple | None = None
    warned = False

    @contextlib.contextmanager
    def run(self) -> Iterator[None]:
        self.running = True
        try:
            yield
        finally:
            self.running = False
            self.left = None
