"""Refuse to train where a backend computes wrong gradients."""

import os
import platform

import keras

# Of each backend that computes these gradients with oneDNN: its name, the
# dtypes in which it does so, and what turns oneDNN off.
_BACKENDS = {
    "torch": (
        "PyTorch",
        ("float32",),
        "torch.backends.mkldnn.set_flags(False)",
    ),
    "tensorflow": (
        "TensorFlow",
        ("float32", "bfloat16"),
        "the environment variable TF_ENABLE_ONEDNN_OPTS=0",
    ),
}


def check_sound_gradients(model: keras.Model) -> None:
    """Raise if a backend would write to invalid memory while the model trains.

    oneDNN computes the gradient of the kernel of a strided 1x1 convolution on
    channels-last maps. It then writes outside of its workspace on x86 CPUs: for
    fewer than 8 input channels on CPUs without AVX-512, and for fewer than 16
    on CPUs with it. The process ends at some later time, hangs, or trains with
    wrong gradients. All tested versions of PyTorch do so: 2.6, 2.7, 2.8, 2.9,
    2.10, 2.11, 2.12, 2.13, 2.14 and 2.15, with AVX2 and with AVX-512.
    TensorFlow 2.21 does so where it uses oneDNN, also in bfloat16. See
    https://github.com/uxlfoundation/oneDNN/issues/6035.

    Args:
        model: A `keras.Model`, whose layers may be models.
    """
    backend = keras.backend.backend()
    if backend not in _BACKENDS or not _uses_onednn(model):
        return
    name, dtypes, off = _BACKENDS[backend]
    unsound = _strided_pointwise_layers(model, dtypes)
    if unsound:
        raise RuntimeError(
            f"On CPU, {name} corrupts memory as it trains a convolution of "
            "1x1 with strides on fewer than 16 channels (oneDNN issue 6035). "
            f"Such are the layers {', '.join(unsound)}. Freeze them; or put "
            "keras.layers.MaxPooling2D(1, strides) before each and give it "
            "strides=1, which computes the same with the same weights; or use "
            f"the JAX backend; or turn oneDNN off by {off}, which is slower."
        )


def _uses_onednn(model: keras.Model) -> bool:
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    if keras.backend.backend() == "tensorflow":
        return _tensorflow_uses_onednn()
    import torch

    return (
        torch.backends.mkldnn.is_available()
        and bool(torch.backends.mkldnn.enabled)
        and any(v.value.device.type == "cpu" for v in model.trainable_variables)
    )


def _tensorflow_uses_onednn() -> bool:
    import tensorflow as tf

    if tf.config.list_logical_devices("GPU"):
        return False
    try:
        # There is no public function.
        from tensorflow.python.util import _pywrap_util_port

        return bool(_pywrap_util_port.IsMklEnabled())
    except (ImportError, AttributeError):
        return os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0"


def _strided_pointwise_layers(
    model: keras.Model, dtypes: tuple[str, ...]
) -> list[str]:
    """Return the names of the trainable layers with unsound gradients.

    Other code computes layers in other dtypes, in groups or with channels
    first.
    """
    names = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            names += _strided_pointwise_layers(layer, dtypes)
        elif (
            isinstance(layer, keras.layers.Conv2D)
            and layer.trainable
            and layer.kernel_size == (1, 1)
            and max(layer.strides) > 1
            and layer.groups == 1
            and layer.data_format == "channels_last"
            and layer.compute_dtype in dtypes
            and layer.kernel.shape[2] < 16
        ):
            names.append(layer.name)
    return names
