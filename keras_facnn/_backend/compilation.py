"""Compile functions of tensors for inference, on each backend."""

import functools
import threading
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from keras import tree

from keras_facnn._backend.values import call_with_current_values


def compiled_function(
    fn: Callable[..., Any], variables: Sequence[keras.Variable]
) -> Callable[..., Any]:
    """Compile a function of tensors that reads variables and changes none.

    Layers run in inference mode: they are called with `training=False`, however
    deep they are nested, unless `fn` itself passes another `training`.

    Variables keep their values: nothing is taken out of them or donated. So an
    error leaves them whole, threads may call at the same time, and new values
    are used from the next call on.

    Args:
        fn: Function of tensors to tensors, made of `keras.ops` and Keras
            layers. Both may be nested in lists and dicts.
        variables: All Keras variables that `fn` reads.

    Returns:
        A function that takes the same arguments, as arrays or tensors.
    """
    fn = in_inference_mode(fn)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return converting_arguments(
            tensorflow_function(
                lambda *args: call_with_values(fn, (), (), args)
            )
        )
    if backend == "jax":
        import jax

        run = jax.jit(
            lambda values, *args: call_with_values(fn, variables, values, args)
        )
        return converting_arguments(
            lambda *args: call_with_current_values(
                variables, lambda values: run(values, *args)
            )
        )
    if backend == "torch":
        import torch

        def without_gradient(*args: Any) -> Any:
            with torch.no_grad():
                return call_with_values(fn, (), (), args)

        return converting_arguments(without_gradient)
    if backend == "openvino":
        return _openvino_function(fn, variables)
    raise NotImplementedError(
        "This needs the TensorFlow, JAX, PyTorch or OpenVINO backend. "
        f"Received: keras.backend.backend()={backend!r}"
    )


class _Inference(keras.Layer):
    """A layer that calls a function as part of a model in inference mode.

    Keras passes `training` down from the outermost layer that is called. If the
    outermost layer does not set it, each layer uses its own default, and the
    default of augmentation layers is to train.
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        super().__init__(dtype="float32", autocast=False, name="inference")
        self._fn = fn

    def call(self, *args: Any) -> Any:
        return self._fn(*args)


def in_inference_mode(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with all layers inside it in inference mode."""
    layer = _Inference(fn)
    return lambda *args: layer(*args, training=False)


def converting_arguments(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with its arguments converted to tensors."""
    return lambda *args: fn(*tree.map_structure(ops.convert_to_tensor, args))


def call_with_values(
    fn: Callable[..., Any],
    variables: Sequence[keras.Variable],
    values: Sequence[Any],
    args: Sequence[Any],
) -> Any:
    """Call `fn(*args)` with `values` in place of those of the variables.

    No variable changes, and no layer keeps a loss that it adds to itself.
    """
    mapping = list(zip(variables, values, strict=True))
    with keras.StatelessScope(state_mapping=mapping):
        return fn(*args)


def tensorflow_function(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return a `tf.function` that is traced for as few sizes as possible."""
    import tensorflow as tf

    def make() -> Callable[..., Any]:
        # TensorFlow counts the traces per line of code and warns of many. Each
        # model and layer has a function of its own, made on the same line. For
        # a partial, TensorFlow counts the traces per object.
        return tf.function(
            functools.partial(fn), reduce_retracing=True, autograph=False
        )

    of_any_size = make()
    of_sizes: dict[Any, Callable[..., Any]] = {}
    seen = set()

    def call(*args: Any) -> Any:
        # The batch does not count as a size.
        sizes = tuple(tuple(x.shape[1:]) for x in tree.flatten(args))
        seen.add(sizes)
        if not of_sizes:
            try:
                return of_any_size(*args)
            except (TypeError, ValueError):
                # From the second size on, TensorFlow compiles for unknown
                # sizes. Some layers cannot compute with these, such as
                # UpSampling2D where it interpolates.
                if len(seen) == 1:
                    raise
        of_size = of_sizes.get(sizes) or make()
        outputs = of_size(*args)
        # Keep it only if it works: what raises here raises for any size.
        of_sizes[sizes] = of_size
        return outputs

    return call


def _openvino_function(
    fn: Callable[..., Any], variables: Sequence[keras.Variable]
) -> Callable[..., Any]:
    """Return a function that OpenVINO compiles for each shape of arguments.

    The values of variables are compiled in, so new values compile again.
    """
    import openvino
    from openvino import opset16

    compiled: dict[Any, Callable[..., Any]] = {}
    values: list[Any] = []
    lock = threading.Lock()

    def trace(args: Any) -> Callable[..., Any]:
        parameters = [
            opset16.parameter(x.shape, np.dtype(x.dtype))
            for x in tree.flatten(args)
        ]
        tensors = [ops.convert_to_tensor(x.output(0)) for x in parameters]
        outputs = call_with_values(
            fn, (), (), tree.pack_sequence_as(args, tensors)
        )
        flat = [ops.convert_to_tensor(y) for y in tree.flatten(outputs)]
        run = openvino.compile_model(
            openvino.Model([y.output for y in flat], parameters),
            "CPU",
            {"INFERENCE_PRECISION_HINT": "f32"},
        )

        def call(args: Any) -> Any:
            # Each call makes its own request, so that threads may call at the
            # same time.
            found = run.create_infer_request().infer(tree.flatten(args))
            return tree.pack_sequence_as(
                outputs, [ops.convert_to_tensor(y) for y in found.to_tuple()]
            )

        return call

    def call(*args: Any) -> Any:
        args = tree.map_structure(np.asarray, args)
        key = tuple((x.shape, x.dtype) for x in tree.flatten(args))
        with lock:
            now = [v.value for v in variables]
            if len(now) != len(values) or any(
                a is not b for a, b in zip(now, values, strict=True)
            ):
                compiled.clear()
                values[:] = now
            if key not in compiled:
                compiled[key] = trace(args)
            function = compiled[key]
        return function(args)

    return call
