"""Folds norm and branch weights into convolutions, for inference."""

import copy
from typing import Self

import numpy as np
from keras import ops

from keras_facnn._backend.gradients import read_values
from keras_facnn.architecture.graph import finalize_layers
from keras_facnn.presets.save import told_of


class Fusing:
    """The method that fuses a model, and what a fused one refuses.

    For a `FACNN`, whose attribute `fused` says whether it is.
    """

    def fuse(self) -> Self:
        """The same model for inference, norm folded into the convolutions.

        Since `a * relu(z) = relu(a * z)`, norm and `a_l` of FA layer `l` go
        into kernel and bias of `conv_l`, and `x_l = (1 - a_l) * x_{l-1} +
        relu_l`: the same numbers with fewer passes over memory. There are no
        layers `norm_l`, and `relu_l` puts out `a_l` times the branch; all
        other names, maps, evidence and logits stay, as do `class_names` and
        what holds of `preset_metadata`. The weights are copies.

        Returns:
            A `FACNN` that predicts, explains, saves and loads as this one, and
            does not train (`compile` is there for `evaluate`).

        Example:

        >>> import numpy as np
        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> fused = model.fuse()
        >>> images = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3))
        >>> a, b = (m.predict(images, verbose=0) for m in (model, fused))
        >>> bool(np.allclose(a, b, atol=1e-4))
        True
        """
        return _fuse(self)

    def fit(self, *args, **kwargs):
        self._refuse_fused("fit")
        return super().fit(*args, **kwargs)

    def train_on_batch(self, *args, **kwargs):
        self._refuse_fused("train_on_batch")
        return super().train_on_batch(*args, **kwargs)

    def _refuse_fused(self, method):
        if self.fused:
            raise RuntimeError(
                f"`{method}` needs the model that `fuse` was called on: a "
                "fused one has no norm left and is for inference alone. Train "
                "that one, and fuse it again."
            )


def _fuse(model):
    """A copy of a `FACNN` for inference; see `Fusing.fuse`.

    `a * relu(g * (w * x - m) / sqrt(v + eps) + b)` is `relu(w' * x + b')` with
    `w' = a * g / sqrt(v + eps) * w` and `b' = a * (b - g * m / sqrt(v + eps))`,
    computed in float64.

    Args:
        model: A `FACNN`.
    """
    read_values(model.variables)
    fused = type(model).from_config(
        {
            **model.get_config(),
            "fused": True,
            "deep_alignment": 0.0,
            "stochastic_depth": 0.0,
        }
    )
    folds = {
        f"conv_{level}": (f"norm_{level}", alpha)
        for level, alpha in enumerate(model.alphas, start=1)
    }
    if model.backbone is not None:
        folds["project"] = ("project_norm", 1.0)
    if not model.fused:
        for name, (norm, alpha) in folds.items():
            fused.get_layer(name).set_weights(
                _folded(model.get_layer(name), model.get_layer(norm), alpha)
            )
    for layer in fused.layers:
        if model.fused or layer.name not in folds:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    finalize_layers(fused)
    fused.preset_metadata = copy.deepcopy(told_of(model))
    # Said as of now; folded weights are others than those of the preset, and
    # are not trained.
    fused._untracked.weights_at_load = None
    return fused


def _folded(conv, norm, alpha):
    """Kernel and bias of `alpha` times what comes out of a norm."""

    def array(variable):
        # NumPy knows no bfloat16.
        variable = ops.cast(variable, "float32")
        return ops.convert_to_numpy(variable).astype("float64")

    gain = alpha / np.sqrt(array(norm.moving_variance) + norm.epsilon)
    if norm.scale:
        gain = gain * array(norm.gamma)
    bias = alpha * array(norm.beta) - gain * array(norm.moving_mean)
    return [
        (array(conv.kernel) * gain).astype("float32"),
        bias.astype("float32"),
    ]
