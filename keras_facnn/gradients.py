"""The one place where backends differ: compiling, and gradients."""

from collections.abc import Callable
from collections.abc import Sequence

import keras
from keras import ops


def compiled_function(fn: Callable, variables: Sequence) -> Callable:
    """Compiles a function of tensors that reads, and changes no, variables.

    Variables keep their values where they are: nothing is taken out of them or
    donated, so that an error leaves them whole, threads may call at once, and
    new values are used from the next call on.

    Args:
        fn: Function of tensors to tensors, made of `keras.ops` and Keras
            layers, in any nesting of lists and dicts.
        variables: All Keras variables that `fn` reads.

    Returns:
        A function of the same arguments, arrays or tensors.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return _of_tensors(tf.function(fn, reduce_retracing=True))
    if backend == "jax":
        import jax

        run = jax.jit(
            lambda values, *args: _with_values(fn, variables, values, args)
        )
        return _of_tensors(
            lambda *args: run([v.value for v in variables], *args)
        )
    if backend == "torch":
        import torch

        def run(*args):
            with torch.no_grad():
                return fn(*args)

        return _of_tensors(run)
    raise NotImplementedError(_unsupported(backend))


def gradient_function(fn: Callable, variables: Sequence = ()) -> Callable:
    """Compiles the gradient of a function with respect to its first argument.

    Args:
        fn: Function of tensors to one tensor, made of `keras.ops` and Keras
            layers. It must not change any variable.
        variables: The Keras variables that `fn` reads. The values of others, at
            the first call, are compiled in on some backends.

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

        return _of_tensors(gradient)
    if backend == "jax":
        import jax

        def total(x, values, args):
            return _with_values(fn, variables, values, (x, *args)).sum()

        run = jax.jit(jax.grad(total))
        return _of_tensors(
            lambda x, *args: run(x, [v.value for v in variables], args)
        )
    if backend == "torch":
        import torch

        def gradient(x, *args):
            # Inside `torch.inference_mode` no gradient would be recorded, and
            # its tensors may not be used in one.
            with torch.inference_mode(False), torch.enable_grad():
                x = x.detach().clone().requires_grad_(True)
                args = [a.clone() for a in args]
                (g,) = torch.autograd.grad(fn(x, *args).sum(), x)
            return g

        return _of_tensors(gradient)
    raise NotImplementedError(_unsupported(backend))


def _of_tensors(fn):
    return lambda *args: fn(*(ops.convert_to_tensor(a) for a in args))


def _with_values(fn, variables, values, args):
    """Calls `fn` with `values` standing in for those of `variables`."""
    mapping = list(zip(variables, values, strict=True))
    with keras.StatelessScope(state_mapping=mapping):
        return fn(*args)


def _unsupported(backend):
    return (
        "This needs the TensorFlow, JAX or PyTorch backend. Received: "
        f"keras.backend.backend()={backend!r}"
    )
