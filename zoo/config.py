"""What a config of `zoo/configs/` is: a frozen record that knows its keys."""

import dataclasses
import difflib
import math
import re
import types
import typing
from typing import Annotated
from typing import Literal

# Bounds, both included.
Count = Annotated[int, (1, math.inf)]
Pixels = Annotated[int, (0, math.inf)]
Positive = Annotated[float, (0, math.inf)]
Share = Annotated[float, (0, 1)]


class Record:
    """A base of frozen data classes, whose values are checked by their types.

    Raises:
        TypeError: If a name is none of the fields, with the nearest, or if one
            lacks that has no default.
        ValueError: If a value is not of its field's type, or out of bounds.
    """

    def __new__(cls, **values):
        known = [field.name for field in dataclasses.fields(cls)]
        for name, value in values.items():
            if name not in known:
                near = difflib.get_close_matches(name, known)
                hint = (
                    f"Did you mean {' or '.join(near)}?"
                    if near
                    else f"It takes {', '.join(known)}."
                )
                raise TypeError(
                    f"{cls.__name__} takes no `{name}`. {hint} "
                    f"Received: {name}={value!r}"
                )
        return super().__new__(cls)

    def __post_init__(self):
        hints = typing.get_type_hints(type(self), include_extras=True)
        for name, hint in hints.items():
            value = getattr(self, name)
            if not _fits(value, hint):
                raise ValueError(
                    f"`{name}` of {type(self).__name__} must be "
                    f"{_described(hint)}. Received: {name}={value!r}"
                )

    def replace(self, **changes):
        """Return a copy with some values changed, which is checked anew."""
        return dataclasses.replace(self, **changes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class About(Record):
    """What a preset's metadata say, where the data are those of the config.

    Attributes:
        description: What the preset is.
        dataset: Name of the data set, or None for any.
        dataset_license: Its licence, or None.
        license: That of the preset.
    """

    description: str
    dataset: str | None
    dataset_license: str | None
    license: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backbone(Record):
    """The backbone of a hybrid, by the name that `zoo/networks.py` gives it."""

    name: Literal["efficientnet_lite0"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model(Record):
    """The arguments of the `FACNN`, with its defaults."""

    num_classes: Count
    image_shape: tuple[Count, Count, Count]
    depths: tuple[Count, ...]
    maps_per_class: tuple[Count, ...]
    alpha: Literal["harmonic"] | Share | tuple[Share, ...] = "harmonic"
    space_to_depth: Count = 1
    classwise_layers: Annotated[int, (0, math.inf)] = 0
    padding: Literal["zeros", "edge"] = "zeros"
    batch_norm_gain: bool = False
    deep_alignment: Positive = 0.0
    stochastic_depth: Share = 0.0
    backbone: Backbone | None = None
    feature_layer: str | tuple[str, ...] | None = None

    def arguments(self):
        """Return them as a dict, in which a backbone is a dict of its own."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Crop(Record):
    """Random crops in place of shifts.

    Attributes:
        smallest: Share of the area that a crop has at least.
        from_size: `(height, width)` of the images that are cropped; a crop is
            resized to the model's.
    """

    smallest: Share
    from_size: tuple[Count, Count]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Record):
    """A recipe to train by.

    Attributes:
        about: What the preset says of itself.
        model: What to train.
        any_classes: Whether the model takes the classes of the data, with about
            as many channels as for those of `model`.
        class_folders: Regular expression of the names of the data set's class
            folders, by which `about` knows its own data; None is not known.
        freeze_backbone: Regular expression of the names of the backbone's
            layers that are not trained, or None.
        train_split, validation_split: Names of the splits.
        fit: How images of another aspect are fitted.
        epochs: Passes over the training images.
        batch_size: Images per step.
        optimizer: Its name.
        learning_rate: The highest.
        warmup_epochs: Epochs in which the rate rises to it.
        weight_decay: As in the optimizer.
        clip_norm: Largest norm of all gradients together, or None.
        ema: Momentum of the averaged weights, or None to average none.
        label_smoothing: Share of the targets that all classes have alike.
        evidence_penalty: What a mean logit of 1 costs.
        pad: Largest shift, in pixels; not beside `crop`.
        crop: A `Crop`, or None.
        cutout: Side of the square that is made grey, in pixels.
        cutmix, mixup: Shares of the batches that are mixed, at most 1 together.
    """

    about: About
    model: Model
    any_classes: bool = False
    class_folders: str | None = None
    freeze_backbone: str | None = None
    train_split: str
    validation_split: str
    fit: Literal["crop", "pad", "stretch"] = "crop"
    epochs: Count
    batch_size: Count
    optimizer: Literal["adamw", "muon"]
    learning_rate: Positive
    warmup_epochs: Positive
    weight_decay: Positive
    clip_norm: Positive | None = None
    ema: Share | None = None
    label_smoothing: Share = 0.0
    evidence_penalty: Positive = 0.0
    pad: Pixels = 0
    crop: Crop | None = None
    cutout: Pixels = 0
    cutmix: Share = 0.0
    mixup: Share = 0.0

    def __post_init__(self):
        super().__post_init__()
        if self.cutmix + self.mixup > 1:
            raise ValueError(
                "`cutmix` and `mixup` must be at most 1 together. Received: "
                f"cutmix={self.cutmix}, mixup={self.mixup}"
            )
        if self.crop and self.pad:
            raise ValueError(
                "`pad` must be 0 beside a `crop`, which moves images enough. "
                f"Received: pad={self.pad}, crop={self.crop}"
            )
        if self.freeze_backbone is not None and self.model.backbone is None:
            raise ValueError(
                "`freeze_backbone` needs a `backbone` of the model. Received: "
                f"freeze_backbone={self.freeze_backbone!r}"
            )
        for name in ("class_folders", "freeze_backbone"):
            pattern = getattr(self, name)
            try:
                re.compile(pattern or "")
            except re.error as e:
                raise ValueError(
                    f"`{name}` must be a regular expression ({e}). Received: "
                    f"{name}={pattern!r}"
                ) from e

    def recipe(self):
        """Return all that the training depends on, as a dict."""
        recipe = dataclasses.asdict(self)
        del recipe["about"]
        return recipe


def _fits(value, hint):
    """Whether a value is of a type, as the fields above state them."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        kind, (least, most) = inner
        return _fits(value, kind) and least <= value <= most
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, kind) for kind in inner)
    if origin is tuple:
        if inner[-1] is ...:
            inner = inner[:1] * max(1, len(value)) if _is_tuple(value) else ()
        return (
            _is_tuple(value)
            and len(value) == len(inner)
            and all(map(_fits, value, inner))
        )
    if hint in (int, float):
        kinds = (int,) if hint is int else (int, float)
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        return is_number and math.isfinite(value)
    return isinstance(value, hint)


def _is_tuple(value):
    return isinstance(value, tuple)


def _described(hint):
    """What `_fits` asks for, in words."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        kind, (least, most) = inner
        upper = "" if most == math.inf else f" and at most {most}"
        return f"{_described(kind)} of at least {least}{upper}"
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin in (typing.Union, types.UnionType):
        return ", or ".join(map(_described, inner))
    if origin is tuple:
        if inner[-1] is ...:
            return f"a tuple, each {_described(inner[0])}"
        return f"a tuple of {len(inner)}, each {_described(inner[0])}"
    names = {
        int: "an integer",
        float: "a finite number",
        str: "text",
        bool: "True or False",
        types.NoneType: "None",
    }
    return names.get(hint) or f"a {hint.__name__}"
