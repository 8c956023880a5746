"""How Keras runs an FA-CNN: deep alignment, a loss that reads logits."""

import contextlib
import inspect
import math
import threading
import warnings
from collections.abc import Callable
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
from keras_facnn.training.losses import EvidencePenalty
from keras_facnn.types import Images
from keras_facnn.types import Labels


class DeepAlignment:
    """The training of a graph of FA layers, with or without deep alignment.

    For a functional `keras.Model` with layers `fa_l` and `head`, whose output
    is the head's, and with the attributes `num_layers` and `head`. The loss of
    a training step is `loss(y, logits) + sum_{l < L} v_l * loss(y, logits_l)`
    with `logits_l` what the head reads off FA layer `l` and
    `v_l = deep_alignment * l / (1 + ... + (L - 1))`.
    """

    num_layers: int
    head: Any

    @property
    def deep_alignment(self) -> float:
        """Weight of the deep alignment loss; 0 is off."""
        return self._deep_alignment

    @deep_alignment.setter
    def deep_alignment(self, weight):
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
    def _aligns(self):
        # A single FA layer has none before it to align.
        return self.deep_alignment > 0 and self.num_layers > 1

    # --- For loops of one's own ---

    def compute_layer_logits(
        self, images: Images, training: bool = False
    ) -> Any:
        """The class logits that the head reads off every FA layer, a tensor.

        Unlike `layer_logits` it can be differentiated: with
        `deep_alignment_loss` it is deep alignment in a training loop of one's
        own, and where the model is a part of another.

        Args:
            images: Tensor or array `(B, H, W, channels)`, 0..255.
            training: Whether the layers train: batch statistics are those of
                the batch, and stochastic depth is on.

        Returns:
            A float32 tensor `(B, L, C)`; `[:, -1]` are the model's logits.

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

        On TensorFlow the loss is computed within `tf.GradientTape() as tape`,
        and the step is `optimizer.apply(tape.gradient(loss, variables),
        variables)`. On JAX the values of the variables are arguments:

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
        *maps, logits = self._depths(images, training=training)
        return self._logits_of_depths(maps, logits)

    def deep_alignment_loss(
        self,
        y: Labels,
        layer_logits: Any,
        loss: Callable | None = None,
        sample_weight: Any = None,
    ) -> Any:
        """What deep alignment adds to the loss of the model's logits.

        Args:
            y: The labels, as `loss` takes them.
            layer_logits: What `compute_layer_logits` returned, `(B, L, C)`.
            loss: Function of labels and logits `(B, C)` to a loss, such as a
                `keras.losses.Loss` with `from_logits=True`. None is the loss
                that the model was compiled with.
            sample_weight: Optional third argument of `loss`.

        Returns:
            `sum_{l < L} v_l * loss(y, layer_logits[:, l - 1])`, where the
            weights `v_l` are in proportion to `l` and sum to
            `deep_alignment`; 0.0 where that is off.

        Raises:
            ValueError: If there is no `loss`.

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
                "`loss` must be a function of labels and logits; None is that "
                f"of `compile`. Received: loss={loss!r}"
            )
        if not self._aligns:
            return 0.0
        weighted = () if sample_weight is None else (sample_weight,)
        total = self.num_layers * (self.num_layers - 1) / 2
        return sum(
            self.deep_alignment
            * level
            / total
            * loss(y, layer_logits[:, level - 1], *weighted)
            for level in range(1, self.num_layers)
        )

    # --- What Keras calls ---

    def fit(self, x=None, y=None, *args, **kwargs):
        """As `keras.Model.fit`; images not in 0..255 and odd labels warn."""
        self._check_not_fused("fit")
        check_not_forked()
        warn_about_first_images(x)
        warn_about_first_labels(y, self.num_classes)
        with self._keeping_weights():
            return super().fit(x, y, *args, **kwargs)

    def train_on_batch(self, *args, **kwargs):
        self._check_not_fused("train_on_batch")
        return super().train_on_batch(*args, **kwargs)

    def _check_not_fused(self, method):
        if self.fused:
            raise RuntimeError(
                f"`{method}` needs the model that `fuse` was called on: a "
                "fused model has no norms left and is for inference only. "
                "Train that one, and fuse it again."
            )

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """As `keras.Model.evaluate`; odd images and labels warn as in `fit`."""
        check_not_forked()
        warn_about_first_images(x)
        warn_about_first_labels(y, self.num_classes)
        with self._keeping_weights():
            return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """As `keras.Model.predict`; images not in 0..255 warn."""
        check_not_forked()
        warn_about_first_images(x)
        with self._keeping_weights():
            return super().predict(x, *args, **kwargs)

    @contextlib.contextmanager
    def _keeping_weights(self):
        try:
            yield
        except BaseException:
            restore_values(self, self._untracked.held)
            raise
        finally:
            self._untracked.held = ()

    def _get_jax_state(self, **kwargs):
        # On JAX, Keras calls this to take the weights out of the model.
        self._untracked.held = collect_values(self)
        return super()._get_jax_state(**kwargs)

    def compile(self, optimizer="rmsprop", loss=None, *args, **kwargs):
        """As `keras.Model.compile`; a loss that wants probabilities warns."""
        warn_of_loss(loss, threshold=self.head.threshold)
        super().compile(optimizer, loss, *args, **kwargs)

    def compile_from_config(self, config):
        # Keras leaves this to those that override `compile`.
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def make_train_function(self, force=False):
        """As `keras.Model`; what PyTorch can't train soundly raises."""
        check_sound_gradients(self)
        return super().make_train_function(force)

    def train_step(self, *args, **kwargs):
        self._own_step.running = True
        try:
            return super().train_step(*args, **kwargs)
        finally:
            self._own_step.running = False
            self._own_step.left = None

    def _checked(self, x):
        # Keras checks no shape where it calls `call` itself, in each step on
        # JAX; nor one that TensorFlow doesn't know when it compiles.
        expected = (None, *self.inputs[0].shape[1:])
        found = (None, *x.shape[1:])
        if len(found) != len(expected):
            return x
        if any(
            None not in (a, b) and a != b
            for a, b in zip(found, expected, strict=True)
        ):
            raise ValueError(
                "The images must be of the shape that the model was made for, "
                f"{expected}; `keras_facnn.load_images(paths, model)` makes "
                f"them so. Received: images of shape {found}"
            )
        return ensure_shape(x, expected)

    @computes_graph
    def call(self, inputs, training=None, mask=None):
        inputs = tree.map_structure(self._checked, inputs)
        if not (training and self._aligns):
            return super().call(inputs, training=training, mask=mask)
        if not self._own_step.running:
            self._warn_once()
            return super().call(inputs, training=training, mask=mask)
        *maps, logits = self._depths(inputs, training=True)
        self._own_step.left = (logits, maps)
        return logits

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
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
                "`compile`, and a `y_pred` that is what the model's own "
                f"`train_step` just computed. {_OTHERWISE}"
            )
        return loss + self.deep_alignment_loss(
            y,
            self._logits_of_depths(maps, logits),
            sample_weight=sample_weight,
        )

    @property
    def _compiled_loss(self):
        # The public `loss` is what was given: a string, with no weights.
        return self._compile_loss

    def _depths(self, images, training):
        """The maps of FA layers 1..L - 1, and the logits."""
        # Keras gives the only output of a model as it is, in no list.
        return tree.flatten(self._untracked.depths(images, training=training))

    def _logits_of_depths(self, maps, logits):
        return ops.stack([*map(self.head.logits, maps), logits], axis=1)

    def _warn_once(self):
        if not self._own_step.told:
            self._own_step.told = True
            warnings.warn(
                f"deep_alignment={self.deep_alignment} does nothing here: it "
                "acts where the model itself is compiled and trained by its "
                f"own `fit`. {_OTHERWISE}",
                stacklevel=2,
            )


class _OwnStep(threading.local):
    """The train step that runs in this thread; each replica has its own."""

    running = False
    # The logits of its forward pass, and the maps before them.
    left = None
    told = False


_OTHERWISE = (
    "In a loop of your own, or where the model is a part of another, add "
    "`model.deep_alignment_loss(y, model.compute_layer_logits(x, "
    "training=True), loss)` to the loss; or set `model.deep_alignment = 0`."
)


def warn_of_loss(loss, threshold: bool) -> None:
    """Warns of a loss that cannot mean what it says of an FA-CNN's outputs.

    Args:
        loss: What `compile` takes.
        threshold: Whether the head has one, so that logits can be negative.
    """
    for given in tree.flatten(loss):
        within = ""
        while isinstance(given, EvidencePenalty):
            given, within = given.loss, "within EvidencePenalty "
        name, from_logits = _read_loss(given)
        if from_logits is False:
            warnings.warn(
                f"The outputs of an FA-CNN are logits, and `loss={given!r}` "
                f"takes them for probabilities. Write {within}"
                f"loss=keras.losses.{name}(from_logits=True).",
                stacklevel=3,
            )
        if name.startswith("Binary") and not threshold:
            warnings.warn(
                "No logit of this FA-CNN is negative, so a sigmoid says of no "
                "class that it is absent. For several labels an image, write "
                "FACNN(..., threshold=True).",
                stacklevel=3,
            )


def _read_loss(loss):
    """The Keras class' name of a loss, and its `from_logits` if it has one."""
    if isinstance(loss, str):
        if loss in ("crossentropy", "ce"):
            return "SparseCategoricalCrossentropy", False
        try:
            loss = keras.losses.get(loss)
        except ValueError:
            return loss, None
    if isinstance(loss, keras.losses.Loss):
        return type(loss).__name__, getattr(loss, "from_logits", None)
    try:
        from_logits = inspect.signature(loss).parameters["from_logits"].default
    except (TypeError, ValueError, KeyError):
        from_logits = None
    name = getattr(loss, "__name__", "")
    return name.title().replace("_", ""), from_logits
