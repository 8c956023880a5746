"""Tensors of the layers of an FA-CNN, for training loops of one's own."""

import math
import types
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_facnn._checks.numbers import is_number
from keras_facnn._graph.nodes import check_graph_model
from keras_facnn.keras_model import KerasModel
from keras_facnn.training.region_penalty import passing_regions
from keras_facnn.training.regions import split_regions
from keras_facnn.types import Images
from keras_facnn.types import Labels


class CustomLoops(KerasModel):
    """A graph of FA layers with methods for custom training loops.

    A subclass has the attributes `num_classes`, `num_layers`, `head` and
    `fused`.

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
        outputs = [self.get_layer("head").input, *self.outputs]
        # Keras would track these models, and save their weights again.
        self._untracked = types.SimpleNamespace(
            all_maps=keras.Model(self.input, [*maps, *outputs]),
            last_maps=keras.Model(self.input, outputs),
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
        # A train function that is already traced holds the old weight.
        self.train_function = None

    @property
    def _aligns(self) -> bool:
        # With a single FA layer, there is no earlier layer to align.
        return self.deep_alignment > 0 and self.num_layers > 1

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
        maps, logits = self._maps_and_logits(images, training, every=True)
        return self._layer_logits(maps, logits)

    def compute_class_maps(
        self, images: Images, training: bool = False
    ) -> tuple[Any, Any]:
        """Return the logits and the class maps of the last FA layer.

        Unlike `predict_with_maps`, this method returns tensors through which
        gradients flow. Pass them to a `RegionPenalty` in a custom training
        loop, or to a loss of your own.

        Args:
            images: Tensor or array `(B, H, W, channels)`, 0..255.
            training: Whether to run the layers in training mode. They then
                use the statistics of the batch and apply stochastic depth.

        Returns:
            A pair of float32 tensors: logits `(B, C)` and class maps
            `(B, h, w, C)`. The maps are not centered.

        Example:

        One step of a loop, on PyTorch. For other backends, see
        `compute_layer_logits`.

        ```python
        loss_fn = keras_facnn.RegionPenalty(
            keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        y = {"labels": labels, "regions": masks}
        loss = loss_fn(y, model.compute_class_maps(x, training=True))
        model.zero_grad()
        loss.backward()
        variables = model.trainable_variables
        with torch.no_grad():
            optimizer.apply([v.value.grad for v in variables], variables)
        ```

        >>> import numpy as np
        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> images = np.zeros((4, 32, 32, 3), "float32")
        >>> logits, maps = model.compute_class_maps(images, training=True)
        >>> tuple(logits.shape), tuple(maps.shape)
        ((4, 10), (4, 32, 32, 10))
        """
        check_graph_model(self)
        (maps,), logits = self._maps_and_logits(images, training)
        return logits, self.head.class_maps(maps)

    def deep_alignment_loss(
        self,
        y: Labels,
        layer_logits: Any,
        loss: Callable | None = None,
        sample_weight: Any = None,
    ) -> Any:
        """Return the term that deep alignment adds to the model's loss.

        Args:
            y: The labels, in the format that `loss` expects. Regions beside
                them have no effect here.
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
        labels, _ = split_regions(y)
        weighted = () if sample_weight is None else (sample_weight,)
        total = self.num_layers * (self.num_layers - 1) / 2
        with passing_regions():
            return sum(
                self.deep_alignment
                * layer
                / total
                * loss(labels, layer_logits[:, layer - 1], *weighted)
                for layer in range(1, self.num_layers)
            )

    @property
    def _compiled_loss(self) -> Any:
        # The public `loss` can be a string, and it has no loss weights.
        return self._compile_loss  # type: ignore[attr-defined]

    def _maps_and_logits(
        self, images: Any, training: bool | None, every: bool = False
    ) -> tuple[list[Any], Any]:
        """Return the maps of all FA layers, or of the last, and the logits."""
        graphs = self._untracked
        graph = graphs.all_maps if every else graphs.last_maps
        *maps, logits = graph(images, training=training)
        return maps, logits

    def _layer_logits(self, maps: Sequence[Any], logits: Any) -> Any:
        """Return logits of all FA layers, given the maps of all of them."""
        earlier = [self.head.logits(x) for x in maps[:-1]]
        return ops.stack([*earlier, logits], axis=1)
