"""The one place where backends differ: the gradient of a function."""

import keras
from keras import ops


def gradient_function(fn):
    """Compiles the gradient of a function with respect to its first argument.

    Args:
        fn: Function of tensors to one tensor, made of `keras.ops` and Keras
            layers. It must not change any variable. The values that variables
            have at the first call are compiled in on some backends.

    Returns:
        A function of the same arguments (arrays or tensors), which returns the
        gradient of `sum(fn(x, *args))` with respect to `x`, a tensor of the
        shape of `x`.

    Example:

    >>> gradient = keras_facnn.gradients.gradient_function(lambda x: x * x)
    >>> np.array(gradient(np.array([1.0, 2.0], "float32"))).tolist()
    [2.0, 4.0]
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        @tf.function(reduce_retracing=True)
        def gradient(x, *args):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = fn(x, *args)
            return tape.gradient(y, x)

    elif backend == "jax":
        import jax

        gradient = jax.jit(jax.grad(lambda x, *args: fn(x, *args).sum()))

    elif backend == "torch":
        import torch

        def gradient(x, *args):
            with torch.enable_grad():
                x = x.detach().requires_grad_(True)
                (g,) = torch.autograd.grad(fn(x, *args).sum(), x)
            return g

    else:
        raise NotImplementedError(
            "Gradients need the TensorFlow, JAX or PyTorch backend. "
            f"Received: keras.backend.backend()={backend!r}"
        )

    def of_arrays(x, *args):
        return gradient(*(ops.convert_to_tensor(a) for a in (x, *args)))

    return of_arrays
