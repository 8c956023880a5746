import math
import warnings

import keras
import numpy as np
from keras import layers
from keras import ops

from keras_facnn.attribution import grad_cam
from keras_facnn.layers import ClassMajorRepeat
from keras_facnn.layers import DampenedSkip
from keras_facnn.layers import GlobalAvgPool3DHead
from keras_facnn.layers import PixelStem
from keras_facnn.layers.validation import is_number
from keras_facnn.layers.validation import positive_int
from keras_facnn.maps import check_classes
from keras_facnn.maps import check_images
from keras_facnn.maps import pick_classes
from keras_facnn.metrics import pearson
from keras_facnn.presets import bundled_presets
from keras_facnn.presets import load_preset
from keras_facnn.presets import save_preset


class _BundledPresets:
    """What `FACNN.presets` gives, on the class as on a model."""

    def __get__(self, model, cls):
        return bundled_presets()


@keras.saving.register_keras_serializable(package="keras_facnn")
class FACNN(keras.Model):
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
            `space_to_depth * 2 ** (stages - 1)`.
        depths: Number of FA layers of each stage, positive integers.
        maps_per_class: Maps R of each class in each stage, as many as
            `depths`. Each must be a multiple of the one before.
        alpha: The weight `a_l` of layer `l`'s branch: `"harmonic"` for
            `1 / (l + 1)`, a float in (0, 1) for all layers, or a sequence of
            one float a layer.
        space_to_depth: Positive integer, the side of the pixel blocks that the
            stem moves into channels.
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
        stochastic_depth: Float in [0, 1), the share of training images for
            which the last FA layer's branch is left out; that of layer `l` is
            `l / L` of it. It regularises, and a layer whose branch is left out
            is aligned by construction. Presets do not keep it.
        dtype: Dtype policy of all layers, such as `"mixed_bfloat16"`. None is
            the global policy. The head always computes in float32.
        **kwargs: Base model keyword arguments, such as `name`.

    Example:

    >>> model = keras_facnn.FACNN(
    ...     num_classes=10, depths=(1, 2), maps_per_class=(1, 2)
    ... )
    >>> images = np.zeros((4, 32, 32, 3), "uint8")
    >>> model.predict(images, verbose=0).shape
    (4, 10)
    >>> model.class_maps(images).shape
    (4, 16, 16, 10)
    """

    def __init__(
        self,
        num_classes,
        image_shape=(32, 32, 3),
        depths=(8, 8, 8),
        maps_per_class=(3, 6, 12),
        alpha="harmonic",
        space_to_depth=1,
        batch_norm_gain=False,
        synchronized_batch_norm=False,
        deep_alignment=0.0,
        stochastic_depth=0.0,
        dtype=None,
        **kwargs,
    ):
        num_classes = positive_int("num_classes", num_classes)
        if num_classes < 2:
            raise ValueError(
                "`num_classes` must be at least 2. "
                f"Received: num_classes={num_classes}"
            )
        space_to_depth = positive_int("space_to_depth", space_to_depth)
        depths = _positive_ints("depths", depths)
        maps_per_class = _positive_ints("maps_per_class", maps_per_class)
        _check_stages(depths, maps_per_class)
        image_shape = _check_image_shape(
            image_shape, space_to_depth * 2 ** (len(depths) - 1)
        )
        alphas = _alphas(alpha, sum(depths))
        if not is_number(stochastic_depth) or not 0 <= stochastic_depth < 1:
            raise ValueError(
                "`stochastic_depth` must be a number from 0 to below 1. "
                f"Received: stochastic_depth={stochastic_depth!r}"
            )
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())

        # === Layers ===
        sync = (
            bool(synchronized_batch_norm)
            and keras.backend.backend() == "tensorflow"
        )

        def fa_layer(x, level, channels):
            branch = layers.Conv2D(
                channels,
                3,
                padding="same",
                use_bias=False,
                dtype=policy,
                name=f"conv_{level}",
            )(x)
            norm = layers.BatchNormalization(
                # Keras' 0.99 trails hundreds of steps behind the weights.
                momentum=0.9,
                scale=bool(batch_norm_gain),
                synchronized=sync,
                dtype=policy,
                name=f"norm_{level}",
            )
            branch = norm(branch)
            # Keras keeps these as a tracked list, at which torch.compile gives
            # up on the whole model; a tuple compiles.
            norm._reduction_axes = tuple(norm._reduction_axes)
            branch = layers.ReLU(dtype=policy, name=f"relu_{level}")(branch)
            return DampenedSkip(
                alphas[level - 1],
                drop_rate=stochastic_depth * level / len(alphas),
                dtype=policy,
                name=f"fa_{level}",
            )([x, branch])

        # === Functional graph ===
        inputs = keras.Input(image_shape, name="images")
        x = PixelStem(
            num_classes,
            maps_per_class[0],
            space_to_depth,
            scale=1 / 255,
            dtype=policy,
            name="stem",
        )(inputs)
        level = 0
        for stage, (depth, maps) in enumerate(
            zip(depths, maps_per_class, strict=True)
        ):
            if stage:
                x = layers.AveragePooling2D(
                    2, dtype=policy, name=f"pool_{stage}"
                )(x)
                x = ClassMajorRepeat(
                    maps // maps_per_class[stage - 1],
                    dtype=policy,
                    name=f"repeat_{stage}",
                )(x)
            for _ in range(depth):
                level += 1
                x = fa_layer(x, level, num_classes * maps)
        outputs = GlobalAvgPool3DHead(
            num_classes, maps_per_class[-1], dtype=policy, name="head"
        )(x)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.num_classes = num_classes
        self.image_shape = image_shape
        self.depths = depths
        self.maps_per_class = maps_per_class
        self.alpha = float(alpha) if is_number(alpha) else alpha
        if isinstance(alpha, (list, tuple)):
            self.alpha = alphas
        self.space_to_depth = space_to_depth
        self.batch_norm_gain = bool(batch_norm_gain)
        self.synchronized_batch_norm = bool(synchronized_batch_norm)
        self.stochastic_depth = float(stochastic_depth)
        self.alphas = alphas
        self._policy_name = policy.name
        self._untracked = _Untracked(
            readers={},
            depths=keras.Model(
                self.input,
                [
                    self.get_layer(f"fa_{level}").output
                    for level in range(1, len(alphas))
                ]
                + self.outputs,
            ),
            depth_maps=None,
            preset_metadata=None,
            preset_weights=None,
        )
        self.deep_alignment = deep_alignment

    def get_config(self):
        config = {
            "num_classes": self.num_classes,
            "image_shape": list(self.image_shape),
            "depths": list(self.depths),
            "maps_per_class": list(self.maps_per_class),
            "alpha": (
                list(self.alpha)
                if isinstance(self.alpha, tuple)
                else self.alpha
            ),
            "space_to_depth": self.space_to_depth,
            "batch_norm_gain": self.batch_norm_gain,
            "synchronized_batch_norm": self.synchronized_batch_norm,
            "deep_alignment": self.deep_alignment,
            "stochastic_depth": self.stochastic_depth,
            "dtype": self._policy_name,
            "name": self.name,
            "trainable": self.trainable,
            "frozen_layers": [x.name for x in self.layers if not x.trainable],
        }
        if self.preset_metadata is not None:
            # What was measured is left to the weights it was measured with.
            config["preset_metadata"] = {
                k: v for k, v in self.preset_metadata.items() if k != "metrics"
            }
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        trainable = config.pop("trainable", True)
        frozen = config.pop("frozen_layers", ())
        metadata = config.pop("preset_metadata", None)
        model = cls(**config)
        model.preset_metadata = metadata
        model.trainable = trainable
        for layer in model.layers:
            layer.trainable = layer.name not in frozen
        return model

    @property
    def num_layers(self):
        """L, the number of FA layers."""
        return len(self.alphas)

    @property
    def head(self):
        """The `GlobalAvgPool3DHead`."""
        return self.get_layer("head")

    # --- Deep alignment ---

    @property
    def deep_alignment(self):
        """Weight of the deep alignment loss; 0 is off."""
        return self._deep_alignment

    @deep_alignment.setter
    def deep_alignment(self, weight):
        if not is_number(weight) or not 0 <= weight < math.inf:
            raise ValueError(
                "`deep_alignment` must be a non-negative number. "
                f"Received: deep_alignment={weight!r}"
            )
        self._deep_alignment = float(weight)
        # A train function that is already traced holds the old weight.
        self.train_function = None

    @property
    def _aligns(self):
        # A single FA layer has none before it to align.
        return self.deep_alignment > 0 and self.num_layers > 1

    def call(self, inputs, training=None, mask=None):
        if not (training and self._aligns):
            return super().call(inputs, training=training, mask=mask)
        *maps, logits = self._untracked.depths(inputs, training=True)
        # `compute_loss` takes these in the same step of the same trace.
        self._untracked.depth_maps = maps
        return logits

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        loss = super().compute_loss(
            x=x,
            y=y,
            y_pred=y_pred,
            sample_weight=sample_weight,
            training=training,
        )
        maps, self._untracked.depth_maps = self._untracked.depth_maps, None
        if not (training and self._aligns):
            return loss
        if maps is None or self._compile_loss is None:
            raise ValueError(
                f"deep_alignment={self.deep_alignment} needs a loss from "
                "`compile`, and `compute_loss(training=True)` right after a "
                "call of the model with training=True. Otherwise set "
                "`model.deep_alignment = 0`."
            )
        total = sum(range(1, self.num_layers))
        for level, level_maps in enumerate(maps, start=1):
            loss = loss + (
                self.deep_alignment * level / total
            ) * self._compile_loss(
                y, self.head.logits(level_maps), sample_weight
            )
        return loss

    # --- Explanations ---

    def feature_extractor(self, layers=None):
        """A model of the raw feature maps of some FA layers.

        Args:
            layers: Sequence of FA layers, numbers 1..L or names `"fa_l"`. None
                is all of them.

        Returns:
            A `keras.Model` that shares this model's weights, from images to a
            dict from `"fa_l"` to class-major maps `(B, h, w, C * R)`.

        Example:

        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> sorted(model.feature_extractor(layers=(1, 2)).output)
        ['fa_1', 'fa_2']
        """
        if layers is None:
            layers = range(1, self.num_layers + 1)
        elif isinstance(layers, str) or hasattr(layers, "__index__"):
            layers = (layers,)
        names = [f"fa_{self._level(layer)}" for layer in layers]
        return keras.Model(
            self.input, {n: self.get_layer(n).output for n in names}
        )

    def predict_with_maps(self, images, layer=None, batch_size=32):
        """Logits and the maps of all classes, from one forward pass.

        Args:
            images: Array `(B, H, W, channels)`, 0..255, any real dtype.
            layer: FA layer of the maps, a number 1..L or a name `"fa_l"`. None
                is the last one, whose maps sum to the logits.
            batch_size: Positive integer, images a forward pass.

        Returns:
            A pair of float32 NumPy arrays: logits `(B, C)` and maps
            `(B, h, w, C)`, at the layer's own resolution.

        Example:

        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> logits, maps = model.predict_with_maps(np.zeros((1, 32, 32, 3)))
        >>> scale = float(keras.ops.convert_to_numpy(model.head.scale))
        >>> bool(np.allclose(logits, scale * maps.mean((1, 2)), atol=1e-5))
        True
        """
        level = self._level(layer)

        def read(outputs):
            return self.head.class_maps(outputs[f"fa_{level}"])

        return self._read(
            images, ("maps", level), [f"fa_{level}"], read, batch_size
        )

    def class_maps(self, images, classes="all", layer=None, batch_size=32):
        """The mean of the maps that a class owns: its explanation.

        At the last FA layer this equals Grad-CAM up to one constant (Theorem
        1), and `scale * mean(map)` is the logit.

        Args:
            images: Array `(B, H, W, channels)`, 0..255, any real dtype.
            classes: `"all"`, None for the predicted class of each image, an
                integer, or a sequence of B integers.
            layer: FA layer, a number 1..L or a name `"fa_l"`. None is the last.
            batch_size: Positive integer, images a forward pass.

        Returns:
            A float32 NumPy array `(B, h, w)`, or `(B, h, w, C)` for `"all"`, at
            the layer's own resolution, neither clipped nor normalised.

        Example:

        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> model.class_maps(np.zeros((2, 32, 32, 3)), classes=[3, 5]).shape
        (2, 32, 32)
        """
        images = self._check_images(images)
        classes = check_classes(classes, len(images), self.num_classes)
        logits, maps = self.predict_with_maps(images, layer, batch_size)
        return pick_classes(maps, classes, logits)

    def layer_logits(self, images, batch_size=32):
        """The class logits that the head reads off every FA layer.

        Args:
            images: Array `(B, H, W, channels)`, 0..255, any real dtype.
            batch_size: Positive integer, images a forward pass.

        Returns:
            A float32 NumPy array `(B, L, C)`; `[:, -1]` are the logits. They
            mean little unless the model was trained with deep alignment.

        Example:

        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> model.layer_logits(np.zeros((1, 32, 32, 3))).shape
        (1, 2, 10)
        """
        names = [f"fa_{level}" for level in range(1, self.num_layers + 1)]

        def read(outputs):
            return ops.stack(
                [self.head.logits(outputs[name]) for name in names], axis=1
            )

        return self._read(images, "layer_logits", names, read, batch_size)[1]

    def layer_evidence(self, images, classes=None, maps=False, batch_size=32):
        """Splits logits, or maps, exactly over depth.

        Unrolled, `x_L = w_0 P_0(x_0) + sum_l w_l P_l(F_l)` with `F_l` the
        branch of FA layer `l`, `w_l = a_l * prod_{m > l} (1 - a_m)` and `P_l`
        the pooling and repeats after layer `l`, all linear. Entry 0 is the
        evidence of the image itself.

        Args:
            images: Array `(B, H, W, channels)`, 0..255, any real dtype.
            classes: None for the predicted class of each image, an integer, a
                sequence of B integers, or `"all"`.
            maps: Whether to return each layer's evidence as a map.
            batch_size: Positive integer, images a forward pass.

        Returns:
            A float32 NumPy array. Without `maps`, `(B, L + 1)`, which sums to
            the logit over its last axis. With `maps`, `(B, L + 1, h, w)` at the
            last FA layer's resolution, which sums to `class_maps` over axis 1.
            `"all"` adds a trailing class axis.

        Example:

        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> images = np.zeros((1, 32, 32, 3))
        >>> evidence = model.layer_evidence(images, classes=3)
        >>> logit = model.predict(images, verbose=0)[:, 3]
        >>> bool(np.allclose(evidence.sum(-1), logit, atol=1e-5))
        True
        """
        images = self._check_images(images)
        classes = check_classes(classes, len(images), self.num_classes)
        names = ["stem"]
        names += [f"relu_{level}" for level in range(1, self.num_layers + 1)]
        weights = [1.0]
        for a in self.alphas:
            weights = [w * (1 - a) for w in weights] + [a]
        first_levels = np.cumsum(self.depths)[:-1] + 1
        poolings = [
            sum(level < first for first in first_levels)
            for level in range(self.num_layers + 1)
        ]

        def read(outputs):
            evidence = []
            for name, weight, n in zip(names, weights, poolings, strict=True):
                # Class means commute with the repeats, so only the pooling is
                # left to do, on C maps instead of C * R.
                x = self.head.class_maps(outputs[name])
                for _ in range(n):
                    x = ops.average_pool(x, 2, 2, data_format="channels_last")
                evidence.append(weight * x)
            evidence = ops.stack(evidence, axis=1)
            if maps:
                return evidence
            return self.head.scale * ops.mean(evidence, axis=(2, 3))

        logits, evidence = self._read(
            images, ("evidence", bool(maps)), names, read, batch_size
        )
        return pick_classes(evidence, classes, logits)

    def verify(self, images, classes="all", batch_size=32):
        """Measures how exactly the model keeps its promises on some images.

        Args:
            images: Array `(B, H, W, channels)`, 0..255, any real dtype.
            classes: As in `class_maps`: the classes to check.
            batch_size: Positive integer, images a forward pass.

        Returns:
            A dict of floats:

            - `"theorem_1_correlation"`: the least Pearson correlation between
              `class_maps` and Grad-CAM (by the backend's gradient) at the last
              FA layer, over images and classes. Pairs of constant maps, for
              which no correlation exists, are left out; NaN if all are.
            - `"theorem_1_error"`: the largest `|Grad-CAM - s / (h w) * map|`,
              as a fraction of the largest `|Grad-CAM|`.
            - `"completeness_error"`: the largest `|logit - s * mean(map)|`,
              as a fraction of the range of the logits.
            - `"evidence_error"`: the largest `|logit - sum of the layers'
              evidence|`, as a fraction of the range of the logits.

        Example:

        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
        >>> model.verify(images)["theorem_1_correlation"] > 0.99999
        True
        """
        images = self._check_images(images)
        classes = check_classes(classes, len(images), self.num_classes)
        logits, maps = self.predict_with_maps(images, batch_size=batch_size)
        evidence = self.layer_evidence(images, "all", batch_size=batch_size)
        scale = float(ops.convert_to_numpy(self.head.scale))
        logit_range = max(float(np.ptp(logits)), keras.config.epsilon())

        def error(estimate):
            gap = pick_classes(np.abs(estimate - logits), classes, logits)
            return float(gap.max()) / logit_range

        own = pick_classes(maps, classes, logits)
        reference = grad_cam(
            self,
            images,
            classes,
            layer=self.num_layers,
            batch_size=batch_size,
        )
        gap = np.abs(reference - scale / math.prod(maps.shape[1:3]) * own)
        largest = max(float(reference.max()), keras.config.epsilon())
        correlations = pearson(own, reference)
        return {
            "theorem_1_correlation": (
                math.nan
                if np.isnan(correlations).all()
                else float(np.nanmin(correlations))
            ),
            "theorem_1_error": float(gap.max()) / largest,
            "completeness_error": error(scale * maps.mean(axis=(1, 2))),
            "evidence_error": error(evidence.sum(axis=1)),
        }

    def _check_images(self, images):
        """Returns `images` as an array that the model can read, or raises."""
        images = check_images(images, self.image_shape)
        if any(n % self.space_to_depth for n in images.shape[1:3]):
            raise ValueError(
                "Height and width of `images` must be multiples of "
                f"space_to_depth={self.space_to_depth}. Received: images of "
                f"shape {images.shape}"
            )
        if images.dtype.kind == "f" and not np.isfinite(images).all():
            raise ValueError(
                "`images` must be finite. Received: NaN or infinity"
            )
        return images

    def _level(self, layer):
        """The number 1..L of an FA layer that was named or numbered."""
        if layer is None:
            return self.num_layers
        level = layer
        if isinstance(layer, str) and layer.startswith("fa_"):
            level = int(layer[3:]) if layer[3:].isdecimal() else 0
        if (
            isinstance(level, bool)
            or not hasattr(level, "__index__")
            or not 1 <= level <= self.num_layers
        ):
            raise ValueError(
                f"`layer` must be an FA layer, 1 to {self.num_layers} or "
                f'"fa_1" to "fa_{self.num_layers}". '
                f"Received: layer={layer!r}"
            )
        return level.__index__()

    def _read(self, images, key, names, read, batch_size):
        """Logits and `read(feature maps)` of all images, as NumPy arrays."""
        images = self._check_images(images)
        batch_size = positive_int("batch_size", batch_size)
        readers = self._untracked.readers
        if key not in readers:
            features = {n: self.get_layer(n).output for n in names}
            trunk = keras.Model(
                self.input, {"features": features, "logits": self.output}
            )
            readers[key] = _Reader(trunk, read)
        if images.dtype.kind == "f" and 0 < images.max() <= 1:
            warnings.warn(
                "`images` should be in 0..255, but the largest value is "
                f"{images.max():.3g}. Were they scaled to 0..1? The model "
                "rescales by itself.",
                stacklevel=3,
            )
        logits, values = readers[key].predict(
            images, batch_size=batch_size, verbose=0
        )
        return logits, values

    # --- Presets ---

    presets = _BundledPresets()

    @property
    def preset_metadata(self):
        """Metadata of the preset that the weights came from, or None.

        A dict, whose `"class_names"` (where the preset has them) name the
        logits. Copies of the model, by `save`, `pickle` or `copy.deepcopy`,
        keep it but for its `"metrics"`.
        """
        return self._untracked.preset_metadata

    @preset_metadata.setter
    def preset_metadata(self, metadata):
        self._untracked.preset_metadata = metadata

    @classmethod
    def from_preset(cls, handle, load_weights=True, **overrides):
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
                weight that fits is kept, and a warning names those that were
                cut or extended.

        Returns:
            A `FACNN`, not compiled. Its `preset_metadata` says what it was
            trained on and the names of its classes.

        Raises:
            ValueError: If the preset is unknown, damaged or not an FA-CNN.
            FileNotFoundError: If a local folder lacks a file.
            ConnectionError: If a remote preset cannot be reached.
            ImportError: If `hf://` lacks its library.

        Example:

        >>> folder = tempfile.mkdtemp()
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> model.save_to_preset(folder)
        >>> keras_facnn.FACNN.from_preset(folder, num_classes=5).output.shape
        (None, 5)
        """
        return load_preset(cls, handle, load_weights, **overrides)

    def save_to_preset(self, directory, metadata=None, weights_dtype="float32"):
        """Writes the model as a preset, a folder that `from_preset` reads.

        The folder appears only when it is complete; a kill loses neither the
        old preset nor the new one. It holds `config.json`, `model.weights.h5`
        (which `load_weights` reads too) and `metadata.json`, to which the
        versions, the parameter count, the input and the SHA-256 of all three
        files are added. What the preset that the model came from says in its
        metadata is handed on; its `metrics` only while the weights are the
        same.

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

        >>> folder = tempfile.mkdtemp()
        >>> model = keras_facnn.FACNN(2, depths=(2,), maps_per_class=(1,))
        >>> model.save_to_preset(folder, {"class_names": ["ant", "bee"]})
        >>> model = keras_facnn.FACNN.from_preset(folder)
        >>> model.preset_metadata["class_names"]
        ['ant', 'bee']
        """
        save_preset(self, directory, metadata, weights_dtype)


class _Untracked:
    """What Keras must not track, or it would save it."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


class _Reader(keras.Model):
    """Runs a function of feature maps inside the compiled predict step."""

    def __init__(self, trunk, read):
        super().__init__(name="reader")
        self.trunk = trunk
        self.read = read

    def call(self, images):
        outputs = self.trunk(images, training=False)
        return outputs["logits"], self.read(outputs["features"])


def _positive_ints(name, values):
    if not isinstance(values, (list, tuple)) or not values:
        raise ValueError(
            f"`{name}` must be a non-empty sequence of positive integers, one "
            f"a stage. Received: {name}={values!r}"
        )
    return tuple(positive_int(name, value) for value in values)


def _check_stages(depths, maps_per_class):
    if len(depths) != len(maps_per_class):
        raise ValueError(
            "`depths` and `maps_per_class` must have one entry a stage. "
            f"Received: depths={depths}, maps_per_class={maps_per_class}"
        )
    for before, after in zip(maps_per_class, maps_per_class[1:], strict=False):
        if after % before:
            raise ValueError(
                "Each entry of `maps_per_class` must be a multiple of the one "
                f"before. Received: maps_per_class={maps_per_class}"
            )


def _check_image_shape(image_shape, multiple):
    received = f"Received: image_shape={image_shape!r}"
    if not isinstance(image_shape, (list, tuple)) or len(image_shape) != 3:
        raise ValueError(
            "`image_shape` must be (height, width, channels), where height "
            f"and width may be None. {received}"
        )
    *size, channels = image_shape
    channels = positive_int("image_shape[2]", channels)
    checked = []
    for i, n in enumerate(size):
        if n is not None:
            n = positive_int(f"image_shape[{i}]", n)
            if n % multiple:
                raise ValueError(
                    f"Height and width of `image_shape` must be multiples of "
                    f"space_to_depth * 2 ** (stages - 1) = {multiple}, or "
                    f"None. {received}"
                )
        checked.append(n)
    return (*checked, channels)


def _alphas(alpha, num_layers):
    """The weight of each layer's branch, `num_layers` floats in (0, 1)."""
    if isinstance(alpha, str) and alpha == "harmonic":
        return tuple(1 / (level + 1) for level in range(1, num_layers + 1))
    alphas = alpha if isinstance(alpha, (list, tuple)) else [alpha] * num_layers
    if len(alphas) != num_layers or not all(
        is_number(a) and 0 < a < 1 for a in alphas
    ):
        raise ValueError(
            '`alpha` must be "harmonic", a float strictly between 0 and 1, or '
            f"a sequence of one such float for each of the {num_layers} FA "
            f"layers. Received: alpha={alpha!r}"
        )
    return tuple(float(a) for a in alphas)
