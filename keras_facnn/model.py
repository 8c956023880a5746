import os
import types
from collections.abc import Sequence
from typing import Any
from typing import Literal

import keras

from keras_facnn._backend.values import read_values
from keras_facnn._checks.arguments import check_argument_names
from keras_facnn.architecture.architecture import check_architecture
from keras_facnn.architecture.backbone_config import backbone_config
from keras_facnn.architecture.freezing import freeze_layers
from keras_facnn.architecture.freezing import frozen_layers
from keras_facnn.architecture.fusing import fuse
from keras_facnn.architecture.graph import build_graph
from keras_facnn.architecture.graph import finalize_layers
from keras_facnn.explaining.explaining import Explaining
from keras_facnn.export.exporting import Exporting
from keras_facnn.keras_model import KerasModel
from keras_facnn.presets import BundledPresets
from keras_facnn.presets import Provenance
from keras_facnn.presets import arguments
from keras_facnn.presets import check_metadata
from keras_facnn.presets import load_preset
from keras_facnn.presets import save_preset
from keras_facnn.training.deep_alignment import DeepAlignment
from keras_facnn.types import Padding
from keras_facnn.types import WeightsDtype


@keras.saving.register_keras_serializable(package="keras_facnn")
class FACNN(DeepAlignment, Explaining, Exporting, KerasModel):
    """FA-CNN: an image classifier whose raw feature maps explain it.

    A flat functional model. `x_0` copies the pixels; FA layer `l = 1..L`
    computes `x_l = (1 - a_l) * x_{l-1} + a_l * ReLU(BN(Conv3x3(x_{l-1})))`;
    stages are joined by 2x2 average pooling and a class-major repeat; the head
    averages the maps that each class owns. Channel `c * R + r` is map `r` of
    class `c` at every depth, so the mean of a class' maps at the last FA layer
    equals its Grad-CAM map (Theorem 1), and its mean over the image, times one
    learned scale, is the logit (completeness). Layer names are `stem`,
    `conv_l`, `norm_l`, `relu_l` (the branch), `fa_l` and `head`.

    The paper (arXiv 2603.25798) names the layers and theorems; the equations
    here are chosen such that each of its claims can be proved and tested.

    Args:
        num_classes: Integer of at least 2, the number of classes C.
        image_shape: `(height, width, channels)` of the images. Height and
            width may be None (any size), otherwise they must be multiples of
            `space_to_depth * 2 ** (stages - 1)`. None is `(32, 32, 3)`, or the
            backbone's own.
        depths: Number of FA layers of each stage, positive integers. None is
            `(8, 8, 8)`, or `(4,)` with a backbone.
        maps_per_class: Maps R of each class in each stage, as many as
            `depths`. Each must be a multiple of the one before. None is
            `(3, 6, 12)`, or `(12,)` with a backbone.
        alpha: The weight `a_l` of layer `l`'s branch: `"harmonic"` for
            `1 / (l + 1)`, a float in (0, 1) for all layers, or a sequence of
            one float a layer.
        space_to_depth: Positive integer, the side of the pixel blocks that the
            stem moves into channels.
        classwise_layers: Non-negative integer, how many of the last FA layers
            have branches that see only the maps of their own class
            (`ClasswiseConv2D`). From the layer before them on, no logit
            depends on another class' maps.
        batch_norm_gain: Whether the branches' batch norm learns a gain. Off by
            default: unit gain bounds the norm of a branch, which is what gives
            the bound of Theorem 2 its meaning.
        synchronized_batch_norm: Whether batch statistics are taken over all
            replicas under a TensorFlow distribution strategy. On JAX they
            always are; on PyTorch each process keeps its own.
        deep_alignment: Non-negative float, the weight of the deep alignment
            loss; 0 turns it off. In training, the compiled loss is also
            applied to the class logits that the head reads off each FA layer
            `l < L`, weighted in proportion to `l` with weights that sum to
            `deep_alignment`. It ties the maps of the middle layers to the
            classes and adds no weights.
        stochastic_depth: Float of at least 0, the share of training images for
            which the last FA layer's branch is left out; that of layer `l` is
            `l / L` of it, and must be below `1 - a_l`, since the branches that
            are left in weigh `a_l / (1 - share)`, less than all. It
            regularizes, and a layer whose branch is left out is aligned by
            construction. Presets do not keep it.
        threshold: Whether the head learns a threshold `t`, so that the logit is
            `s * (mean(M_c) - t)`. Without it no logit is negative, which
            softmax does not mind; for several labels an image, by sigmoid and
            `BinaryCrossentropy(from_logits=True)`, turn it on, and count a
            class as present where its logit is positive. The maps still sum to
            the logit up to one constant, `s * t`, which is `head.offset`.
        backbone: None, or a functional `keras.Model` of images 0..255, such as
            one of `keras.applications` with `include_top=False`: `x_0` is a
            1x1 convolution, norm and ReLU (`project`, `project_norm`, `stem`)
            of its maps. Its layers and weights are shared, as the nested model
            `model.backbone`. Only layers of Keras' own classes can be saved.
        feature_layer: Name of the backbone's layer whose maps to take, or
            several, whose maps are resized to the finest, bilinearly, and
            concatenated. None is the backbone's output.
        padding: What the branches' convolutions see beyond the border of the
            maps: `"zeros"`, or `"edge"`, copies of the outermost cells. Zeros
            make the border of raw maps darker or brighter, whatever the image
            shows; weights are of one shape either way.
        dtype: Dtype policy of all layers, such as `"mixed_bfloat16"`. None is
            the global policy. The head always computes in float32, and the
            layers of a backbone keep the policy that they were built with.
        **kwargs: `name` and `trainable`, as in `keras.Model`.

    Raises:
        TypeError: If there is no argument of a name that was given.
        ValueError: If an argument has a value that it can't have.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(
    ...     num_classes=10, depths=(1, 2), maps_per_class=(1, 2)
    ... )
    >>> images = np.zeros((4, 32, 32, 3), "uint8")
    >>> model.predict(images, verbose=0).shape
    (4, 10)
    >>> model.class_maps(images).shape
    (4, 16, 16, 10)

    A hybrid on a frozen backbone:

    >>> inputs = keras.Input((32, 32, 3))
    >>> x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    >>> x = keras.layers.Conv2D(8, 3, strides=4, padding="same")(x)
    >>> model = keras_facnn.FACNN(10, backbone=keras.Model(inputs, x))
    >>> model.backbone.trainable = False
    >>> model.class_maps(images).shape
    (4, 8, 8, 10)
    """

    def __init__(
        self,
        num_classes: int,
        image_shape: Sequence[int | None] | None = None,
        depths: Sequence[int] | None = None,
        maps_per_class: Sequence[int] | None = None,
        alpha: Literal["harmonic"] | float | Sequence[float] = "harmonic",
        space_to_depth: int = 1,
        classwise_layers: int = 0,
        batch_norm_gain: bool = False,
        synchronized_batch_norm: bool = False,
        deep_alignment: float = 0.0,
        stochastic_depth: float = 0.0,
        threshold: bool = False,
        backbone: keras.Model | dict | None = None,
        feature_layer: str | Sequence[str] | None = None,
        padding: Padding = "zeros",
        dtype: Any = None,
        **kwargs,
    ):
        # Not an argument: `fuse` and saved models set it in a config.
        fused = kwargs.pop("fused", False)
        # Keras ignores unknown arguments.
        check_argument_names("FACNN", kwargs, [*arguments(FACNN), "trainable"])
        architecture = check_architecture(
            num_classes,
            image_shape,
            depths,
            maps_per_class,
            alpha,
            space_to_depth,
            classwise_layers,
            padding,
            batch_norm_gain,
            synchronized_batch_norm,
            stochastic_depth,
            fused=fused,
            threshold=threshold,
            hybrid=backbone is not None,
            dtype=dtype,
        )
        images, logits, size_rules = build_graph(
            architecture, backbone, feature_layer
        )
        super().__init__(inputs=images, outputs=logits, **kwargs)
        self.architecture = architecture
        self.image_shape = tuple(images.shape[1:])
        self.size_rules = size_rules
        self.num_classes = architecture.num_classes
        self.depths = architecture.depths
        self.maps_per_class = architecture.maps_per_class
        self.alpha = architecture.alpha
        self.alphas = architecture.alphas
        self.space_to_depth = architecture.space_to_depth
        self.classwise_layers = architecture.classwise_layers
        self.padding = architecture.padding
        self.batch_norm_gain = architecture.batch_norm_gain
        self.synchronized_batch_norm = architecture.synchronized_batch_norm
        self.stochastic_depth = architecture.stochastic_depth
        self.threshold = architecture.threshold
        self.fused = architecture.fused
        # What Keras must not track, or it would save it.
        self._untracked = types.SimpleNamespace(
            depths=keras.Model(
                self.input,
                [
                    self.get_layer(f"fa_{layer}").output
                    for layer in range(1, architecture.num_layers)
                ]
                + self.outputs,
            ),
            # On JAX, what Keras has taken out of the model.
            held=(),
        )
        self.provenance = Provenance()
        self.deep_alignment = deep_alignment
        if self.fused:
            self.trainable = False

    def get_config(self) -> dict[str, Any]:
        backbone = self.backbone
        return {
            **self.architecture.config(),
            "image_shape": list(self.image_shape),
            "deep_alignment": self.deep_alignment,
            "backbone": backbone
            and backbone_config(backbone, self.architecture.dtype.name),
            "name": self.name,
            "trainable": self.trainable,
            "frozen_layers": frozen_layers(self),
            **self.provenance.config(),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        trainable = config.pop("trainable", True)
        frozen = config.pop("frozen_layers", ())
        provenance = Provenance.pop_from(config)
        model = cls(**config)
        model.provenance = provenance
        if model.fused:
            return model
        if model.trainable != trainable:
            model.trainable = trainable
        freeze_layers(model, frozen)
        return model

    def set_weights(self, weights):
        super().set_weights(weights)
        finalize_layers(self)

    def get_weights(self):
        # Says why where Keras has taken them out of the model.
        read_values(self.weights)
        return super().get_weights()

    @property
    def backbone(self) -> keras.Model | None:
        """A hybrid's backbone, a nested model of images to maps, or None."""
        return next((x for x in self.layers if x.name == "backbone"), None)

    # --- Presets ---

    presets = BundledPresets()

    @property
    def preset_metadata(self):
        """Metadata of the preset that the weights came from, or None.

        A dict, whose `"class_names"` (where the preset has them) name the
        logits. Copies of the model, by `save`, `pickle` or `copy.deepcopy`,
        keep it but for its `"metrics"`. It can be set, to a dict that JSON can
        hold; class names must be strings, unique, one a class.
        """
        return self.provenance.metadata

    @preset_metadata.setter
    def preset_metadata(self, metadata):
        self.provenance.metadata = check_metadata(metadata, self.num_classes)

    @property
    def class_names(self):
        """The names of the classes, a list of C strings, or None."""
        return (self.preset_metadata or {}).get("class_names")

    @classmethod
    def from_preset(
        cls,
        handle: str | os.PathLike,
        load_weights: bool = True,
        **overrides: Any,
    ) -> "FACNN":
        """Builds a model from a preset, with its trained weights.

        The weights are checked against the SHA-256 in the preset's metadata,
        and every one of them must fit; there are never random weights instead.
        So are config and metadata; a preset of before metadata were signed is
        read too. No code from a preset is run. What was downloaded from a web
        server is kept in `keras_facnn` under `KERAS_HOME` (`~/.keras` by
        default); from the Hugging Face Hub, in its library's own cache.

        Args:
            handle: What to load: the name of a bundled preset (see
                `FACNN.presets`), a local folder (`~` is home),
                `hf://user/repo` or `hf://user/repo@revision` on the Hugging
                Face Hub (needs `pip install 'keras-facnn[hub]'`, whose
                `HF_TOKEN`, `HF_HOME` and `HF_HUB_OFFLINE` hold), or
                `https://...`, the URL of a folder.
            load_weights: Whether to load the weights. Without them, any
                argument can be overridden.
            **overrides: Arguments of `FACNN` to change. With weights, those
                that leave their meaning alone: `image_shape` (FA-CNN reads any
                size), `deep_alignment`, `synchronized_batch_norm`, `dtype`,
                `name`, and `num_classes`, for transfer: each stage keeps its
                width as nearly as the number of classes divides it, every
                weight that fits is kept, and a warning says how much was cut or
                extended. The preset's record, its class names included, moves
                to `preset_metadata["transferred_from"]`, also where the number
                is the preset's own: leave it out to go on with its classes.

        Returns:
            A `FACNN`, not compiled. Its `preset_metadata` says what it was
            trained on and the names of its classes.

        Raises:
            TypeError: If `overrides` has a name that is no argument.
            ValueError: If the preset is unknown, damaged or not an FA-CNN.
            FileNotFoundError: If a local folder lacks a file.
            ConnectionError: If a remote preset cannot be reached.
            ImportError: If `hf://` lacks its library.

        Example:

        >>> import tempfile
        >>> import keras_facnn
        >>> folder = tempfile.mkdtemp()
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> model.save_to_preset(folder)
        >>> keras_facnn.FACNN.from_preset(folder, num_classes=5).output.shape
        (None, 5)
        """
        return load_preset(cls, handle, load_weights, **overrides)

    def save_to_preset(
        self,
        directory: str | os.PathLike,
        metadata: dict | None = None,
        weights_dtype: WeightsDtype = "float32",
    ) -> None:
        """Writes the model as a preset, a folder that `from_preset` reads.

        The folder appears only when it is complete; a kill loses neither the
        old preset nor the new one. It holds `config.json`, `model.weights.h5`
        (which `load_weights` reads too) and `metadata.json`, to which the
        versions, the parameter count, the input and the SHA-256 of all three
        files are added. What the preset that the model came from says in its
        metadata is handed on; its `metrics` only while the weights are the
        same. Once these were trained on, its `description`, `dataset` and
        `training` stand under `transferred_from`.

        Args:
            directory: Path of a new or empty folder, or of a preset to
                replace. `~` is home; where a link stands, its target is
                replaced.
            metadata: Optional dict that JSON can hold, NumPy's scalars and
                arrays included: what readers of the preset should know, such
                as `description`, `class_names` (strings, unique, one a
                class), `dataset`, `license`, `metrics`. It overrides what is
                handed on.
            weights_dtype: `"float32"`, which round-trips bit for bit, or
                `"float16"`, which halves the file.

        Raises:
            ValueError: If `directory` holds other files or is the name of a
                bundled preset, if JSON cannot hold `metadata`, or if weights
                are not finite in `weights_dtype`.

        Example:

        >>> import tempfile
        >>> import keras_facnn
        >>> folder = tempfile.mkdtemp()
        >>> model = keras_facnn.FACNN(2, depths=(2,), maps_per_class=(1,))
        >>> model.save_to_preset(folder, {"class_names": ["ant", "bee"]})
        >>> model = keras_facnn.FACNN.from_preset(folder)
        >>> model.preset_metadata["class_names"]
        ['ant', 'bee']
        """
        save_preset(self, directory, metadata, weights_dtype)

    # --- Inference ---

    def fuse(self) -> "FACNN":
        """Return a copy for inference, with norms folded into convolutions.

        Since `a * relu(z) = relu(a * z)`, norm and `a_l` of FA layer `l` go
        into kernel and bias of `conv_l`, and `x_l = (1 - a_l) * x_{l-1} +
        relu_l`: the same numbers with fewer passes over memory. The copy has
        no layers `norm_l`, and its `relu_l` return `a_l` times the branch.
        All other names, maps, evidence and logits stay the same, and so do
        `class_names` and what still holds of `preset_metadata`.

        Returns:
            A `FACNN` that predicts, explains, saves and loads as this one, but
            cannot be trained (`compile` is there for `evaluate`).

        Example:

        >>> import numpy as np
        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> fused = model.fuse()
        >>> images = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3))
        >>> a, b = (m.predict(images, verbose=0) for m in (model, fused))
        >>> bool(np.allclose(a, b, atol=1e-4))
        True
        """
        fused = fuse(self)
        fused.provenance = self.provenance.of_fused(self)
        return fused
