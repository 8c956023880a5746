"""What any graph of FA layers can say of its decisions."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_facnn._backend.cache import cached_function
from keras_facnn._backend.forward import run_in_batches
from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.classes import check_classes
from keras_facnn._checks.classes import check_one_class_per_image
from keras_facnn._checks.images import check_images_for
from keras_facnn._checks.models import check_finite_outputs
from keras_facnn._checks.numbers import is_integer
from keras_facnn._graph.nodes import check_graph_model
from keras_facnn._graph.probabilities import as_probabilities
from keras_facnn.architecture.graph import readout
from keras_facnn.explaining.explanation import Explanation
from keras_facnn.maps import center_maps
from keras_facnn.maps import pick_classes
from keras_facnn.metrics._exactness import exactness
from keras_facnn.types import Classes
from keras_facnn.types import Images
from keras_facnn.types import LayerName


class Explaining:
    """The methods by which a graph of FA layers explains its decisions.

    For a functional `keras.Model` with layers `stem` (or another of that name,
    whose output is `x_0`), `relu_l` (the branches), `fa_l` and `head`, and
    with the attributes `num_classes`, `depths`, `alphas` and `class_names`.
    """

    num_classes: int
    depths: Sequence[int]
    alphas: tuple[float, ...]
    class_names: Any
    input: Any
    get_layer: Callable

    @property
    def num_layers(self) -> int:
        """L, the number of FA layers."""
        return len(self.alphas)

    @property
    def head(self):
        """The `GlobalAvgPool3DHead`."""
        return self.get_layer("head")

    def feature_extractor(
        self, layers: LayerName | Sequence[LayerName] | None = None
    ) -> keras.Model:
        """A model of the raw feature maps of some FA layers.

        Args:
            layers: Sequence of FA layers, numbers 1..L or names `"fa_l"`. None
                is all of them.

        Returns:
            A `keras.Model` that shares this model's weights, from images to a
            dict from `"fa_l"` to class-major maps `(B, h, w, C * R)`.

        Example:

        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> sorted(model.feature_extractor(layers=(1, 2)).output)
        ['fa_1', 'fa_2']
        """
        names = [f"fa_{level}" for level in self.fa_levels(layers)]
        if not names:
            raise self._no_level("layers", layers)
        check_graph_model(self)
        return keras.Model(
            self.input, {n: self.get_layer(n).output for n in names}
        )

    def predict_with_maps(
        self,
        images: Images,
        layer: LayerName | None = None,
        batch_size: int = 32,
        centered: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Logits and the maps of all classes, from one forward pass.

        Args:
            images: Array `(B, H, W, channels)`, 0..255, any real dtype.
            layer: FA layer of the maps, a number 1..L or a name `"fa_l"`. None
                is the last one, whose means, times `head.scale`, are the
                logits.
            batch_size: Positive integer, images a forward pass.
            centered: As in `class_maps`.

        Returns:
            A pair of float32 NumPy arrays: logits `(B, C)` and maps
            `(B, h, w, C)`, at the layer's own resolution.

        Example:

        >>> import keras
        >>> import numpy as np
        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> logits, maps = model.predict_with_maps(np.zeros((1, 32, 32, 3)))
        >>> scale = float(keras.ops.convert_to_numpy(model.head.scale))
        >>> bool(np.allclose(logits, scale * maps.mean((1, 2)), atol=1e-5))
        True
        """
        return self._maps(
            check_images_for(self, images), layer, batch_size, centered
        )

    def class_maps(
        self,
        images: Images,
        classes: Classes = "all",
        layer: LayerName | None = None,
        batch_size: int = 32,
        centered: bool = False,
    ) -> np.ndarray:
        """The mean of the maps that a class owns: its explanation.

        At the last FA layer this equals Grad-CAM up to one constant (Theorem
        1), and `scale * mean(map)` is the logit, less the constant
        `head.offset` where the head has a threshold.

        Args:
            images: Array `(B, H, W, channels)`, 0..255, any real dtype.
            classes: `"all"`, None for the predicted class of each image, an
                integer, a class' name where the model knows names, or a
                sequence of B of either.
            layer: FA layer, a number 1..L or a name `"fa_l"`. None is the last.
            batch_size: Positive integer, images a forward pass.
            centered: Whether to take the mean of all classes' maps off each
                map. Softmax ignores what all logits share, so this is the part
                that decides: at the last FA layer its mean, times the scale, is
                the logit less the mean logit. It may be negative.

        Returns:
            A float32 NumPy array `(B, h, w)`, or `(B, h, w, C)` for `"all"`, at
            the layer's own resolution, neither clipped nor normalized.

        Example:

        >>> import numpy as np
        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> model.class_maps(np.zeros((2, 32, 32, 3)), classes=[3, 5]).shape
        (2, 32, 32)
        """
        return self._of_classes(
            images,
            classes,
            lambda images: self._maps(images, layer, batch_size, centered),
        )

    def explain(
        self,
        images: Images,
        classes: Classes = None,
        layers: Sequence[LayerName] | None = None,
        batch_size: int = 32,
        centered: bool = True,
    ) -> Explanation:
        """All that a figure or a report of a decision needs.

        One forward pass gives probabilities, the class maps, the maps at other
        depths, and the probabilities that the head reads off every FA layer.

        Its maps are centered, unlike those of `class_maps`: what speaks for all
        classes alike says nothing about the answer, and without it more of a
        map lies on the object, as `zoo/README.md` measures. With a threshold,
        for several labels an image, it does say something: the raw maps,
        `centered=False`, are then all that decides.

        Args:
            images: Array `(B, H, W, channels)`, 0..255, any real dtype.
            classes: Whose maps to show at other depths: None for the predicted
                class of each image, an integer, a class' name where the model
                knows names, or a sequence of B of either.
            layers: FA layers of `layer_maps`, numbers or names. None is up to
                six, evenly spread, the last included.
            batch_size: Positive integer, images a forward pass.
            centered: Whether to take the mean of all classes' maps off each
                map; False gives the raw maps, as `class_maps` does.

        Returns:
            An `Explanation`, which `keras_facnn.plots.explanation` draws.

        Example:

        >>> import numpy as np
        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
        >>> told = model.explain(images)
        >>> told.maps.shape, sorted(told.layer_maps)
        ((2, 32, 32, 10), [1, 2])
        """
        array = check_images_for(self, images)
        classes = check_one_class_per_image(
            self.check_classes(classes, len(array))
        )
        centered = check_bool("centered", centered)
        if layers is None:
            spread = np.linspace(0, self.num_layers, 7).round().astype(int)
            layers = sorted(set(spread.tolist()) - {0})
        levels = self.fa_levels(layers)
        names = [f"fa_{level}" for level in range(1, self.num_layers + 1)]

        def read(outputs):
            return {
                "maps": self.head.class_maps(outputs[names[-1]]),
                "layer_logits": ops.stack(
                    [self.head.logits(outputs[name]) for name in names], axis=1
                ),
                "layer_maps": [
                    self.head.class_maps(outputs[f"fa_{n}"]) for n in levels
                ],
            }

        logits, told = self._read(
            array, ("explain", *levels), names, read, batch_size
        )
        if classes is None:
            classes = logits.argmax(axis=-1)
        maps, layer_maps = told["maps"], told["layer_maps"]
        if centered:
            maps, *layer_maps = map(center_maps, (maps, *layer_maps))
        return Explanation(
            images=array,
            classes=classes,
            probabilities=self.probabilities(logits),
            maps=maps,
            layer_maps={
                n: pick_classes(of_layer, classes, logits)
                for n, of_layer in zip(levels, layer_maps, strict=True)
            },
            layer_probabilities=self.probabilities(told["layer_logits"]),
            class_names=self.class_names,
            centered=centered,
            several_labels=self.head.threshold,
        )

    def probabilities(self, logits: Any) -> np.ndarray:
        """The probabilities of logits: by softmax, or by sigmoid.

        Softmax shares one probability out among the classes. A head with a
        threshold, for several labels an image, gives each class a sigmoid, a
        probability of its own: any number of classes may be there, or none.

        Args:
            logits: Array `(..., C)`, of `predict` or `layer_logits`.

        Returns:
            A NumPy array of the same shape.

        Example:

        >>> import numpy as np
        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(
        ...     2, depths=(2,), maps_per_class=(1,), threshold=True
        ... )
        >>> model.probabilities(np.zeros((1, 2))).tolist()
        [[0.5, 0.5]]
        """
        return as_probabilities(logits, self.head.threshold)

    def layer_logits(self, images: Images, batch_size: int = 32) -> np.ndarray:
        """The class logits that the head reads off every FA layer.

        Args:
            images: Array `(B, H, W, channels)`, 0..255, any real dtype.
            batch_size: Positive integer, images a forward pass.

        Returns:
            A float32 NumPy array `(B, L, C)`; `[:, -1]` are the logits. They
            mean little unless the model was trained with deep alignment.

        Example:

        >>> import numpy as np
        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> model.layer_logits(np.zeros((1, 32, 32, 3))).shape
        (1, 2, 10)
        """
        names = [f"fa_{level}" for level in range(1, self.num_layers + 1)]

        def read(outputs):
            return ops.stack(
                [self.head.logits(outputs[name]) for name in names], axis=1
            )

        images = check_images_for(self, images)
        return self._read(images, "layer_logits", names, read, batch_size)[1]

    def layer_evidence(
        self,
        images: Images,
        classes: Classes = None,
        maps: bool = False,
        batch_size: int = 32,
    ) -> np.ndarray:
        """Splits logits, or maps, exactly over depth.

        Unrolled, `x_L = w_0 P_0(x_0) + sum_l w_l P_l(F_l)` with `F_l` the
        branch of FA layer `l`, `w_l = a_l * prod_{m > l} (1 - a_m)` and `P_l`
        the pooling and repeats after layer `l`, all linear. Entry 0 is the
        evidence of the image itself, or of a hybrid's backbone.

        Args:
            images: Array `(B, H, W, channels)`, 0..255, any real dtype.
            classes: None for the predicted class of each image, an integer, a
                sequence of B integers, or `"all"`.
            maps: Whether to return each layer's evidence as a map.
            batch_size: Positive integer, images a forward pass.

        Returns:
            A float32 NumPy array. Without `maps`, `(B, L + 1)`, which sums to
            the logit over its last axis (plus `head.offset`, where the head
            has a threshold). With `maps`, `(B, L + 1, h, w)` at the
            last FA layer's resolution, which sums to `class_maps` over axis 1.
            `"all"` adds a trailing class axis.

        Example:

        >>> import numpy as np
        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> images = np.zeros((1, 32, 32, 3))
        >>> evidence = model.layer_evidence(images, classes=3)
        >>> logit = model.predict(images, verbose=0)[:, 3]
        >>> bool(np.allclose(evidence.sum(-1), logit, atol=1e-5))
        True
        """
        maps = check_bool("maps", maps)
        names, read_maps = self._evidence()

        def read(outputs):
            evidence = read_maps(outputs)
            if maps:
                return evidence
            return self.head.scale * ops.mean(evidence, axis=(2, 3))

        return self._of_classes(
            images,
            classes,
            lambda images: self._read(
                images, ("evidence", maps), names, read, batch_size
            ),
        )

    def verify(
        self, images: Images, classes: Classes = "all", batch_size: int = 32
    ) -> dict[str, float]:
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
              as a fraction of the range of the logits. Here and below the
              constant of a head with a threshold is added to the logit.
            - `"evidence_error"`: the largest `|logit - sum of the layers'
              evidence|`, as a fraction of the range of the logits.

        Example:

        >>> import numpy as np
        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
        >>> model.verify(images)["theorem_1_correlation"] > 0.99999
        True
        """
        return exactness(self, images, classes, batch_size=batch_size)

    def _evidence(self):
        """The layers that give evidence, and a function of their outputs.

        The function returns class maps `(B, L + 1, h, w, C)`.
        """
        names = ["stem"]
        names += [f"relu_{level}" for level in range(1, self.num_layers + 1)]
        weights = [1.0]
        for level in range(1, self.num_layers + 1):
            skip = self.get_layer(f"fa_{level}")
            weights = [w * (1 - skip.alpha) for w in weights]
            weights.append(skip.branch_weight)
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
            return ops.stack(evidence, axis=1)

        return names, read

    def _maps(self, images, layer, batch_size, centered):
        """Logits and class maps of checked images."""
        level = self._level(layer)

        def read(outputs):
            return self.head.class_maps(outputs[f"fa_{level}"])

        centered = check_bool("centered", centered)
        logits, maps = self._read(
            images, ("maps", level), [f"fa_{level}"], read, batch_size
        )
        return logits, center_maps(maps) if centered else maps

    def _of_classes(self, images, classes, read):
        """What `read` gives of images beside their logits, of some classes."""
        images = check_images_for(self, images)
        classes = self.check_classes(classes, len(images))
        logits, values = read(images)
        return pick_classes(values, classes, logits)

    def check_classes(
        self, classes: Classes, batch: int, name: str = "classes"
    ) -> Any:
        """Returns `classes` as None, "all" or ints `(batch,)`, or raises."""
        return check_classes(
            classes, batch, self.num_classes, self.class_names, name
        )

    def fa_levels(
        self, layers: LayerName | Sequence[LayerName] | None = None
    ) -> list[int]:
        """The numbers of FA layers that were named or numbered; None is all."""
        if layers is None:
            return list(range(1, self.num_layers + 1))
        if isinstance(layers, str) or is_integer(layers):
            return [self._level(layers)]
        some: Any = layers
        # Arrays without dimensions are of an iterable type too.
        if (
            not isinstance(some, Iterable)
            or isinstance(some, (bytes, dict))
            or getattr(some, "ndim", 1) == 0
        ):
            raise self._no_level("layers", layers)
        some = list(some)
        if any(layer is None for layer in some):
            raise self._no_level("layers", layers)
        return [self._level(layer) for layer in some]

    def _level(self, layer):
        """The number 1..L of an FA layer that was named or numbered."""
        if layer is None:
            return self.num_layers
        level = layer
        if isinstance(layer, str) and layer.startswith("fa_"):
            names = [f"fa_{n}" for n in range(self.num_layers + 1)]
            level = names.index(layer) if layer in names else 0
        if not is_integer(level) or not 1 <= level <= self.num_layers:
            raise self._no_level("layer", layer)
        return level.__index__()

    def _no_level(self, name, value):
        kind = "an FA layer" if name == "layer" else "a sequence of FA layers"
        return ValueError(
            f"`{name}` must be {kind}, 1 to {self.num_layers} or "
            f'"fa_1" to "fa_{self.num_layers}". Received: {name}={value!r}'
        )

    def _read(self, images, key, names, read, batch_size):
        """Logits and `read(feature maps)` of checked images, as NumPy."""

        def make():
            model = readout(self, names)

            def logits_and_read(x):
                outputs = model(x, training=False)
                return outputs["logits"], read(outputs["features"])

            return logits_and_read

        told = run_in_batches(
            cached_function(self, key, make), images, batch_size
        )
        check_finite_outputs(told[0])
        return told
