"""The one door: what comes from outside is checked here, with its message."""

import difflib
import math
import numbers
import operator
import sys
import warnings
from collections.abc import Iterator

import keras
import numpy as np
from keras import tree

# The most values that one array may be asked to hold: 4 GiB as float32.
LARGEST_ARRAY = 2**30
# What weights can be, and layers compute in.
_FLOATS = {"float16", "bfloat16", "float32", "float64"}
# Outputs that lie in 0..1 and sum to 1 as nearly as this are probabilities.
_SUM_TOLERANCE = 0.01


# --- Numbers and options ---


def is_number(value):
    """Whether `value` is a real number, and not a bool."""
    return isinstance(value, numbers.Real) and not isinstance(
        value, (bool, np.bool_)
    )


def is_integer(value):
    """Whether `value` is an integer, and not a bool or an array."""
    if isinstance(value, (bool, np.bool_)) or "bool" in str(
        getattr(value, "dtype", "")
    ):
        return False
    try:
        # Tensors and arrays of floats have `__index__` too; it raises.
        operator.index(value)
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return False
    return np.ndim(value) == 0


def check_int(name, value, least=1, most=2**31 - 1):
    """Returns `value` as an int in `least..most`, or raises."""
    if not is_integer(value) or not least <= value.__index__() <= most:
        kind = "a positive integer" if least == 1 else "an integer"
        raise ValueError(
            f"`{name}` must be {kind}, {least} to {most}. "
            f"Received: {name}={_shown(value)}"
        )
    return value.__index__()


def check_ints(name, values):
    """Returns a non-empty sequence of positive integers as a tuple."""
    if not isinstance(values, (list, tuple)) or not values:
        raise ValueError(
            f"`{name}` must be a non-empty sequence of positive integers. "
            f"Received: {name}={_shown(values)}"
        )
    return tuple(check_int(name, value) for value in values)


def check_float(
    name, value, above=-math.inf, below=math.inf, least=None, most=None
):
    """Returns `value` as a finite float within bounds, or raises.

    Args:
        name: What the caller calls it.
        value: The number.
        above: Bound that the value must exceed.
        below: Bound that it must stay below.
        least: Smallest value, in place of `above`.
        most: Largest value, in place of `below`.
    """
    try:
        good = is_number(value) and math.isfinite(value)
    except OverflowError:  # An integer beyond all floats.
        good = False
    if good:
        good = (value > above) if least is None else (value >= least)
        good = good and ((value < below) if most is None else (value <= most))
    if not good:
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (
                ("at least", least),
                ("above", above if least is None else None),
                ("at most", most),
                ("below", below if most is None else None),
            )
            if bound is not None and math.isfinite(bound)
        ]
        raise ValueError(
            f"`{name}` must be a finite number"
            + (f", {' and '.join(bounds)}. " if bounds else ". ")
            + f"Received: {name}={_shown(value)}"
        )
    return float(value)


def check_arguments(where, received, known):
    """Raises where a dict of keyword arguments has one that is not known.

    Args:
        where: What takes the arguments, such as `"FACNN"`.
        received: Dict of what came, by name.
        known: Names that are taken.
    """
    for name, value in received.items():
        if name not in known:
            near = difflib.get_close_matches(name, known)
            hint = (
                f"Did you mean {' or '.join(f'`{n}`' for n in near)}?"
                if near
                else f"It takes {', '.join(known)}."
            )
            raise TypeError(
                f"{where} takes no argument `{name}`. {hint} "
                f"Received: {name}={_shown(value)}"
            )


def check_seed(seed, name="seed"):
    """Returns a seed as an int of 0..2**64 - 1, or raises."""
    return check_int(name, seed, least=0, most=2**64 - 1)


def check_option(name, value, options):
    """Returns `value` if it is one of the strings `options`, or raises."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(
            f"`{name}` must be one of {', '.join(options)}. "
            f"Received: {name}={_shown(value)}"
        )
    return value


def check_bool(name, value):
    """Returns `value` as a bool, or raises if it is anything else."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(
            f"`{name}` must be True or False. Received: {name}={_shown(value)}"
        )
    return bool(value)


def check_verbose(verbose):
    """Returns Keras' `verbose` as 0, 1 or 2, or raises."""
    if isinstance(verbose, (bool, np.bool_)):
        return int(verbose)
    if not is_integer(verbose) or not 0 <= verbose.__index__() <= 2:
        raise ValueError(
            "`verbose` must be 0 or False (silent), 1 or True, or 2. "
            f"Received: verbose={_shown(verbose)}"
        )
    return verbose.__index__()


def check_policy(dtype):
    """Returns Keras' dtype policy of a `dtype`, one of floats, or raises."""
    try:
        policy = (
            keras.config.dtype_policy()
            if dtype is None
            else keras.dtype_policies.get(dtype)
        )
    except (AttributeError, TypeError, ValueError):
        policy = None
    # Keras takes others too, and fails where a layer computes.
    if (
        policy is None
        or policy.quantization_mode is not None
        or not {policy.compute_dtype, policy.variable_dtype} <= _FLOATS
    ):
        raise ValueError(
            "`dtype` must be a dtype policy of Keras that computes in floats, "
            'such as "float32" or "mixed_bfloat16"; `model.quantize` makes a '
            "trained model one of integers. "
            f"Received: dtype={_shown(policy if dtype is None else dtype)}"
        )
    return policy


def check_size(name, size):
    """Returns `size` as `(height, width)`, positive integers, or raises."""
    if (
        not (isinstance(size, (list, tuple)) or getattr(size, "ndim", 0) == 1)
        or len(size) != 2
        or not all(is_integer(n) and n >= 1 for n in size)
    ):
        raise ValueError(
            f"`{name}` must be two positive integers (height, width). "
            f"Received: {name}={_shown(size)}"
        )
    return tuple(n.__index__() for n in size)


def check_callable(name, value):
    """Returns `value` if it can be called, or raises."""
    if not callable(value):
        raise ValueError(
            f"`{name}` must be a function. Received: {name}={_shown(value)}"
        )
    return value


def check_memory(arguments, *shape):
    """Raises if an array of `shape`, which `arguments` ask for, is absurd.

    Args:
        arguments: The names of the arguments, as the message says them.
        *shape: Integers.
    """
    if math.prod(shape) > LARGEST_ARRAY:
        raise ValueError(
            f"{arguments} ask for an array of {math.prod(shape):,} values; the "
            f"most is {LARGEST_ARRAY:,}. Received: shape {shape}"
        )


def check_fractions(fractions):
    """Returns fractions that increase from 0 to 1 as floats, or raises."""
    if fractions is None:
        return np.linspace(0, 1, 21).tolist()
    array = real_array("fractions", fractions).astype("float64")
    if (
        array.ndim != 1
        or len(array) < 2
        or array[0] != 0
        or array[-1] != 1
        or not (np.diff(array) > 0).all()
    ):
        raise ValueError(
            "`fractions` must increase from 0 to 1, both included. "
            f"Received: fractions={_shown(fractions)}"
        )
    return array.tolist()


# --- Arrays ---


def real_array(name, values):
    """Returns an array of real numbers as NumPy has them natively, or raises.

    Takes what the three backends, NumPy and lists give. Byte order becomes
    native, bfloat16 and long doubles become float32 and float64. Sparse,
    ragged, masked and complex arrays are refused, since what a caller means by
    them is not known here.

    Args:
        name: What the caller calls it.
        values: Array-like.
    """

    def refuse(came):
        raise ValueError(
            f"`{name}` must be an array of real numbers. Received: {came}"
        ) from None

    kind = f"{type(values).__module__}.{type(values).__name__}"
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.is_masked(values):
            refuse("a masked array; fill it first, by `.filled(...)`")
        values = values.data
    if isinstance(values, keras.KerasTensor):
        refuse("a symbolic KerasTensor, which has no values")
    if isinstance(values, (str, bytes, set, frozenset, dict)) or values is None:
        refuse(_shown(values))
    if "sparse" in kind.lower() or getattr(values, "is_sparse", False):
        refuse(f"a sparse {kind}; make it dense first")
    if "ragged" in kind.lower() or getattr(values, "is_nested", False):
        refuse(f"a ragged {kind}; all must have one shape")
    if hasattr(values, "read"):
        # Its `detach` is no tensor's: it would take the file from the caller.
        refuse(f"{kind}; `load_images` reads pictures from files")
    if hasattr(values, "detach"):
        if getattr(values, "is_meta", False):
            refuse("a tensor of the device `meta`, which has no values")
        values = values.detach().cpu()
        if getattr(values, "layout", None) is not None and "sparse" in str(
            values.layout
        ):
            refuse("a sparse tensor; make it dense first")
        if "bfloat16" in str(values.dtype):
            values = values.float()
    if not hasattr(values, "__array__") and not isinstance(
        values, (list, tuple, numbers.Number)
    ):
        refuse(f"{kind}; pass one batch, as an array")
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as e:
        refuse(f"{kind} that is no array: {' '.join(str(e).split())[:200]}")
    if array.dtype.name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        return array.astype("float32")
    if array.dtype.kind not in "biuf":
        refuse(f"dtype {array.dtype}")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return array.astype("float64")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def finite_array(name, values):
    """As `real_array`, and finite."""
    array = real_array(name, values)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(
            f"`{name}` must be finite. Received: NaN or infinity, at "
            f"{int((~np.isfinite(array)).sum())} of {array.size} places"
        )
    return array


def as_float32(array):
    """An array as float32; what is too large or small is infinity or 0.

    Also where NumPy was made to raise at that.
    """
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(array, "float32")


def check_range(name, array):
    """Raises where float32, which all is computed in, turns values infinite.

    Args:
        name: What the caller calls it.
        array: What `real_array` returned.
    """
    if array.dtype != "float64":
        return
    lost = np.isinf(as_float32(array)) & ~np.isinf(array)
    if lost.any():
        raise ValueError(
            f"`{name}` must be finite as float32. Received: values up to "
            f"{np.abs(array[lost]).max():.3g}"
        )


def check_images(images, image_shape=(None, None, None), name="images"):
    """Returns `images` as a finite array `(B, H, W, channels)`, or raises.

    Args:
        images: Array-like `(B, H, W, channels)`, any real dtype.
        image_shape: The model's `(H, W, channels)`; None fits any size.
        name: What the caller calls them.
    """
    if isinstance(images, (list, tuple)) and len(images):
        shapes = {np.shape(x) for x in images if hasattr(x, "shape")}
        if len(shapes) > 1:
            raise ValueError(
                f"`{name}` must have one size; call once for each size, or "
                f"resize them. Received: images of shapes {sorted(shapes)}"
            )
    array = finite_array(name, images)
    check_range(name, array)
    expected = ", ".join("any" if n is None else str(n) for n in image_shape)
    if (
        array.ndim != 4
        or 0 in array.shape
        or any(
            n is not None and n != m
            for n, m in zip(image_shape, array.shape[1:], strict=True)
        )
    ):
        hint = ""
        if array.ndim == 3 and all(
            n in (None, m)
            for n, m in zip(image_shape, array.shape, strict=True)
        ):
            hint = f" For one image, pass {name}[None]."
        if array.ndim == 3 and image_shape[2] == 1:
            hint = f" For grey images, pass {name}[..., None]."
        raise ValueError(
            f"`{name}` must have shape (batch, {expected}), with at least one "
            f"image. Received: images of shape {array.shape}.{hint}"
        )
    return array


def images_for(model, images):
    """Returns `images` as an array that `model` can read, or raises.

    Shape, channels and the smallest size are the model's. An FA-CNN reads
    0..255, so values that look otherwise warn.

    Args:
        model: What `classifier_shapes` takes.
        images: Array-like `(B, H, W, channels)`.
    """
    image_shape, _ = classifier_shapes(model)
    array = check_images(images, image_shape)
    multiple, least = getattr(model, "size_rules", (1, 1))
    height, width = array.shape[1:3]
    if height < least or width < least:
        raise ValueError(
            f"`images` must be at least {least}x{least} pixels, or nothing is "
            f"left after the pooling. Received: images of shape {array.shape}"
        )
    if height % multiple or width % multiple:
        raise ValueError(
            "Height and width of `images` must be multiples of the model's "
            f"stride={multiple}. Received: images of shape "
            f"{array.shape}"
        )
    if hasattr(model, "size_rules"):
        warn_of_range(array)
    return array


def warn_of_range(images, name="images"):
    """Warns where finite pixels do not look like 0..255."""
    low, high = float(images.min()), float(images.max())
    if low >= 0 and (2 < high <= 255 or high == 0):
        return
    if 0 <= low and high <= 2:
        guess = "Were they scaled to 0..1?"
    elif low < 0:
        guess = "Were they normalised, or is the dtype signed?"
    else:
        guess = "Do they have more than 8 bits?"
    warnings.warn(
        f"`{name}` should be in 0..255, but the smallest value is {low:.3g}, "
        f"the largest is {high:.3g}. {guess} Undo that: the model does its "
        "own scaling, of values in 0..255.",
        stacklevel=callers_stacklevel(),
    )


def warn_of_first_images(x):
    """Warns where what Keras' `fit` takes is an array not in 0..255.

    A few of the first images tell; an array may be a large file's. Datasets,
    and what has no such shape, are left to Keras.
    """
    if len(getattr(x, "shape", ())) != 4 or not hasattr(x, "__getitem__"):
        return
    first = real_array("x", x[:32])
    if first.size and np.isfinite(first).all():
        warn_of_range(first, "x")


def warn_of_first_labels(y, num_classes):
    """Warns where labels of `fit`, an array of integers, are of no class.

    PyTorch refuses them; other backends train on, on something else.
    """
    if not isinstance(y, (list, np.ndarray)) or not len(y):
        return
    try:
        first = np.asarray(y[:10_000])
    except ValueError:
        return
    if first.dtype.kind not in "iu" or first.size != len(first):
        return
    # Below 0 and 255 are what `ignore_class` usually leaves out.
    first = first[(first >= 0) & (first != 255)]
    if first.size and first.max() >= num_classes:
        warnings.warn(
            f"Labels must be from 0 to {num_classes - 1} for a model of "
            f"{num_classes} classes. Received: {first.max()} in y",
            stacklevel=callers_stacklevel(),
        )


def check_maps(maps, ndim=(3,), batch=None, finite=True, name="maps"):
    """Returns maps as float64, or raises.

    Args:
        maps: Array-like `(B, h, w)`; with 4 in `ndim`, `(B, h, w, C)` too.
        ndim: Numbers of dimensions to take.
        batch: How many maps there must be; None is any number.
        finite: Whether NaN and infinity are refused.
        name: What the caller calls them.
    """
    array = (finite_array if finite else real_array)(name, maps)
    check_range(name, array)
    if (
        array.ndim not in ndim
        or 0 in array.shape
        or (batch is not None and len(array) != batch)
    ):
        first = "B" if batch is None else str(batch)
        forms = {3: f"({first}, h, w)", 4: f"({first}, h, w, C)"}
        raise ValueError(
            f"`{name}` must have shape {' or '.join(forms[n] for n in ndim)}, "
            f"with at least one place. Received: shape {array.shape}"
        )
    return array.astype("float64")


def check_boxes(boxes, batch, size):
    """Returns the boxes of each image, float64 arrays `(N, 4)`, or raises.

    A box is `(left, top, right, bottom)` in pixels, right and bottom not
    included, and must share some of the image.

    Args:
        boxes: Array-like `(batch, 4)`, or, for images of several objects, a
            sequence of `batch` array-likes `(N, 4)`.
        batch: The number of images.
        size: `(height, width)` of the images.
    """
    if isinstance(boxes, (list, tuple)) and any(map(_are_several, boxes)):
        images = [finite_array("boxes", b).astype("float64") for b in boxes]
    else:
        array = finite_array("boxes", boxes).astype("float64")
        images = list(
            array[:, None] if array.ndim == 2 else np.atleast_1d(array)
        )
    if len(images) != batch or not all(_are_boxes(b, size) for b in images):
        height, width = size
        raise ValueError(
            f"`boxes` must have shape ({batch}, 4), or be {batch} arrays "
            "(N, 4): left < right and top < bottom, in pixels of an image of "
            f"{height}x{width}. Received: boxes={_shown(boxes)}"
        )
    return images


def _are_several(boxes):
    if isinstance(boxes, (list, tuple)):
        boxes = boxes[:1]
        return bool(boxes) and isinstance(boxes[0], (list, tuple))
    return len(getattr(boxes, "shape", ())) == 2


def _are_boxes(boxes, size):
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes):
        return False
    (left, top, right, bottom), (height, width) = boxes.T, size
    return (
        (left < right)
        & (top < bottom)
        & (left < width)
        & (top < height)
        & (right > 0)
        & (bottom > 0)
    ).all()


# --- Classes and labels ---


def check_classes(classes, batch, num_classes, names=None, name="classes"):
    """Returns `classes` as None, "all" or an int array `(batch,)`, or raises.

    Args:
        classes: None (the predicted class of each image), an int, a class'
            name, a sequence of `batch` of either, or "all".
        batch: The number of images.
        num_classes: The number of classes.
        names: The names of the classes, where they are known.
        name: What the caller calls them.
    """
    if classes is None or (isinstance(classes, str) and classes == "all"):
        return classes
    numbers_ = _class_numbers(classes, names, name)
    if numbers_.dtype.kind in "iu" and numbers_.shape in ((), (batch,)):
        if (numbers_ >= 0).all() and (numbers_ < num_classes).all():
            return np.broadcast_to(numbers_, (batch,)).astype(int)
    raise ValueError(
        f'`{name}` must be None, "all", an integer from 0 to '
        f"{num_classes - 1}{', a name' if names else ''}, or {batch} of them, "
        f"one an image. Received: {name}={_shown(classes)}"
    )


def one_class_an_image(classes, name="classes"):
    """Returns what `check_classes` returned, or raises where that is "all"."""
    if isinstance(classes, str):
        raise ValueError(
            f"`{name}` must be None, an integer, or one integer an image. "
            f"Received: {name}={classes!r}"
        )
    return classes


def check_labels(labels, batch, num_classes, names=None):
    """Returns labels as an int array `(batch,)`, or raises."""
    classes = labels if isinstance(labels, str) else _listed(labels)
    array = _class_numbers(classes, names, "labels")
    if (
        array.shape != (batch,)
        or array.dtype.kind not in "iu"
        or (array < 0).any()
        or (num_classes is not None and (array >= num_classes).any())
    ):
        last = "" if num_classes is None else f" from 0 to {num_classes - 1}"
        raise ValueError(
            f"`labels` must be {batch} integers{last}, one an image. "
            f"Received: labels={_shown(labels)}"
        )
    return array.astype(int)


def _class_numbers(classes, names, name):
    """As `_class_number`, an array; of objects where it is no array."""
    none = np.asarray(None, object)
    if isinstance(classes, np.ma.MaskedArray) and np.ma.is_masked(classes):
        return none
    found = _class_number(classes, names, name)
    try:
        return np.asarray(found)
    except (TypeError, ValueError, RuntimeError):
        return none


def _class_number(classes, names, name):
    """Numbers in place of names."""
    classes = _listed(classes)
    if isinstance(classes, str):
        if not names:
            raise ValueError(
                f"`{name}` must be numbers, since the model knows no names of "
                f"its classes. Received: {name}={classes!r}"
            )
        if list(names).count(classes) != 1:
            close = [n for n in names if classes.lower() in n.lower()]
            raise ValueError(
                f"`{name}` must be among the model's class names: "
                f"{', '.join(close or names[:20])}"
                f"{', ...' if not close and len(names) > 20 else ''}. "
                f"Received: {name}={classes!r}"
            )
        return list(names).index(classes)
    if isinstance(classes, list):
        return [_class_number(one, names, name) for one in classes]
    return classes


def _listed(classes):
    """Lists and strings of what arrays and tensors hold."""
    # A tensor of the device `meta` has no values.
    if getattr(classes, "is_meta", False):
        return None
    # An open file has a `detach` too, which would take it from the caller.
    if hasattr(classes, "detach") and not hasattr(classes, "read"):
        classes = classes.detach().cpu()
    if isinstance(classes, (tuple, np.ndarray)) or hasattr(classes, "tolist"):
        try:
            if np.asarray(classes).dtype.kind in "USO":
                return np.asarray(classes).tolist()
        except (TypeError, ValueError):
            return list(classes)
    return list(classes) if isinstance(classes, tuple) else classes


# --- Models ---


def all_layers(model) -> Iterator:
    """The model and every layer in it, however deep it is nested."""
    return model._flatten_layers()


def classifier_shapes(model):
    """A classifier's image shape `(H, W, channels)` and number of classes.

    Raises a ValueError where `model` is no functional Keras model from images
    to one score a class, or convolves images with channels first.
    """
    try:
        (inputs,), (outputs,) = model.inputs, tree.flatten(model.outputs)
        (_, *image_shape), (_, num_classes) = inputs.shape, outputs.shape
        _, _, _ = image_shape
    except (AttributeError, TypeError, ValueError):
        raise ValueError(
            "`model` must be a functional Keras model from images (B, H, W, "
            "channels) to (B, classes), with one input and one output. "
            f"Received: model={_shown(model)}"
        ) from None
    check_channels_last("model", model)
    return tuple(image_shape), num_classes


def check_channels_last(name, model):
    """Raises where a model takes images with the channels first."""
    _, *image_shape = model.inputs[0].shape
    few = [n is not None and n <= 4 for n in image_shape]
    if not few[0] or few[2]:
        return
    for layer in all_layers(model):
        if getattr(layer, "data_format", None) == "channels_first":
            raise ValueError(
                f"`{name}` must take images with the channels last, (B, H, W, "
                f"channels). Received: a model of images {image_shape} whose "
                f"layer {layer.name!r} has channels first. Put a "
                "`keras.layers.Permute((3, 1, 2))` before it."
            )


def check_fa_model(model):
    """Raises where `model` is no FA-CNN, whose maps belong to classes."""
    if isinstance(model, type) or not hasattr(model, "predict_with_maps"):
        raise ValueError(
            "`model` must be an FA-CNN, such as `FACNN`, since only its maps "
            "belong to classes; `attribution.grad_cam` explains any Keras "
            f"classifier. Received: model={_shown(model)}. (A clone by "
            "`clone_model` is no FA-CNN; "
            "`FACNN.from_config(model.get_config())` is.)"
        )
    return model


def check_outputs(outputs):
    """Raises where a model's outputs are not finite."""
    if not np.isfinite(outputs).all():
        raise ValueError(
            "The model's outputs must be finite; are its weights? Received: "
            f"NaN or infinity for {int((~np.isfinite(outputs)).sum())} of "
            f"{outputs.size} scores"
        )


def are_probabilities(outputs):
    """Whether a model's outputs `(B, C)` look like a softmax' probabilities."""
    return bool(
        outputs.shape[-1] > 1
        and (outputs >= 0).all()
        and (outputs <= 1 + _SUM_TOLERANCE).all()
        and (np.abs(outputs.sum(axis=-1) - 1) <= _SUM_TOLERANCE).all()
    )


# --- Layers ---


def feature_map_shape(layer, input_shape, channels=None):
    """Returns `(h, w, channels)` of a channels-last feature map, checked."""
    expected = channels if channels is not None else "channels"
    if (
        len(input_shape) != 4
        or input_shape[-1] is None
        or (channels is not None and input_shape[-1] != channels)
    ):
        raise ValueError(
            f"Layer `{layer.name}` expects inputs of shape "
            f"(batch, height, width, {expected}). "
            f"Received: input_shape={tuple(input_shape)}"
        )
    return tuple(input_shape[1:])


def _shown(value):
    """A value as messages show it, on one line and not for ever."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # A broken `__repr__` must not hide the message.
        text = type(value).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."


def callers_stacklevel():
    """How many frames up a warning's first caller outside the package is."""
    level, frame = 1, sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(
        "keras_facnn"
    ):
        level, frame = level + 1, frame.f_back
    return level
