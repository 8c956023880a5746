"""The ways to make a map that `zoo.compare` compares.

These are the functions of `keras_facnn.attribution` that make a map of images
and classes, by their names, those of `OWN`, and functions of a user's file, as
`my_file.py:my_method`. A function that is added there is among them; `TITLES`
and `passes` know more about some.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from absl import app
from absl import flags

if TYPE_CHECKING:
    import keras
    import numpy as np

    Make = Callable[[np.ndarray, np.ndarray], np.ndarray]

FLAGS = flags.FLAGS
OWN = ("facnn", "facnn_centered", "tf_keras_vis", "middle", "random")
TITLES = {
    "facnn": "FA-CNN",
    "facnn_centered": "FA-CNN, centered",
    "cam": "CAM",
    "grad_cam": "Grad-CAM",
    "grad_cam_plus_plus": "Grad-CAM++",
    "tf_keras_vis": "Grad-CAM by tf-keras-vis",
    "hires_cam": "HiResCAM",
    "layer_cam": "Layer-CAM",
    "score_cam": "Score-CAM",
    "ablation_cam": "Ablation-CAM",
    "integrated_gradients": "Integrated Gradients",
    "smooth_grad": "SmoothGrad",
    "var_grad": "VarGrad",
    "rise": "RISE",
    "occlusion": "K-OCC",
    "middle": "always the middle",
}
# Without `--methods`, for an FA-CNN and for other models.
DEFAULT = ("facnn", "grad_cam", "rise", "occlusion", "random")
DEFAULT_OF_OTHERS = ("cam", *DEFAULT[1:])
INTEGRATION_STEPS = 50
NOISY_IMAGES = 50


def define_flags() -> None:
    """Define `--methods` and the flags of single methods."""
    flags.DEFINE_list(
        "methods",
        None,
        f"Some of {', '.join(OWN)}, of the functions of "
        f"keras_facnn.attribution, such as {', '.join(DEFAULT_OF_OTHERS[:4])}, "
        "and of your own, as FILE.py:FUNCTION, which takes model, images and "
        "classes, and returns maps (B, h, w). "
        "middle is always brightest there, a control for --boxes. "
        f"tf_keras_vis needs TensorFlow. The default is {','.join(DEFAULT)}, "
        f"and for a model that is no FA-CNN {','.join(DEFAULT_OF_OTHERS)}.",
    )
    flags.DEFINE_integer("rise_masks", 4000, "Number of RISE's masks.", 1)
    flags.DEFINE_integer("occlusion_size", 8, "Side of K-OCC's square.", 1)
    flags.DEFINE_integer("occlusion_stride", 4, "Stride of K-OCC.", 1)


def names() -> list[str]:
    """Return the names of all methods, but for those of a user's files."""
    from keras_facnn import attribution

    found = [
        name
        for name in attribution.__all__
        if _makes_maps(getattr(attribution, name))
    ]
    return [*OWN, *found]


def _makes_maps(function: Callable) -> bool:
    """Return whether a function can be called as all methods are."""
    parameters = inspect.signature(function).parameters
    first = [*parameters][:3]
    needed = {
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
    }
    return first == ["model", "images", "classes"] and needed <= {
        *first,
        "layer",
    }


def is_layered(name: str) -> bool:
    """Return whether a method looks at a layer, so that it is made at each."""
    if name in OWN:
        return name not in ("middle", "random")
    return "layer" in inspect.signature(_function(name)).parameters


def title(name: str) -> str:
    """Return what to call a method."""
    return TITLES.get(name, short(name).replace("_", " "))


def short(name: str) -> str:
    """Return the name of a method without the path of its file."""
    return name.rpartition(":")[2]


def title_at(name: str, layer: int | str | None) -> str:
    """Return what to call a method at a layer, or at None."""
    return title(name) + ("" if layer is None else f"\nlayer {layer}")


def maker(
    model: keras.Model, name: str, layer: int | str | None
) -> Make | None:
    """Return a function of images and classes to maps; None for random."""
    if name == "random":
        return None
    if name == "middle":
        return middle
    batch_size = FLAGS.batch_size
    if name in ("facnn", "facnn_centered"):
        return functools.partial(
            model.class_maps,
            layer=layer,
            centered=name == "facnn_centered",
            batch_size=batch_size,
        )
    if name == "tf_keras_vis":
        from zoo import tf_keras_vis

        return functools.partial(
            tf_keras_vis.grad_cam, model, layer=layer, batch_size=batch_size
        )
    function = _function(name)
    options = {
        "layer": layer,
        "batch_size": batch_size,
        "seed": FLAGS.seed,
        **{
            "integrated_gradients": {"steps": INTEGRATION_STEPS},
            "smooth_grad": {"samples": NOISY_IMAGES},
            "var_grad": {"samples": NOISY_IMAGES},
            "rise": {"masks": FLAGS.rise_masks},
            "occlusion": {
                "size": FLAGS.occlusion_size,
                "stride": FLAGS.occlusion_stride,
            },
        }.get(name, {}),
    }
    taken = inspect.signature(function).parameters
    return functools.partial(
        function,
        model,
        **{key: value for key, value in options.items() if key in taken},
    )


def middle(images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return maps that are brightest in the middle: a control for boxes."""
    import numpy as np

    y, x = (((np.arange(side) + 0.5) / side - 0.5) ** 2 for side in (32, 32))
    map_ = np.exp(-8 * (y[:, None] + x)).astype("float32")
    return np.repeat(map_[None], len(images), axis=0)


def passes(
    model: keras.Model, name: str, layer: int | str | None
) -> tuple[int | str, int | str]:
    """Return the forward and backward passes per image, "" where unknown."""
    if name in ("middle", "random"):
        return 0, 0
    if name in ("facnn", "facnn_centered", "cam"):
        return 1, 0
    if name in (
        "grad_cam",
        "grad_cam_plus_plus",
        "tf_keras_vis",
        "hires_cam",
        "layer_cam",
        "saliency",
    ):
        return 1, 1
    if name in ("score_cam", "ablation_cam"):
        return channels(model, layer) + 1, 0
    if name == "integrated_gradients":
        return INTEGRATION_STEPS, INTEGRATION_STEPS
    if name in ("smooth_grad", "var_grad"):
        return NOISY_IMAGES, NOISY_IMAGES
    if name == "rise":
        return FLAGS.rise_masks, 0
    if name == "occlusion":
        size, stride = FLAGS.occlusion_size, FLAGS.occlusion_stride
        sides = [
            -(-max(0, side - size) // stride) + 1
            for side in model.input_shape[1:3]
        ]
        return math.prod(sides) + 1, 0
    return "", ""


def channels(model: keras.Model, layer: int | str) -> int:
    """Return the number of channels of a layer's maps."""
    path = f"fa_{layer}" if isinstance(layer, int) else layer
    *outer, name = path.split("/")
    for one in outer:
        model = model.get_layer(one)
    return model.get_layer(name).output.shape[-1]


def _function(name: str) -> Callable:
    from keras_facnn import attribution

    if ":" in name:
        return load(name)
    return getattr(attribution, name)


@functools.cache
def load(name: str) -> Callable:
    """Return a function of a user's file, `FILE.py:FUNCTION`."""
    path, _, attribute = name.rpartition(":")
    if not path.endswith(".py") or not os.path.isfile(path):
        raise app.UsageError(
            "--methods of your own must be FILE.py:FUNCTION, and the file must "
            f"exist. Received: {name}"
        )
    stem = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, attribute, None)
    if function is None:
        raise app.UsageError(
            f"--methods {name}: there is no {attribute} in {path}."
        )
    if not callable(function) or not _makes_maps(function):
        raise app.UsageError(
            f"--methods {name} must be a function of model, images, classes, "
            "whose other parameters have defaults, except for `layer`."
        )
    return function
