"""Refuse to train where a backend computes wrong gradients."""

import platform

import keras


def check_sound_gradients(model: keras.Model) -> None:
    """Raise if PyTorch would write to invalid memory while the model trains.

    oneDNN computes the gradient of the kernel of a strided 1x1 convolution on
    channels-last maps. It then writes outside of its workspace on x86 CPUs: for
    fewer than 8 input channels on CPUs without AVX-512, and for fewer than 16
    on CPUs with it. The process ends at some later time, hangs, or trains with
    wrong gradients. All tested versions of PyTorch do so: 2.6, 2.7, 2.8, 2.9,
    2.10, 2.11, 2.12, 2.13, 2.14 and 2.15, with AVX2 and with AVX-512. See
    https://github.com/uxlfoundation/oneDNN/issues/6035.

    Args:
        model: A `keras.Model`, whose layers may be models.
    """
    if keras.backend.backend() != "torch" or not _uses_onednn(model):
        return
    unsound = _strided_pointwise_layers(model)
    if unsound:
        raise RuntimeError(
            "On CPU, PyTorch corrupts memory as it trains a convolution of "
            "1x1 with strides on fewer than 16 channels (oneDNN issue 6035). "
            f"Such are the layers {', '.join(unsound)}. Freeze them; or put "
            "keras.layers.MaxPooling2D(1, strides) before each and give it "
            "strides=1, which computes the same with the same weights; or use "
            "the TensorFlow or JAX backend; or turn oneDNN off by "
            "torch.backends.mkldnn.set_flags(False), which is slower."
        )


def _uses_onednn(model: keras.Model) -> bool:
    import torch

    return (
        platform.machine() in ("x86_64", "AMD64")
        and torch.backends.mkldnn.is_available()
        and bool(torch.backends.mkldnn.enabled)
        and any(v.value.device.type == "cpu" for v in model.trainable_variables)
    )


def _strided_pointwise_layers(model: keras.Model) -> list[str]:
    """Return the names of the trainable layers with unsound gradients.

    Other code computes layers in bfloat16, in groups or with channels first.
    """
    names = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            names += _strided_pointwise_layers(layer)
        elif (
            isinstance(layer, keras.layers.Conv2D)
            and layer.trainable
            and layer.kernel_size == (1, 1)
            and max(layer.strides) > 1
            and layer.groups == 1
            and layer.data_format == "channels_last"
            and layer.compute_dtype == "float32"
            and layer.kernel.shape[2] < 16
        ):
            names.append(layer.name)
    return names
