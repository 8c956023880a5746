"""Compute gradients of a function of tensors, on each backend."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import tree

from keras_facnn._backend.compilation import call_with_values
from keras_facnn._backend.compilation import converting_arguments
from keras_facnn._backend.compilation import in_inference_mode
from keras_facnn._backend.compilation import tensorflow_function
from keras_facnn._backend.values import call_with_current_values


def gradient_function(
    fn: Callable[..., Any],
    variables: Sequence[keras.Variable] = (),
    has_aux: bool = False,
    argument: str = "its first argument",
) -> Callable[..., Any]:
    """Compile the gradient of a function with respect to its first argument.

    Layers run in inference mode, as in `compiled_function`.

    Args:
        fn: Function of tensors to one tensor, made of `keras.ops` and Keras
            layers. It must not change any variable. An argument may be a list
            of tensors.
        variables: The Keras variables that `fn` reads. On some backends, the
            values that other variables have at the first call are compiled in.
        has_aux: Whether `fn` returns a pair. Its second entry, any structure of
            tensors, is returned too and not differentiated.
        argument: What the first argument `x` is, for error messages.

    Returns:
        A function that takes the same arguments, as arrays or tensors. It
        returns the gradient of `sum(fn(x, *args))` with respect to `x`, a
        tensor of the shape of `x` or a list of them; with `has_aux`, a pair of
        the gradient and the second entry. It raises a ValueError if no gradient
        reaches `x`.

    Example:

    >>> import numpy as np
    >>> from keras_facnn._backend.gradients import gradient_function
    >>> gradient = gradient_function(lambda x: x * x)
    >>> np.array(gradient(np.array([1.0, 2.0], "float32"))).tolist()
    [2.0, 4.0]
    """
    fn = in_inference_mode(fn)

    def with_aux(*args: Any) -> Any:
        return fn(*args) if has_aux else (fn(*args), ())

    backend = keras.backend.backend()
    if backend == "tensorflow":
        gradient = _tensorflow_gradient(with_aux, argument)
    elif backend == "jax":
        gradient = _jax_gradient(with_aux, variables, argument)
    elif backend == "torch":
        gradient = _torch_gradient(with_aux, argument)
    else:
        raise NotImplementedError(_no_gradient(backend))
    gradient = converting_arguments(gradient)
    return gradient if has_aux else lambda *args: gradient(*args)[0]


def _tensorflow_gradient(
    fn: Callable[..., Any], argument: str
) -> Callable[..., Any]:
    import tensorflow as tf

    def gradient(x: Any, *args: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, aux = call_with_values(fn, (), (), (x, *args))
        g = tape.gradient(y, x)
        _check_reached([one is not None for one in tree.flatten(g)], argument)
        return g, aux

    return tensorflow_function(gradient)


def _jax_gradient(
    fn: Callable[..., Any],
    variables: Sequence[keras.Variable],
    argument: str,
) -> Callable[..., Any]:
    import jax

    def total(x: Any, values: Any, args: Any) -> Any:
        y, aux = call_with_values(fn, variables, values, (x, *args))
        return y.sum(), aux

    run = jax.jit(jax.grad(total, has_aux=True))
    is_checked = False

    def gradient(x: Any, *args: Any) -> Any:
        def of_values(values: Any) -> Any:
            nonlocal is_checked
            if not is_checked:
                reached = _reached_on_jax(run, (x, values, args))
                _check_reached(reached, argument)
                is_checked = True
            return run(x, values, args)

        return call_with_current_values(variables, of_values)

    return gradient


def _torch_gradient(
    fn: Callable[..., Any], argument: str
) -> Callable[..., Any]:
    import torch

    def gradient(x: Any, *args: Any) -> Any:
        # Inside `torch.inference_mode` no gradient would be recorded, and its
        # tensors must not be used in one.
        with torch.inference_mode(False), torch.enable_grad():
            x = tree.map_structure(
                lambda t: t.detach().clone().requires_grad_(True), x
            )
            args = tree.map_structure(lambda t: t.clone(), args)
            y, aux = call_with_values(fn, (), (), (x, *args))
            g = [None]
            if y.requires_grad:
                g = torch.autograd.grad(
                    y.sum(), tree.flatten(x), allow_unused=True
                )
            _check_reached([one is not None for one in g], argument)
            g = tree.pack_sequence_as(x, g)
        return g, tree.map_structure(lambda t: t.detach(), aux)

    return gradient


def _check_reached(reached: Sequence[bool], argument: str) -> None:
    if not all(reached):
        raise ValueError(
            "The scores must have a gradient with respect to "
            f"{argument}. Received: a model that blocks it on the way, "
            "as `keras.ops.stop_gradient` does. Explain a layer "
            "after that, or use `attribution.rise` or "
            "`attribution.occlusion`, which need no gradient."
        )


def _reached_on_jax(run: Any, args: Any) -> list[bool]:
    """Return whether a gradient reaches each tensor of the first argument.

    JAX returns zeros where no gradient arrives. A ReLU that is off also gives
    zeros, but these depend on the arguments.
    """
    import jax

    jaxpr = run.trace(*args).jaxpr.jaxpr
    depends = set(jaxpr.invars)
    for equation in jaxpr.eqns:
        # Literals are not variables: they have a value.
        if any(not hasattr(v, "val") and v in depends for v in equation.invars):
            depends.update(equation.outvars)
    n = len(tree.flatten(args[0]))
    reached = [
        not hasattr(v, "val") and v in depends for v in jaxpr.outvars[:n]
    ]
    if all(reached):
        return reached
    # The gradient of a linear function is constant, and counts.
    with jax.ensure_compile_time_eval():
        zeros = tree.map_structure(
            lambda t: jax.numpy.zeros(t.shape, t.dtype), args
        )
        constants = [np.asarray(g) for g in tree.flatten(run(*zeros)[0])]
    return [
        one or bool(constant.any())
        for one, constant in zip(reached, constants, strict=True)
    ]


def _no_gradient(backend: str) -> str:
    return (
        "This needs gradients, which the TensorFlow, JAX and PyTorch backends "
        "compute: set KERAS_BACKEND before Keras is imported. The class maps, "
        "`explain`, `layer_evidence` and `layer_logits` of an FA-CNN need no "
        "gradients; nor do `cam`, `score_cam`, `ablation_cam`, `rise` and "
        "`occlusion` of `attribution`, of any classifier. Received: "
        f"keras.backend.backend()={backend!r}"
    )
