"""What a recipe of `zoo/recipes/` is: how a preset is trained or converted."""

import dataclasses
import re
from typing import Annotated
from typing import Any
from typing import Literal

from zoo.alphas import smaller_late
from zoo.records import Count
from zoo.records import Pixels
from zoo.records import Positive
from zoo.records import Record
from zoo.records import Share
from zoo.records import field_names


@dataclasses.dataclass(frozen=True, kw_only=True)
class About(Record):
    """What a preset's metadata say if the data are those of the recipe.

    Attributes:
        description: What the preset is.
        dataset: Name of the data set, or None for any.
        dataset_license: Its license, or None.
        license: License of the preset.
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
    """The arguments of the `FACNN`, with its defaults, and `late_alphas`.

    Attributes:
        late_alphas: If not None, the share of the harmonic alphas that the
            layers after the middle one keep; see `zoo/alphas.py`.
    """

    num_classes: Count
    image_shape: tuple[Count, Count, Count]
    depths: tuple[Count, ...]
    maps_per_class: tuple[Count, ...]
    alpha: Literal["harmonic"] | Share | tuple[Share, ...] = "harmonic"
    late_alphas: Share | None = None
    space_to_depth: Count = 1
    classwise_layers: Annotated[int, (0, float("inf"))] = 0
    branch_depth: Count = 1
    padding: Literal["zeros", "edge"] = "zeros"
    batch_norm_gain: bool = False
    deep_alignment: Positive = 0.0
    stochastic_depth: Share = 0.0
    backbone: Backbone | None = None
    feature_layer: str | tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.late_alphas is not None and self.alpha != "harmonic":
            raise ValueError(
                "`late_alphas` needs `alpha` to be 'harmonic'. Received: "
                f"late_alphas={self.late_alphas}, alpha={self.alpha}"
            )

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the `FACNN`; a backbone is a dict."""
        arguments = dataclasses.asdict(self)
        del arguments["late_alphas"]
        if self.late_alphas is not None:
            layers = sum(self.depths)
            arguments["alpha"] = smaller_late(self.late_alphas, layers)
        return arguments


@dataclasses.dataclass(frozen=True, kw_only=True)
class PooledModel(Record):
    """The usual classifier: a backbone, an average and one dense layer."""

    num_classes: Count
    image_shape: tuple[Count, Count, Count]
    backbone: Backbone

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `zoo.networks.pooled`."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Crop(Record):
    """Random crops instead of shifts.

    Attributes:
        smallest: Least share of the area that a crop has.
        from_size: `(height, width)` of the images that are cropped; a crop is
            resized to the model's size.
    """

    smallest: Share
    from_size: tuple[Count, Count]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Teacher(Record):
    """A classifier whose probabilities are a share of the targets.

    Attributes:
        model: Name of an earlier stage, or else a preset or the path of a
            `.keras` file.
        weight: The teacher's share of the targets; the labels have the rest.
    """

    model: str
    weight: Share = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage(Record):
    """One run of a training.

    Attributes:
        name: What to call the stage and its folder.
        model: What to train.
        baseline: Network of equal cost to train instead of the FA-CNN of
            `model`, see `zoo/networks.py`; None trains `model`.
        init: Name of an earlier stage, or else a preset or the path of a
            baseline's `model.keras`, to start from; None starts from random
            weights, or from a backbone's pretrained ones.
        teacher: A `Teacher`, or None.
        freeze_backbone: Regular expression of the names of the backbone's
            layers that are not trained, or None.
        precision: Keras dtype policy.
        fit: What to do with images of another aspect ratio.
        epochs: Passes over the training images.
        batch_size: Images per step.
        optimizer: Its name.
        learning_rate: The highest.
        warmup_epochs: Epochs in which the rate rises to it.
        weight_decay: As in the optimizer.
        clip_norm: Largest norm of all gradients together, or None.
        ema: Momentum of the averaged weights, or None to average none.
        label_smoothing: Share of the targets that all classes get alike.
        evidence_penalty: What a mean logit of 1 costs.
        pad: Largest shift, in pixels; must be 0 with a `crop`.
        crop: A `Crop`, or None.
        cutout: Side of the square that is made gray, in pixels.
        cutmix, mixup: Shares of the batches that are mixed, at most 1 together.
    """

    name: str
    model: Model | PooledModel
    baseline: Literal["resnet", "plain"] | None = None
    init: str | None = None
    teacher: Teacher | None = None
    freeze_backbone: str | None = None
    precision: Literal["mixed_bfloat16", "float32"] = "mixed_bfloat16"
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

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cutmix + self.mixup > 1:
            raise ValueError(
                "`cutmix` and `mixup` must be at most 1 together. Received: "
                f"cutmix={self.cutmix}, mixup={self.mixup}"
            )
        if self.crop and self.pad:
            raise ValueError(
                "`pad` must be 0 with a `crop`, which moves images enough. "
                f"Received: pad={self.pad}, crop={self.crop}"
            )
        if self.freeze_backbone is not None and self.model.backbone is None:
            raise ValueError(
                "`freeze_backbone` needs a `backbone` of the model. Received: "
                f"freeze_backbone={self.freeze_backbone!r}"
            )
        if self.baseline is not None and self.model.backbone is not None:
            raise ValueError(
                "`baseline` needs a model without a `backbone`. Received: "
                f"baseline={self.baseline!r}, model={self.model}"
            )
        if self.evidence_penalty and self.kind != "facnn":
            raise ValueError(
                "`evidence_penalty` is only for an FA-CNN. Received: "
                f"evidence_penalty={self.evidence_penalty} of a "
                f"{self.kind} model"
            )
        _check_pattern("freeze_backbone", self.freeze_backbone)

    @property
    def kind(self) -> str:
        """`"facnn"`, `"pooled"`, `"resnet"` or `"plain"`."""
        if self.baseline is not None:
            return self.baseline
        return "pooled" if isinstance(self.model, PooledModel) else "facnn"

    @property
    def output(self) -> str:
        """The name of what the stage makes in its folder."""
        return "preset" if self.kind == "facnn" else "model.keras"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(Record):
    """How a preset is trained.

    Attributes:
        about: What the preset says of itself.
        class_folders: Regular expression of the names of the data set's class
            folders, by which `about` recognizes its own data; None if it can't.
        any_classes: Whether the model takes the classes of the data, with about
            as many channels as for those of `model`.
        train_split, validation_split: Names of the splits.
        stages: The `Stage`s in the order in which they run. The last one makes
            the preset.
    """

    about: About
    class_folders: str | None = None
    any_classes: bool = False
    train_split: str
    validation_split: str
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_pattern("class_folders", self.class_folders)
        names = [stage.name for stage in self.stages]
        # `--set` tells the keys of stages from their names.
        taken = {*field_names(Recipe), *field_names(Stage)}
        for number, stage in enumerate(self.stages):
            if (
                not re.fullmatch("[a-z][a-z0-9_]*", stage.name)
                or stage.name in taken
                or names.count(stage.name) > 1
            ):
                raise ValueError(
                    "`name` of Stage must be letters, digits and underscores, "
                    "and neither a field nor another stage's name. Received: "
                    f"name={stage.name!r}"
                )
            needed = [stage.init, stage.teacher and stage.teacher.model]
            for name in needed:
                if name in names[number:]:
                    raise ValueError(
                        f"The stage {stage.name} must come after those that it "
                        f"needs. Received: {name} is not before it"
                    )

    def stage(self, name: str) -> Stage:
        """Return the stage of a name."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        names = [stage.name for stage in self.stages]
        raise ValueError(
            f"`--stage` must be one of {', '.join(names)}. Received: "
            f"--stage {name}"
        )

    def record(self, stage: Stage) -> dict[str, Any]:
        """Return all that a stage's training depends on, as a dict.

        It lacks only the models that the stage starts from and learns from.
        """
        recipe = {
            name: getattr(self, name)
            for name in field_names(Recipe)
            if name not in ("about", "stages")
        }
        values = dataclasses.asdict(stage)
        for name in ("init", "teacher"):
            del values[name]
        return {"stage": values.pop("name"), **recipe, **values}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conversion(Record):
    """How a preset is made of a trained classifier, without training.

    Attributes:
        about: What the preset says of itself.
        classifier: Name of the classifier, as in `zoo/networks.py`.
        image_shape: `(height, width, channels)` of its images.
        dilate_last_stage: Whether its last maps are of stride 16 instead of 32.
        weights: The package that has its weights, as pip names it.
        class_table: Name of a table in `zoo/recipes/`: a header, then a row for
            each class in the order of the logits: its name in the data, a tab,
            and what to call it.
    """

    about: About
    classifier: Literal["efficientnet_lite1"]
    image_shape: tuple[Count, Count, Count]
    dilate_last_stage: bool
    weights: str
    class_table: str


def _check_pattern(name: str, pattern: str | None) -> None:
    try:
        re.compile(pattern or "")
    except re.error as e:
        raise ValueError(
            f"`{name}` must be a regular expression ({e}). Received: "
            f"{name}={pattern!r}"
        ) from e
