"""Training of an FA-CNN with Keras, with deep alignment."""

import contextlib
import math
import threading
import types
import warnings
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops
from keras import tree

from keras_facnn._backend.forking import check_not_forked
from keras_facnn._backend.soundness import check_sound_gradients
from keras_facnn._backend.tensors import ensure_shape
from keras_facnn._backend.values import collect_values
from keras_facnn._backend.values import restore_values
from keras_facnn._checks.images import warn_about_first_images
from keras_facnn._checks.images import warn_about_first_labels
from keras_facnn._checks.numbers import is_number
from keras_facnn._graph.nodes import check_graph_model
from keras_facnn._graph.nodes import computes_graph
from keras_facnn.keras_model import KerasModel
from keras_facnn.training.loss_warnings import warn_about_loss
from keras_facnn.types import Images
from keras_facnn.types import Labels

_OTHERWISE = (
    "In a custom training loop, or if the model is a part of another model, "
    "add `model.deep_alignment_loss(y, model.compute_layer_logits(x, "
    "training=True), loss)` to the loss, or set `model.deep_alignment = 0`."
)


class DeepAlignment(KerasModel):
    """A graph of FA layers that trains, optionally with deep alignment.

    A subclass has the attributes `num_classes`, `num_layers`, `head` and
    `fused`. The loss of a training step is
    `loss(y, logits) + sum_{l < L} v_l * loss(y, logits_l)`. Here `logits_l`
    are the logits that the head computes from the maps of FA layer `l`, and
    `v_l = deep_alignment * l / (1 + ... + (L - 1))`.

    Args:
        inputs: Keras tensor of the images.
        outputs: Keras tensor of the logits, the output of the layer `head`.
        num_layers: L, the number of FA layers, which are named `fa_l`.
        deep_alignment: The weight of the deep alignment loss.
        **kwargs: Those of `keras.Model`.
    """

    num_classes: int
    num_layers: int
    head: Any
    fused: bool

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        num_layers: int,
        deep_alignment: float,
        **kwargs: Any,
    ):
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        maps = [
            self.get_layer(f"fa_{layer}").output
            for layer in range(1, num_layers)
        ]
        # Keras would track this model, and save its weights twice.
        self._untracked = types.SimpleNamespace(
            maps_and_logits=keras.Model(self.input, [*maps, *self.outputs]),
            # On JAX, the values that Keras has taken out of the model.
            held=(),
        )
        self.deep_alignment = deep_alignment

    @property
    def deep_alignment(self) -> float:
        """Weight of the deep alignment loss; 0 turns it off."""
        return self._deep_alignment

    @deep_alignment.setter
    def deep_alignment(self, weight: float) -> None:
        if not is_number(weight) or not 0 <= weight < math.inf:
            raise ValueError(
                "`deep_alignment` must be a non-negative number. "
                f"Received: deep_alignment={weight!r}"
            )
        self._deep_alignment = float(weight)
        self._own_step = _OwnStep()
        # A train function that is already traced holds the old weight.
        self.train_function = None

    @property
    def _aligns(self) -> bool:
        # With a single FA layer, there is no earlier layer to align.
        return self.deep_alignment > 0 and self.num_layers > 1

    # --- For custom training loops ---

    def compute_layer_logits(
        self, images: Images, training: bool = False
    ) -> Any:
        """Return the logits that the head computes from every FA layer.

        Unlike `layer_logits`, this method returns a tensor through which
        gradients flow. Together with `deep_alignment_loss`, it gives deep
        alignment in a custom training loop, or where the model is a part of
        another model.

        Args:
            images: Tensor or array `(B, H, W, channels)`, 0..255.
            training: Whether to run the layers in training mode. They then
                use the statistics of the batch and apply stochastic depth.

        Returns:
            A float32 tensor `(B, L, C)`. `[:, -1]` are the model's logits.

        Example:

        One step of a loop, on PyTorch:

        ```python
        loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        logits = model.compute_layer_logits(x, training=True)
        loss = loss_fn(y, logits[:, -1])
        loss = loss + model.deep_alignment_loss(y, logits, loss_fn)
        model.zero_grad()
        loss.backward()
        variables = model.trainable_variables
        with torch.no_grad():
            optimizer.apply([v.value.grad for v in variables], variables)
        ```

        On TensorFlow, compute the loss inside `tf.GradientTape() as tape`.
        Then call `optimizer.apply(tape.gradient(loss, variables), variables)`.
        On JAX, pass the values of the variables as arguments:

        ```python
        def loss_and_state(trained, state, x, y):
            mapping = [
                *zip(model.trainable_variables, trained),
                *zip(model.non_trainable_variables, state),
            ]
            with keras.StatelessScope(mapping) as scope:
                logits = model.compute_layer_logits(x, training=True)
                loss = loss_fn(y, logits[:, -1])
                loss = loss + model.deep_alignment_loss(y, logits, loss_fn)
            return loss, [
                scope.get_current_value(v)
                for v in model.non_trainable_variables
            ]

        @jax.jit
        def step(trained, state, optimizer_state, x, y):
            (loss, state), gradients = jax.value_and_grad(
                loss_and_state, has_aux=True
            )(trained, state, x, y)
            trained, optimizer_state = optimizer.stateless_apply(
                optimizer_state, gradients, trained
            )
            return loss, trained, state, optimizer_state
        ```

        >>> import numpy as np
        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> images = np.zeros((4, 32, 32, 3), "float32")
        >>> tuple(model.compute_layer_logits(images, training=True).shape)
        (4, 2, 10)
        """
        check_graph_model(self)
        *maps, logits = self._maps_and_logits(images, training=training)
        return self._layer_logits(maps, logits)

    def deep_alignment_loss(
        self,
        y: Labels,
        layer_logits: Any,
        loss: Callable | None = None,
        sample_weight: Any = None,
    ) -> Any:
        """Return the term that deep alignment adds to the model's loss.

        Args:
            y: The labels, in the format that `loss` expects.
            layer_logits: The result of `compute_layer_logits`, `(B, L, C)`.
            loss: Function that takes labels and logits `(B, C)` and returns a
                loss, such as a `keras.losses.Loss` with `from_logits=True`.
                If None, the loss that the model was compiled with.
            sample_weight: Optional third argument of `loss`.

        Returns:
            `sum_{l < L} v_l * loss(y, layer_logits[:, l - 1])`. The weights
            `v_l` are proportional to `l` and sum to `deep_alignment`. The
            result is 0.0 if deep alignment is off.

        Raises:
            ValueError: If `loss` is None and the model is not compiled with a
                loss, or if `loss` is not callable.

        Example:

        >>> import keras
        >>> import numpy as np
        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(
        ...     10, depths=(2,), maps_per_class=(1,), deep_alignment=0.5
        ... )
        >>> x, y = np.zeros((4, 32, 32, 3), "float32"), np.array([1, 2, 3, 4])
        >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> logits = model.compute_layer_logits(x)
        >>> added = model.deep_alignment_loss(y, logits, loss)
        >>> round(float(keras.ops.convert_to_numpy(added)), 3)
        1.151
        """
        if loss is None:
            loss = self._compiled_loss
        if not callable(loss):
            raise ValueError(
                "`loss` must be a function of labels and logits, or None if "
                f"`compile` was called with one. Received: loss={loss!r}"
            )
        if not self._aligns:
            return 0.0
        weighted = () if sample_weight is None else (sample_weight,)
        total = self.num_layers * (self.num_layers - 1) / 2
        return sum(
            self.deep_alignment
            * layer
            / total
            * loss(y, layer_logits[:, layer - 1], *weighted)
            for layer in range(1, self.num_layers)
        )

    # --- Methods that Keras calls ---

    def fit(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Call `keras.Model.fit`, and warn about unusual images and labels.

        Images should be in 0..255, and labels should be class indices.
        """
        self._check_not_fused("fit")
        check_not_forked()
        warn_about_first_images(x)
        warn_about_first_labels(y, self.num_classes)
        with self._keeping_weights():
            return super().fit(x, y, *args, **kwargs)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Call `keras.Model.train_on_batch`."""
        self._check_not_fused("train_on_batch")
        return super().train_on_batch(*args, **kwargs)

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
        check_not_forked()
        warn_about_first_images(x)
        warn_about_first_labels(y, self.num_classes)
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
        """Make the train function, unless PyTorch cannot train the model.

        Raises:
            RuntimeError: If PyTorch would compute wrong gradients.
        """
        check_sound_gradients(self)
        return super().make_train_function(force)

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        self._own_step.running = True
        try:
            return super().train_step(*args, **kwargs)
        finally:
            self._own_step.running = False
            self._own_step.left = None

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
        if not (training and self._aligns):
            return super().call(inputs, training=training, mask=mask)
        if not self._own_step.running:
            self._warn_once()
            return super().call(inputs, training=training, mask=mask)
        *maps, logits = self._maps_and_logits(inputs, training=True)
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
        loss = super().compute_loss(
            x=x,
            y=y,
            y_pred=y_pred,
            sample_weight=sample_weight,
            training=training,
        )
        if not (training and self._aligns):
            return loss
        logits, maps = self._own_step.left or (None, None)
        self._own_step.left = None
        if logits is None or y_pred is not logits or not self._compiled_loss:
            raise ValueError(
                f"deep_alignment={self.deep_alignment} needs a loss from "
                "`compile`, and a `y_pred` which the model's `train_step` "
                f"has just computed. {_OTHERWISE}"
            )
        return loss + self.deep_alignment_loss(
            y,
            self._layer_logits(maps, logits),
            sample_weight=sample_weight,
        )

    @property
    def _compiled_loss(self) -> Any:
        # The public `loss` can be a string, and it has no loss weights.
        return self._compile_loss  # type: ignore[attr-defined]

    def _maps_and_logits(self, images: Any, training: bool) -> list[Any]:
        """Return the maps of FA layers 1..L - 1, followed by the logits."""
        # Keras returns a single output without a list around it.
        outputs = self._untracked.maps_and_logits(images, training=training)
        return tree.flatten(outputs)

    def _layer_logits(self, maps: Sequence[Any], logits: Any) -> Any:
        """Return logits of all FA layers, given the maps before the last."""
        return ops.stack([*map(self.head.logits, maps), logits], axis=1)

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
    """State of the train step in this thread; each replica has its own."""

    running = False
    # The logits of its forward pass, and the maps of the earlier layers.
    left: tuple | None = None
    warned = False
