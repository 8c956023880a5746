"""The model: an FA-CNN."""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any
from typing import Literal
from typing import Self

import keras

from keras_facnn._backend.initializers import call_without_initializers
from keras_facnn._backend.values import read_values
from keras_facnn._checks.arguments import check_argument_names
from keras_facnn.architecture.architecture import check_architecture
from keras_facnn.architecture.backbone_config import backbone_config
from keras_facnn.architecture.classifiers import check_options
from keras_facnn.architecture.classifiers import read_classifier
from keras_facnn.architecture.freezing import freeze_layers
from keras_facnn.architecture.freezing import frozen_layers
from keras_facnn.architecture.fusing import fuse
from keras_facnn.architecture.graph import build_graph
from keras_facnn.architecture.graph import finalize_layers
from keras_facnn.architecture.leaving_out import leave_out
from keras_facnn.explaining.methods import Explaining
from keras_facnn.export.methods import Exporting
from keras_facnn.keras_model import KerasModel
from keras_facnn.metrics import exactness
from keras_facnn.presets import Presets
from keras_facnn.presets import Provenance
from keras_facnn.presets import arguments
from keras_facnn.training.deep_alignment import DeepAlignment
from keras_facnn.types import Classes
from keras_facnn.types import Images
from keras_facnn.types import Padding
from keras_facnn.types import Projection


@keras.saving.register_keras_serializable(package="keras_facnn")
class FACNN(DeepAlignment, Explaining, Presets, Exporting, KerasModel):
    """FA-CNN: an image classifier whose raw feature maps explain it.

    It is a flat functional model. `x_0` copies the pixels. FA layer `l = 1..L`
    computes `x_l = (1 - a_l) * x_{l-1} + a_l * ReLU(BN(Conv3x3(x_{l-1})))`. The
    branch can also have several such convolutions in a row. Stages are joined
    by 2x2 average pooling and a class-major repeat. The head averages the maps
    that each class owns. Channel `c * R + r` is map `r` of class `c` at every
    layer. So the mean of a class' maps at the last FA layer equals its Grad-CAM
    map up to one constant (Theorem 1). The mean of this map over the image,
    times one learned scale, is the logit (completeness). Layer names are
    `stem`, `conv_l`, `norm_l`, `relu_l` (the branch), `fa_l` and `head`.

    The paper (arXiv 2603.25798) names the layers and theorems. The equations
    here are chosen so that each claim of the paper can be proved and tested.

    Args:
        num_classes: Integer of at least 2, the number of classes C.
        image_shape: `(height, width, channels)` of the images. Height and width
            may be None (any size), otherwise they must be multiples of
            `space_to_depth * 2 ** (stages - 1)`. None means `(32, 32, 3)`, or
            the backbone's own.
        depths: Positive integers, the number of FA layers of each stage. None
            means `(8, 8, 8)`, or `(4,)` with a backbone. With a backbone, a
            stage may have no FA layers: `(0,)` makes the maps of the backbone,
            `x_0`, the last maps.
        maps_per_class: Positive integers, the number R of maps per class in
            each stage. Each must be a multiple of the one before. None means
            `(3, 6, 12)`, or `(12,)` with a backbone.
        alpha: The weight `a_l` of layer `l`'s branch: `"harmonic"` for
            `1 / (l + 1)`, a float in (0, 1) for all layers, or a sequence of
            one float per layer.
        space_to_depth: Positive integer, the side of the pixel blocks that the
            stem moves into channels.
        classwise_layers: Non-negative integer, the number of FA layers at the
            end of the model whose branches see only the maps of their own class
            (`ClasswiseConv2D`). At these layers, and at the layer before them,
            a logit depends only on the maps of its own class.
        batch_norm_gain: Whether the branches' batch norm learns a gain. It is
            off by default, because unit gain bounds the norm of a branch, and
            Theorem 2 needs that bound.
        synchronized_batch_norm: Whether batch statistics are computed over all
            replicas of a TensorFlow distribution strategy. On JAX, they always
            are. On PyTorch, each process computes its own.
        deep_alignment: Non-negative float, the weight of the deep alignment
            loss; 0 turns it off. In training, the compiled loss is also applied
            to the class logits that the head computes from each FA layer
            `l < L`. The weight of layer `l` is in proportion to `l`, and the
            weights sum to `deep_alignment`. This ties the maps of the middle
            layers to the classes, and adds no parameters.
        stochastic_depth: Float of at least 0, the share of training images for
            which the last FA layer's branch is dropped. For layer `l`, the
            share is `l / L` of this value. It must be below `1 - a_l`, because
            branches that are kept have the weight `a_l / (1 - share)`, which
            must be below 1. Dropping branches regularizes the model. It also
            aligns the maps, because a layer without its branch passes on the
            maps of the layer before. Presets do not store this argument.
        threshold: Whether the head learns a threshold `t`, so that the logit is
            `s * (mean(M_c) - t)`. Turn it on for several labels per image, with
            a sigmoid and `BinaryCrossentropy(from_logits=True)`. A class is
            then present if its logit is positive. The maps still sum to the
            logit up to one constant, `head.offset = s * t`. Without a
            threshold, no logit is negative. A softmax works with such logits,
            but a sigmoid does not.
        backbone: None, or a functional `keras.Model` that takes images in
            0..255, such as one of `keras.applications` with
            `include_top=False`. Then `x_0` is made from its maps by a 1x1
            convolution, norm and ReLU (`project`, `project_norm`, `stem`). The
            FA-CNN shares its layers and weights, in the nested model
            `model.backbone`. It can be saved only if all its layers are of
            Keras' own classes.
        feature_layer: Name of the backbone's layer whose maps to use, or
            several names. Maps of several layers are resized bilinearly to the
            finest, and concatenated. None means the backbone's output.
        projection: How a hybrid makes `x_0` from a 1x1 convolution of its
            backbone's maps. `"relu"` applies a norm and ReLU. `"excess"`
            subtracts, at each location, the least of all classes
            (`SubtractLeastClass`), as `from_classifier` does. Neither is ever
            negative.
        padding: What the branches' convolutions see beyond the border of the
            maps: `"zeros"`, or `"edge"` for copies of the outermost cells. With
            zeros, the border of raw maps is darker or brighter in every image.
            The choice does not change the shapes of the weights.
        branch_depth: Positive integer, the number of 3x3 convolutions in each
            branch, each followed by a batch norm and ReLU. Each has as many
            channels as the layer has maps. Those before the last one are named
            `conv_l_1`, `norm_l_1`, `relu_l_1` and so on. In short runs, half as
            many FA layers of two convolutions were more accurate at about the
            same cost, and their maps more similar to Grad-CAM
            (`zoo/results/ablations.md`). A model without FA layers has none.
        dtype: Dtype policy of all layers, such as `"mixed_bfloat16"`. None
            means the global policy. The head always computes in float32, and
            the layers of a backbone keep the policy that they were built with.
        **kwargs: `name` and `trainable`, as in `keras.Model`.

    Raises:
        TypeError: If `kwargs` has a name that is not an argument.
        ValueError: If an argument has an invalid value.

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
        projection: Projection = "relu",
        padding: Padding = "zeros",
        branch_depth: int = 1,
        dtype: Any = None,
        **kwargs: Any,
    ):
        # These are not public arguments. `fuse`, `without` and saved models set
        # them in a config.
        fused = kwargs.pop("fused", False)
        left_out = kwargs.pop("left_out", None)
        # Keras would ignore unknown arguments.
        check_argument_names("FACNN", kwargs, [*arguments(FACNN), "trainable"])
        architecture = check_architecture(
            num_classes,
            image_shape=image_shape,
            depths=depths,
            maps_per_class=maps_per_class,
            alpha=alpha,
            space_to_depth=space_to_depth,
            classwise_layers=classwise_layers,
            padding=padding,
            branch_depth=branch_depth,
            projection=projection,
            batch_norm_gain=batch_norm_gain,
            synchronized_batch_norm=synchronized_batch_norm,
            stochastic_depth=stochastic_depth,
            fused=fused,
            threshold=threshold,
            hybrid=backbone is not None,
            left_out=left_out,
            dtype=dtype,
        )
        try:
            images, logits, size_rules = build_graph(
                architecture, backbone, feature_layer
            )
            super().__init__(
                images,
                logits,
                architecture.num_layers,
                deep_alignment,
                **kwargs,
            )
        except RecursionError as e:
            # Keras calls itself for each layer of the longest path.
            raise ValueError(
                "`depths` and `branch_depth` must give a path of fewer layers "
                f"than Python's limit of calls, {sys.getrecursionlimit():,}. "
                f"Received: depths={architecture.depths}, "
                f"branch_depth={branch_depth}"
            ) from e
        self.architecture = architecture
        self.provenance = Provenance()
        self.image_shape = tuple(images.shape[1:])
        self.size_rules = size_rules
        self.num_classes = architecture.num_classes
        self.depths = architecture.depths
        self.maps_per_class = architecture.maps_per_class
        self.space_to_depth = architecture.space_to_depth
        self.classwise_layers = architecture.classwise_layers
        self.projection = architecture.projection
        self.padding = architecture.padding
        self.branch_depth = architecture.branch_depth
        self.batch_norm_gain = architecture.batch_norm_gain
        self.synchronized_batch_norm = architecture.synchronized_batch_norm
        self.stochastic_depth = architecture.stochastic_depth
        self.threshold = architecture.threshold
        self.fused = architecture.fused
        if self.fused:
            self.trainable = False

    @classmethod
    def from_classifier(
        cls,
        classifier: keras.Model,
        class_names: Sequence[str] | None = None,
        stride: int | None = None,
        **options: Any,
    ) -> Self:
        """Convert a trained classifier, exactly and without training.

        A classifier that ends in global average pooling and one dense layer
        already spreads its logits over its last maps: `z_c = W_c . f + b_c` at
        each location averages to the logit (class activation maps, CAM). The
        FA-CNN takes the same map from every class, `x_0,c = z_c - min_k z_k`.
        Then no map is negative, and softmax of the logits is that of the
        classifier. Theorem 1, completeness, centered maps and contrasts hold
        for `x_0`, which are the only maps: there are no FA layers, and nothing
        is claimed of the maps before.

        A classifier with one sigmoid output, or the logit of one, becomes a
        model of two classes, "no" and "yes" in this order.

        Source: Zhou et al., "Learning Deep Features for Discriminative
        Localization", arXiv 1512.04150 (CAM).

        Args:
            classifier: Functional or sequential `keras.Model` from images
                `(B, H, W, channels)`, 0..255, to `(B, C)`. It ends in
                `GlobalAveragePooling2D` and one `Dense` (or 1x1 `Conv2D`),
                maybe with `Dropout` or `Flatten` between them, and with a
                softmax, one sigmoid, or nothing after them. Any of these
                layers may be in a nested model. The model must rescale the
                pixels itself; if it expects other values, put its
                preprocessing before it: `keras.Sequential([keras.Input(shape),
                keras.layers.Rescaling(1 / 255), classifier])`. Its layers and
                weights are shared, except those of the dense layer, which are
                copied.
            class_names: Unique strings, the names of the C classes in the
                order of the outputs. None means no names.
            stride: Pixels per cell of the maps, such as 16 instead of 32. The
                last halvings become dilated convolutions with the same weights
                (copied), so that the maps are finer. The answers then differ
                slightly. None keeps the classifier's own maps.
            **options: Further arguments of `FACNN`, such as `depths=(2,)` for
                FA layers on top, which must then be trained. The classifier
                determines `backbone`, `num_classes` and `projection`.

        Returns:
            A `FACNN`, not compiled. Its outputs are logits.

        Raises:
            ValueError: If the classifier does not end in these layers, or if
                another argument has an invalid value.

        Example:

        >>> import keras
        >>> import numpy as np
        >>> import keras_facnn
        >>> classifier = keras.Sequential(
        ...     [
        ...         keras.Input((32, 32, 3)),
        ...         keras.layers.Rescaling(1 / 255),
        ...         keras.layers.Conv2D(8, 3, strides=4, activation="relu"),
        ...         keras.layers.GlobalAveragePooling2D(),
        ...         keras.layers.Dense(3, activation="softmax"),
        ...     ]
        ... )
        >>> model = keras_facnn.FACNN.from_classifier(
        ...     classifier, class_names=["ant", "bee", "cat"]
        ... )
        >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
        >>> expected = classifier.predict(images, verbose=0)
        >>> got = model.probabilities(model.predict(images, verbose=0))
        >>> bool(np.allclose(got, expected, atol=1e-6))
        True
        >>> model.class_maps(images).shape
        (2, 8, 8, 3)
        """
        check_options(options)
        model = read_classifier(classifier, stride).convert(cls, **options)
        if class_names is not None:
            # A string would be one name per letter.
            is_text = isinstance(class_names, str)
            names = class_names if is_text else list(class_names)
            model.preset_metadata = {"class_names": names}
        return model

    def get_config(self) -> dict[str, Any]:
        backbone = self.backbone
        return {
            **dataclasses.replace(self.architecture, alpha=self.alpha).config(),
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
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> Self:
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

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies of this model, by `pickle` or `copy.deepcopy`, get its weights.
        reduced: Any = super().__reduce__()
        load, arguments = reduced
        return call_without_initializers, (load, *arguments)

    def set_weights(self, weights: Sequence[Any]) -> None:
        super().set_weights(weights)
        finalize_layers(self)

    def get_weights(self) -> list[Any]:
        # On JAX, Keras takes the weights out of the model during training. This
        # raises a clear error then.
        read_values(self.weights)
        return super().get_weights()

    @property
    def alphas(self) -> tuple[float, ...]:
        """The weight of the branch of each FA layer, L floats."""
        names = map(
            self.architecture.layer_name,
            range(1, self.architecture.num_layers + 1),
        )
        return tuple(self.get_layer(name).alpha for name in names)

    @property
    def alpha(self) -> str | float | tuple[float, ...]:
        """The argument, or one float per layer if they were changed since."""
        alphas = self.alphas
        if alphas == self.architecture.alphas:
            return self.architecture.alpha
        return alphas

    @property
    def left_out(self) -> dict[str, Any] | None:
        """What `without` left out, in types of JSON, or None.

        It is a dict of `"maps"`, pairs of class and map, and `"locations"`,
        triples of class, row and column of the last maps, whose `"size"` it
        names, too. A class of None means all classes.
        """
        return self.architecture.left_out

    @property
    def backbone(self) -> keras.Model | None:
        """The backbone of a hybrid, a model from images to maps, or None."""
        return next((x for x in self.layers if x.name == "backbone"), None)

    def verify(
        self, images: Images, classes: Classes = "all", batch_size: int = 32
    ) -> dict[str, float]:
        """Measure how exactly the model keeps its promises on some images.

        Args:
            images: Array `(B, H, W, channels)`, 0..255, any real dtype.
            classes: The classes to check, as in `class_maps`.
            batch_size: Positive integer, images per forward pass.

        Returns:
            A dict of floats, see `keras_facnn.metrics.exactness`.

        Example:

        >>> import numpy as np
        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
        >>> model.verify(images)["theorem_1_correlation"] > 0.99999
        True
        """
        return exactness(self, images, classes, batch_size=batch_size)

    # --- Inference ---

    def fuse(self) -> Self:
        """Return a copy for inference, with norms folded into convolutions.

        Because `a * relu(z) = relu(a * z)`, the kernel and bias of `conv_l` can
        include the norm and `a_l` of FA layer `l`. Then
        `x_l = (1 - a_l) * x_{l-1} + relu_l`. This computes the same numbers
        with fewer passes over memory. The copy has no layers `norm_l`, and its
        `relu_l` return `a_l` times the branch. All other names, maps, evidence
        and logits stay the same. The copy keeps `class_names`, and the part of
        `preset_metadata` that still describes the weights.

        Returns:
            A `FACNN` that predicts, explains, saves and loads like this one. It
            cannot be trained; compile it only to call `evaluate`.

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

    # --- What if ---

    def without(
        self,
        maps: Any = None,
        places: Any = None,
        classes: Any = None,
        reason: Any = None,
    ) -> Self:
        """Return a copy that leaves some of its evidence out.

        Some of a class' R maps, or some places of the image, are set to zero
        before the head. The head still divides by R and by the number of
        locations, so a logit loses exactly the evidence that is left out:

        - Without places P, `y_c` becomes `y_c - s / (h w) * sum over P of M_c`.
          Here `M_c` is the class map, and `s` is `head.scale`.
        - Without map `r` of class `c`, `y_c` becomes
          `y_c - s / R * mean(x_{c,r})`. Here `x_{c,r}` is channel `c * R + r`
          of `feature_extractor`.

        So the answers are known from stored maps, without this copy. The copy
        is for what needs a model: `evaluate`, explanations, exports and
        training go on without that evidence. Theorem 1 and completeness hold.

        This shows what the evidence is worth to the answer. It does not show
        what the model would say if nothing were to be seen there, or if it had
        been trained without it. All layers before the last maps still see the
        whole image, so evidence at a neighboring location may be due to the
        same thing. To see that, cover the place in the images.

        Args:
            maps: The maps to leave out: a dict from classes to numbers of
                their maps, 0 to R - 1, such as `{"dress": [0, 3]}`, or a
                sequence of pairs `(class, number)`. Classes are numbers or
                names.
            places: The places to leave out: booleans `(h, w)` over the whole
                image, such as one per location of the last maps or one per
                pixel; or a box `(left, top, right, bottom)` in pixels of the
                image, or several `(N, 4)`. Each location that they touch is
                left out.
            classes: The class, or the sequence of classes, whose places are
                left out. None means all of them, as if nothing were known
                about these places. If places are left out of one class only,
                its rivals keep their evidence there.
            reason: A reason of `keras_facnn.audit`, whose `places` are left out
                for all classes: the locations where at least half of its images
                have it. A reason without a fixed place has none.

        Returns:
            A `FACNN` with the same weights, copied, not compiled. `left_out`
            says what it leaves out. Several calls of `without` add up. It
            fuses, saves and loads like this one, but keeps the size of the
            images if places are left out.

        Raises:
            ValueError: If nothing, or all of the evidence, would be left out;
                if a class, a map or a place does not exist; or if places are
                left out of a model of any image size.

        Example:

        >>> import keras
        >>> import numpy as np
        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(4,))
        >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
        >>> corner = np.zeros((32, 32), bool)
        >>> corner[:8, :8] = True
        >>> logits, maps = model.predict_with_maps(images)
        >>> scale = float(keras.ops.convert_to_numpy(model.head.scale))
        >>> lost = scale / 32**2 * maps[:, corner].sum(axis=1)
        >>> found = model.without(places=corner).predict(images, verbose=0)
        >>> bool(np.allclose(found, logits - lost, atol=1e-5))
        True
        """
        copy = leave_out(self, maps, places, classes, reason)
        copy.provenance = self.provenance.of_part(self)
        return copy
