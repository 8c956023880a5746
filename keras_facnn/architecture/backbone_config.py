"""Configs of backbones, which may hold only layers of Keras itself."""

import concurrent.futures
import copy
import json
import math
import sys
import warnings
from collections.abc import Iterator
from typing import Any
from typing import NoReturn

import keras

from keras_facnn._backend.initializers import skip_initializers
from keras_facnn._checks.messages import callers_stacklevel
from keras_facnn.architecture.sizes import MAX_BACKBONE_LAYERS
from keras_facnn.architecture.sizes import MAX_BACKBONE_PARAMETERS

# The modules of Keras' classes that compute on maps and do nothing else.
# `Lambda`, `TFSMLayer`, `TorchModuleWrapper` and classes that read files are in
# none of these.
_MODULES = (
    *(
        f"keras.src.layers.{room}"
        for room in (
            "activations",
            "attention",
            "convolutional",
            "core.dense",
            "core.identity",
            "core.input_layer",
            "merging",
            "normalization",
            "pooling",
            "preprocessing.image_preprocessing",
            "preprocessing.normalization",
            "preprocessing.rescaling",
            "regularization",
            "reshaping",
        )
    ),
    "keras.src.applications",
    "keras.src.constraints",
    "keras.src.dtype_policies",
    "keras.src.initializers",
    "keras.src.models.functional",
    "keras.src.models.sequential",
    "keras.src.ops",
    "keras.src.regularizers",
)
_BASES = (
    keras.Operation,
    keras.DTypePolicy,
    keras.constraints.Constraint,
    keras.initializers.Initializer,
    keras.regularizers.Regularizer,
)
# The class names that Keras writes for values without a class of their own.
_VALUES = (
    "__ellipsis__",
    "__keras_tensor__",
    "__numpy__",
    "__slice__",
    "__tensor__",
)


def backbone_config(
    backbone: keras.Model, policy: str = "float32"
) -> dict[str, Any]:
    """Return a backbone's architecture, in types that JSON can hold.

    A layer with the dtype policy `policy` gets the dtype None.
    `backbone_from_config` replaces None with the policy of the hybrid. The
    config does not say which layers are frozen. It leaves out options of
    initializers that were not set, because older versions of Keras may not know
    them.

    Args:
        backbone: A functional model.
        policy: The name of a dtype policy.

    Returns:
        A dict for `backbone_from_config`.

    Raises:
        ValueError: If a layer is not one of Keras' own.
    """
    config = keras.saving.serialize_keras_object(backbone)
    for entry in _entries(config):
        entry.pop("compile_config", None)
        inner = entry["config"]
        if inner.get("quantization_config") is not None:
            raise ValueError(
                "A hybrid can't be saved, copied, fused or exported after its "
                "backbone was quantized. Do this before `quantize`. "
                f"Received: the layer {inner.get('name')!r}, quantized"
            )
        if "trainable" in inner:
            inner["trainable"] = True
        if entry.get("module") == "keras.initializers":
            for option in [k for k, value in inner.items() if value is None]:
                del inner[option]
        dtype = inner.get("dtype")
        if isinstance(dtype, dict) and dtype["config"].get("name") == policy:
            inner["dtype"] = None
    check_only_keras(config)
    return json.loads(json.dumps(config))


def warn_of_foreign_classes(backbone: keras.Model) -> None:
    """Warn if `backbone_config` would raise for a model."""
    try:
        backbone_config(backbone)
    except (NotImplementedError, TypeError, ValueError) as e:
        warnings.warn(
            "This hybrid runs and trains, but it cannot be saved, pickled or "
            f"fused (`save_weights` works). {e}",
            stacklevel=callers_stacklevel(),
        )


def backbone_from_config(config: dict[str, Any], policy: str) -> keras.Model:
    """Build a backbone from the result of `backbone_config`.

    The whole config is checked before any of it is built. It may hold only
    classes of Keras itself that compute on maps. It must not hold a `Lambda`, a
    custom or registered class, a function or another module.

    Args:
        config: A dict.
        policy: The name of the dtype policy of layers whose dtype is None.

    Raises:
        ValueError: If it holds anything else, or does not build a functional
            model.
    """
    try:
        check_only_keras(config)
        config = copy.deepcopy(config)
    except RecursionError as e:
        raise ValueError("The backbone's config is nested too deep.") from e
    for entry in _entries(config):
        if entry["config"].get("dtype", policy) is None:
            entry["config"]["dtype"] = policy
    _check_size(config)
    return _build(config)


def _build(config: dict[str, Any]) -> Any:
    """Return the model of a checked config."""
    try:
        backbone = keras.saving.deserialize_keras_object(config, safe_mode=True)
    # Keras and its backends raise nearly anything for a garbled config.
    except Exception as e:
        raise ValueError(f"The backbone's config builds no model: {e!r}") from e
    if not isinstance(backbone, keras.Model):
        raise ValueError(
            "The backbone's config must be of a functional model. "
            f"Received: class_name={config.get('class_name')!r}"
        )
    return backbone


def _check_size(config: dict[str, Any]) -> None:
    """Raise if a model is too large, before it takes any memory."""
    num_layers = sum("name" in entry["config"] for entry in _entries(config))
    if num_layers > MAX_BACKBONE_LAYERS:
        raise ValueError(
            f"A backbone's config may hold at most {MAX_BACKBONE_LAYERS:,} "
            f"layers. Received: {num_layers:,}"
        )

    def count() -> int:
        # Variables that are created in this scope have shapes but no values.
        with (
            skip_initializers(),
            keras.StatelessScope(initialize_variables=False),
        ):
            backbone = _build(copy.deepcopy(config))
            return sum(math.prod(v.shape) for v in backbone.variables)

    # In the same thread, Keras would later give them values. So use another
    # thread.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        parameters = thread.submit(count).result()
    if parameters > MAX_BACKBONE_PARAMETERS:
        raise ValueError(
            "A backbone's config may give at most "
            f"{MAX_BACKBONE_PARAMETERS:,} parameters. "
            f"Received: {parameters:,}"
        )


def _entries(config: Any) -> Iterator[dict[str, Any]]:
    """Yield all objects in a config, the outermost first."""
    if isinstance(config, dict):
        if "class_name" in config and isinstance(config.get("config"), dict):
            yield config
        for value in config.values():
            yield from _entries(value)
    elif isinstance(config, (list, tuple)):
        for value in config:
            yield from _entries(value)


def check_only_keras(config: Any, layer: str = "backbone") -> None:
    """Raise if a config holds anything that is not Keras' own.

    Args:
        config: A config, or a value in one.
        layer: The name of the layer that it belongs to.
    """

    def refuse(what: str) -> NoReturn:
        raise ValueError(
            "A backbone's config may hold only Keras' own layers, so that "
            "loading it runs no other code. "
            f"Received: {what} in the layer {layer!r}"
        )

    if isinstance(config, (list, tuple)):
        for value in config:
            check_only_keras(value, layer)
    elif isinstance(config, str):
        # Keras replaces a name with the object that is registered under it.
        if keras.saving.get_registered_object(config) is not None:
            refuse(f"the registered object {config!r}")
    elif isinstance(config, dict):
        if "class_name" in config:
            inner = config.get("config")
            name = config.get("name")
            if name is None and isinstance(inner, dict):
                name = inner.get("name")
            # An initializer has no name, and a policy is not a layer.
            policy = "DTypePolicy" in str(config["class_name"])
            if isinstance(name, str) and not policy:
                layer = name
            if config["class_name"] not in _VALUES and not _is_built_in(
                config, _BASES
            ):
                known_as = config.get("registered_name")
                refuse(
                    f"the class {config.get('module')}.{config['class_name']}"
                    + (f", registered as {known_as!r}," if known_as else "")
                )
        for value in config.values():
            check_only_keras(value, layer)
    elif config is not None and not isinstance(config, (bool, int, float)):
        refuse(f"a value of {type(config)}")


def _is_built_in(config: dict[str, Any], bases: tuple[type, ...]) -> bool:
    """Return whether an object of a config is of a class that may be built."""
    name, module = config["class_name"], config.get("module")
    if (
        not isinstance(name, str)
        or not isinstance(module, str)
        or config.get("registered_name") not in (None, name)
        or keras.saving.get_registered_object(name) is not None
    ):
        return False
    # Use only modules that are already imported, because an import runs code.
    cls = vars(sys.modules.get(module, object)).get(name)
    return (
        module.split(".")[0] == "keras"
        and isinstance(cls, type)
        and issubclass(cls, bases)
        and any(
            cls.__module__ == room or cls.__module__.startswith(f"{room}.")
            for room in _MODULES
        )
    )
