"""The one place where backends differ: compiling, and gradients."""

import functools
import platform
import threading
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from keras import tree


def compiled_function(fn: Callable, variables: Sequence) -> Callable:
    """Compiles a function of tensors that reads, and changes no, variables.

    Layers infer: they are called with `training=False`, however deep they are
    nested, unless `fn` itself passes another `training`.

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
    fn = _inferring(fn)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _of_tensors(
            _tf_function(lambda *args: _with_values(fn, (), (), args))
        )
    if backend == "jax":
        import jax

        run = jax.jit(
            lambda values, *args: _with_values(fn, variables, values, args)
        )
        return _of_tensors(
            lambda *args: _with_values_of(
                variables, lambda values: run(values, *args)
            )
        )
    if backend == "torch":
        import torch

        def without_gradient(*args):
            with torch.no_grad():
                return _with_values(fn, (), (), args)

        return _of_tensors(without_gradient)
    if backend == "openvino":
        return _of_openvino(fn, variables)
    raise NotImplementedError(
        "This needs the TensorFlow, JAX, PyTorch or OpenVINO backend. "
        f"Received: keras.backend.backend()={backend!r}"
    )


def gradient_function(
    fn: Callable,
    variables: Sequence = (),
    has_aux: bool = False,
    argument: str = "its first argument",
) -> Callable:
    """Compiles the gradient of a function with respect to its first argument.

    Layers infer, as in `compiled_function`.

    Args:
        fn: Function of tensors to one tensor, made of `keras.ops` and Keras
            layers. It must not change any variable. An argument may be a list
            of tensors.
        variables: The Keras variables that `fn` reads. The values of others, at
            the first call, are compiled in on some backends.
        has_aux: Whether `fn` returns a pair, of which the second, any
            structure of tensors, is handed on and not differentiated.
        argument: What `x` is, for the message of an error.

    Returns:
        A function of the same arguments (arrays or tensors), which returns the
        gradient of `sum(fn(x, *args))` with respect to `x`, a tensor of the
        shape of `x`, or a list of them; with `has_aux`, a pair of it and what
        `fn` handed on. It raises a ValueError where none reaches `x`.

    Example:

    >>> import numpy as np
    >>> from keras_facnn._backend.gradients import gradient_function
    >>> gradient = gradient_function(lambda x: x * x)
    >>> np.array(gradient(np.array([1.0, 2.0], "float32"))).tolist()
    [2.0, 4.0]
    """
    fn = _inferring(fn)

    def pair(*args):
        return fn(*args) if has_aux else (fn(*args), ())

    def result(gradient, aux):
        return (gradient, aux) if has_aux else gradient

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        def gradient(x, *args):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y, aux = _with_values(pair, (), (), (x, *args))
            g = tape.gradient(y, x)
            _check_reached(
                [one is not None for one in tree.flatten(g)], argument
            )
            return result(g, aux)

        return _of_tensors(_tf_function(gradient))
    if backend == "jax":
        import jax

        def total(x, values, args):
            y, aux = _with_values(pair, variables, values, (x, *args))
            return y.sum(), aux

        run = jax.jit(jax.grad(total, has_aux=True))
        is_checked = False

        def gradient(x, *args):
            def of_values(values):
                nonlocal is_checked
                if not is_checked:
                    reached = _reached_on_jax(run, (x, values, args))
                    _check_reached(reached, argument)
                    is_checked = True
                return run(x, values, args)

            return result(*_with_values_of(variables, of_values))

        return _of_tensors(gradient)
    if backend == "torch":
        import torch

        def gradient(x, *args):
            # Inside `torch.inference_mode` no gradient would be recorded, and
            # its tensors may not be used in one.
            with torch.inference_mode(False), torch.enable_grad():
                x = tree.map_structure(
                    lambda t: t.detach().clone().requires_grad_(True), x
                )
                args = tree.map_structure(lambda t: t.clone(), args)
                y, aux = _with_values(pair, (), (), (x, *args))
                g = [None]
                if y.requires_grad:
                    g = torch.autograd.grad(
                        y.sum(), tree.flatten(x), allow_unused=True
                    )
                _check_reached([one is not None for one in g], argument)
                g = tree.pack_sequence_as(x, g)
            return result(g, tree.map_structure(lambda t: t.detach(), aux))

        return _of_tensors(gradient)
    raise NotImplementedError(_no_gradient(backend))


def is_compiled_in(tensor: Any) -> bool:
    """Whether a compiled function that reads this tensor holds its value.

    So it is of a constant. Those of the graphs that are compiled have no
    value, and PyTorch compiles nothing.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return not tf.is_symbolic_tensor(tensor)
    if backend == "jax":
        import jax

        return not isinstance(tensor, jax.core.Tracer)
    if backend == "openvino":
        return tensor.output.get_node().get_type_name() == "Constant"
    return False


def _check_reached(reached, argument):
    if not all(reached):
        raise ValueError(
            "The scores must have a gradient with respect to "
            f"{argument}. Received: a model that lets none through on the way, "
            "as `keras.ops.stop_gradient` does. Explain a layer "
            "after that, or use `attribution.rise` or "
            "`attribution.occlusion`, which need no gradient."
        )


def _reached_on_jax(run, args):
    """Whether a compiled gradient is more than zeros, for each of its tensors.

    JAX gives zeros where no gradient comes, which also come of a ReLU that is
    off. But these depend on what the function gets.
    """
    import jax

    jaxpr = run.trace(*args).jaxpr.jaxpr
    depends = set(jaxpr.invars)
    for equation in jaxpr.eqns:
        # Literals are no variables, and have a value.
        if any(not hasattr(v, "val") and v in depends for v in equation.invars):
            depends.update(equation.outvars)
    n = len(tree.flatten(args[0]))
    reached = [
        not hasattr(v, "val") and v in depends for v in jaxpr.outvars[:n]
    ]
    if all(reached):
        return reached
    # A constant gradient is one, of a linear function.
    with jax.ensure_compile_time_eval():
        zeros = tree.map_structure(
            lambda t: jax.numpy.zeros(t.shape, t.dtype), args
        )
        constants = [np.asarray(g) for g in tree.flatten(run(*zeros)[0])]
    return [
        one or bool(constant.any())
        for one, constant in zip(reached, constants, strict=True)
    ]


def read_values(variables: Sequence) -> list:
    """The values of variables, tensors.

    Raises:
        RuntimeError: Where Keras has taken the values out of the model. So it
            does on JAX while it trains, evaluates or predicts.
    """
    try:
        return [v.value for v in variables]
    except TypeError:
        # Keras takes a variable without a value for one not yet initialized.
        raise RuntimeError(_TAKEN_OUT) from None


def ensure_shape(x: Any, shape: Sequence) -> Any:
    """A tensor whose shape is checked, where it is not known yet, as it runs.

    Args:
        x: Tensor.
        shape: Of integers, and None where any will do.

    Returns:
        The tensor. On TensorFlow, running it raises for another shape.
    """
    if keras.backend.backend() == "tensorflow" and None in x.shape[1:]:
        import tensorflow as tf

        if tf.is_tensor(x):
            return tf.ensure_shape(x, shape)
    return x


def collect_values(model: keras.Model) -> list:
    """Pairs of each variable of a model that trains on JAX and its value."""
    variables = [*model.variables, *model.metrics_variables]
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        variables += optimizer.variables
    return list(zip(variables, read_values(variables), strict=True))


def restore_values(model: keras.Model, held: Sequence) -> None:
    """Gives a model its weights back after an error in what Keras does.

    On JAX, Keras takes them out of the model while it runs, and an error in
    the step of a batch would leave them out.

    Args:
        model: The model.
        held: What `collect_values` returned before Keras took the values.
    """
    if keras.backend.backend() != "jax":
        return
    # What the last whole step has left, if there was one.
    model.jax_state_sync()
    for variable, value in held:
        try:
            read_values([variable])
        except RuntimeError:
            # A step that fails while it runs has used up what it got.
            if not value.is_deleted():
                variable.assign(value)


def _with_values_of(variables, function):
    """What a function of the variables' values returns, on JAX."""
    import jax

    values = read_values(variables)
    try:
        return function(values)
    except (RuntimeError, ValueError):
        # A training step in another thread may have used them up since.
        if any(
            isinstance(value, jax.Array)
            and not isinstance(value, jax.core.Tracer)
            and value.is_deleted()
            for value in values
        ):
            raise RuntimeError(_TAKEN_OUT) from None
        raise


_TAKEN_OUT = (
    "The model has no weights to read at this moment: on JAX, Keras takes them "
    "out of the model while `fit`, `evaluate` or `predict` runs. In a "
    "callback, read `self.model`, to which Keras gives the weights back, not "
    "the model by another name; or read in `on_epoch_end`. In another thread, "
    "read a copy of the model, or wait until `fit` returns."
)


def breaks_in_fork() -> bool:
    """Whether a process that is forked from this one could not compute.

    JAX and TensorFlow have threads, which stay in the parent, so that a child
    waits for ever. Those of TensorFlow start at the first computation.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        return True
    if backend != "tensorflow":
        return False
    from tensorflow.config import threading

    # It can be changed until then.
    before = threading.get_inter_op_parallelism_threads()
    try:
        threading.set_inter_op_parallelism_threads(before + 1)
    except RuntimeError:
        return True
    threading.set_inter_op_parallelism_threads(before)
    return False


class _Inference(keras.Layer):
    """Calls a function as a part of a model that infers.

    Keras hands `training` down from the outermost layer that is called. Where
    that says nothing, each layer takes its own default, and that of
    augmentation is to train.
    """

    def __init__(self, fn):
        super().__init__(dtype="float32", autocast=False, name="inference")
        self._fn = fn

    def call(self, *args):
        return self._fn(*args)


def _inferring(fn):
    """The function, inside which all layers infer."""
    layer = _Inference(fn)
    return lambda *args: layer(*args, training=False)


def check_sound_gradients(model: keras.Model) -> None:
    """Raises where PyTorch would write past memory as a model trains.

    oneDNN's gradient of the kernel of a strided 1x1 convolution on
    channels-last maps writes outside of its workspace: on x86 CPUs, for fewer
    than 8 channels in where there is no AVX-512, and for fewer than 16 where
    there is. The process ends at some later time, hangs, or trains with wrong
    gradients. No version is sound: 2.6, 2.7, 2.8, 2.9, 2.10, 2.11, 2.12, 2.13,
    2.14 and 2.15 of PyTorch were tried, by AVX2 and by AVX-512; see
    https://github.com/uxlfoundation/oneDNN/issues/6035.

    Args:
        model: A `keras.Model`, whose layers may be models.
    """
    if keras.backend.backend() != "torch" or not _computes_by_onednn(model):
        return
    spoiled = _strided_pointwise(model)
    if spoiled:
        raise RuntimeError(
            "On CPU, PyTorch corrupts memory as it trains a convolution of "
            "1x1 with strides on fewer than 16 channels (oneDNN issue 6035). "
            f"Such are the layers {', '.join(spoiled)}. Freeze them; or put "
            "keras.layers.MaxPooling2D(1, strides) before each and give it "
            "strides=1, which computes the same with the same weights; or use "
            "the TensorFlow or JAX backend; or turn oneDNN off by "
            "torch.backends.mkldnn.set_flags(False), which is slower."
        )


def _computes_by_onednn(model):
    import torch

    return (
        platform.machine() in ("x86_64", "AMD64")
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        and any(v.value.device.type == "cpu" for v in model.trainable_variables)
    )


def _strided_pointwise(model):
    """Names of the trainable layers that `check_sound_gradients` is about.

    In bfloat16, in groups or with channels first, other code computes them.
    """
    names = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            names += _strided_pointwise(layer)
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


def _tf_function(fn):
    import tensorflow as tf

    def make():
        # TensorFlow counts the traces of a line of code and warns of many.
        # Each model and layer has a function of its own, made on the same
        # line; of a partial it counts the object.
        return tf.function(
            functools.partial(fn), reduce_retracing=True, autograph=False
        )

    of_any_size, of_sizes = make(), {}
    seen = set()

    def call(*args):
        # The batch is no size.
        sizes = tuple(tuple(x.shape[1:]) for x in tree.flatten(args))
        seen.add(sizes)
        if not of_sizes:
            try:
                return of_any_size(*args)
            except (TypeError, ValueError):
                # From the second size on, TensorFlow compiles for sizes that
                # are not known, of which some layers can't compute, such as
                # UpSampling2D where it interpolates.
                if len(seen) == 1:
                    raise
        of_size = of_sizes.get(sizes) or make()
        outputs = of_size(*args)
        # Kept where it works: what raises here raises for any size.
        of_sizes[sizes] = of_size
        return outputs

    return call


def _of_tensors(fn):
    return lambda *args: fn(*tree.map_structure(ops.convert_to_tensor, args))


def _with_values(fn, variables, values, args):
    """Calls `fn` with `values` standing in for those of `variables`.

    No variable changes, and no layer keeps a loss that it adds to itself.
    """
    mapping = list(zip(variables, values, strict=True))
    with keras.StatelessScope(state_mapping=mapping):
        return fn(*args)


def _of_openvino(fn, variables):
    """A function that OpenVINO compiles for each shape of its arguments.

    Values of variables are compiled in, so new ones compile anew.
    """
    import openvino
    from openvino import opset16

    compiled: dict[Any, Callable] = {}
    values: list = []
    lock = threading.Lock()

    def trace(args):
        given = [
            opset16.parameter(x.shape, np.dtype(x.dtype))
            for x in tree.flatten(args)
        ]
        tensors = [ops.convert_to_tensor(x.output(0)) for x in given]
        outputs = _with_values(fn, (), (), tree.pack_sequence_as(args, tensors))
        flat = [ops.convert_to_tensor(y) for y in tree.flatten(outputs)]
        run = openvino.compile_model(
            openvino.Model([y.output for y in flat], given),
            "CPU",
            {"INFERENCE_PRECISION_HINT": "f32"},
        )

        def call(args):
            # A request of its own, so that threads may call at once.
            found = run.create_infer_request().infer(tree.flatten(args))
            return tree.pack_sequence_as(
                outputs, [ops.convert_to_tensor(y) for y in found.to_tuple()]
            )

        return call

    def call(*args):
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


def _no_gradient(backend):
    return (
        "This needs gradients, which the TensorFlow, JAX and PyTorch backends "
        "compute: set KERAS_BACKEND before Keras is imported. Without them go "
        "the class maps, `explain`, `layer_evidence` and `layer_logits` of an "
        "FA-CNN, and `attribution.cam`, `attribution.rise` and "
        "`attribution.occlusion` of any classifier. Received: "
        f"keras.backend.backend()={backend!r}"
    )
