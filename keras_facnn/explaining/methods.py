"""The methods by which an FA-CNN explains its decisions."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.classes import check_classes_for
from keras_facnn._checks.classes import check_one_class_per_image
from keras_facnn._checks.models import check_images_for
from keras_facnn._graph.layer_path import layer_name
from keras_facnn._graph.nodes import check_graph_model
from keras_facnn._graph.probabilities import as_probabilities
from keras_facnn.explaining.explanation import Explanation
from keras_facnn.explaining.layer_readers import check_layers
from keras_facnn.explaining.layer_readers import evidence_reader
from keras_facnn.explaining.layer_readers import layer_logits_reader
from keras_facnn.explaining.layer_readers import layer_names
from keras_facnn.explaining.layer_readers import read_class_maps
from keras_facnn.explaining.layer_readers import read_layers
from keras_facnn.maps import center_maps
from keras_facnn.maps import pick_classes
from keras_facnn.types import Classes
from keras_facnn.types import Images
from keras_facnn.types import LayerName


class Explaining:
    """The methods by which a graph of FA layers explains its decisions.

    `layer_readers` describes such a graph. It also needs the attributes
    `num_classes`, `depths` and `class_names`.
    """

    num_classes: int
    depths: Sequence[int]
    class_names: Any
    input: Any
    get_layer: Callable

    @property
    def num_layers(self) -> int:
        """L, the number of FA layers."""
        return sum(self.depths)

    @property
    def head(self) -> Any:
        """The `GlobalAvgPool3DHead`."""
        return self.get_layer("head")

    def feature_extractor(
        self, layers: LayerName | Sequence[LayerName] | None = None
    ) -> keras.Model:
        """Return a model of the raw feature maps of some FA layers.

        Args:
            layers: Sequence of FA layers, numbers 1..L or names `"fa_l"`. None
                means all of them.

        Returns:
            A `keras.Model` that shares this model's weights. It takes images,
            and returns a dict from `"fa_l"` to class-major maps
            `(B, h, w, C * R)`.

        Example:

        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> sorted(model.feature_extractor(layers=(1, 2)).output)
        ['fa_1', 'fa_2']
        """
        numbers = check_layers(self, layers, least=1)
        check_graph_model(self)
        names = [layer_name(number) for number in numbers]
        return keras.Model(
            self.input, {name: self.get_layer(name).output for name in names}
        )

    def predict_with_maps(
        self,
        images: Images,
        layer: LayerName | None = None,
        batch_size: int = 32,
        centered: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return logits and the maps of all classes, from one forward pass.

        Args:
            images: Array `(B, H, W, channels)`, 0..255, any real dtype.
            layer: FA layer of the maps, a number 1..L or a name `"fa_l"`. None
                means the last one. The means of its maps, times `head.scale`,
                are the logits.
            batch_size: Positive integer, images per forward pass.
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
        images = check_images_for(self, images)
        return read_class_maps(self, images, layer, batch_size, centered)

    def class_maps(
        self,
        images: Images,
        classes: Classes = "all",
        layer: LayerName | None = None,
        batch_size: int = 32,
        centered: bool = False,
    ) -> np.ndarray:
        """Return the class maps: the mean of the maps that each class owns.

        At the last FA layer, a class map equals Grad-CAM up to one constant
        (Theorem 1), and `scale * mean(map)` is the logit. If the head has a
        threshold, the logit is less by the constant `head.offset`.

        Args:
            images: Array `(B, H, W, channels)`, 0..255, any real dtype.
            classes: `"all"`, None for the predicted class of each image, an
                integer, a class name if the model knows names, or a sequence
                of B integers or names.
            layer: FA layer, a number 1..L or a name `"fa_l"`. None means the
                last.
            batch_size: Positive integer, images per forward pass.
            centered: Whether to subtract the mean of all classes' maps from
                each map. Softmax ignores what all logits share, so a centered
                map shows the part that decides. At the last FA layer, its mean
                times the scale is the logit minus the mean logit. A centered
                map may be negative.

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
        images = check_images_for(self, images)
        classes = check_classes_for(self, classes, len(images))
        logits, maps = read_class_maps(
            self, images, layer, batch_size, centered
        )
        return pick_classes(maps, classes, logits)

    def explain(
        self,
        images: Images,
        classes: Classes = None,
        layers: Sequence[LayerName] | None = None,
        batch_size: int = 32,
        centered: bool = True,
    ) -> Explanation:
        """Return everything that a figure or a report of a decision needs.

        One forward pass gives the probabilities, the class maps, the maps at
        other layers, and the probabilities that the head computes from every FA
        layer.

        By default, the maps are centered, unlike those of `class_maps`.
        Evidence for all classes alike does not explain the answer. Without this
        evidence, more of a map lies on the object, as `zoo/results` reports. In
        a model with a threshold, for several labels per image, this evidence
        does explain the answer. Then use `centered=False`: raw maps show
        everything that decides.

        Args:
            images: Array `(B, H, W, channels)`, 0..255, any real dtype.
            classes: The classes of `layer_maps`: None for the predicted class
                of each image, an integer, a class name if the model knows
                names, or a sequence of B integers or names.
            layers: FA layers of `layer_maps`, numbers or names. None means up
                to six, evenly spread, including the last.
            batch_size: Positive integer, images per forward pass.
            centered: Whether to subtract the mean of all classes' maps from
                each map. False gives the raw maps, as `class_maps` does.

        Returns:
            A `keras_facnn.Explanation`, which `keras_facnn.plots.explanation`
            draws.

        Example:

        >>> import numpy as np
        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
        >>> explanation = model.explain(images)
        >>> explanation.maps.shape, sorted(explanation.layer_maps)
        ((2, 32, 32, 10), [1, 2])
        """
        array = check_images_for(self, images)
        classes = check_one_class_per_image(
            check_classes_for(self, classes, len(array))
        )
        centered = check_bool("centered", centered)
        if layers is None:
            # Remove 0, at which the spread starts. Without FA layers, nothing
            # is left, and None means `x_0`.
            spread = np.linspace(0, self.num_layers, 7).round().astype(int)
            layers = sorted(set(spread.tolist()) - {0}) or None
        numbers = check_layers(self, layers)
        names = layer_names(self)
        read_layer_logits = layer_logits_reader(self)

        def read(outputs: dict[str, Any]) -> dict[str, Any]:
            return {
                "maps": self.head.class_maps(outputs[names[-1]]),
                "layer_logits": read_layer_logits(outputs),
                "layer_maps": [
                    self.head.class_maps(outputs[layer_name(n)])
                    for n in numbers
                ],
            }

        logits, values = read_layers(
            self, array, names, read, batch_size, key=("explain", *numbers)
        )
        if classes is None:
            classes = logits.argmax(axis=-1)
        maps, layer_maps = values["maps"], values["layer_maps"]
        if centered:
            maps, *layer_maps = map(center_maps, (maps, *layer_maps))
        return Explanation(
            images=array,
            classes=classes,
            probabilities=self.probabilities(logits),
            maps=maps,
            layer_maps={
                n: pick_classes(of_layer, classes, logits)
                for n, of_layer in zip(numbers, layer_maps, strict=True)
            },
            layer_probabilities=self.probabilities(values["layer_logits"]),
            class_names=self.class_names,
            centered=centered,
            several_labels=self.head.threshold,
        )

    def probabilities(self, logits: Any) -> np.ndarray:
        """Return the probabilities of logits, by softmax or by sigmoid.

        Softmax divides one probability among the classes. A head with a
        threshold, for several labels per image, gives each class a probability
        of its own by a sigmoid: any number of classes may be present, or none.

        Args:
            logits: Array `(..., C)`, such as the result of `predict` or
                `layer_logits`.

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
        """Return the logits that the head computes from every FA layer.

        Args:
            images: Array `(B, H, W, channels)`, 0..255, any real dtype.
            batch_size: Positive integer, images per forward pass.

        Returns:
            A float32 NumPy array `(B, L, C)`; `[:, -1]` are the logits. The
            others mean little unless the model was trained with deep
            alignment.

        Example:

        >>> import numpy as np
        >>> import keras_facnn
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> model.layer_logits(np.zeros((1, 32, 32, 3))).shape
        (1, 2, 10)
        """
        _, logits = read_layers(
            self,
            check_images_for(self, images),
            layer_names(self),
            layer_logits_reader(self),
            batch_size,
            key="layer_logits",
        )
        return logits

    def layer_evidence(
        self,
        images: Images,
        classes: Classes = None,
        maps: bool = False,
        batch_size: int = 32,
    ) -> np.ndarray:
        """Split logits, or maps, exactly over the layers.

        The last maps are a sum over layers,
        `x_L = w_0 P_0(x_0) + sum_l w_l P_l(F_l)`. Here `F_l` is the branch of
        FA layer `l`, and `w_l = a_l * prod_{m > l} (1 - a_m)`. `P_l` is the
        pooling and repeats after layer `l`, which are linear. Entry 0 is the
        evidence of the image itself, or of a hybrid's backbone.

        Args:
            images: Array `(B, H, W, channels)`, 0..255, any real dtype.
            classes: None for the predicted class of each image, an integer, a
                class name if the model knows names, a sequence of B integers
                or names, or `"all"`.
            maps: Whether to return each layer's evidence as a map.
            batch_size: Positive integer, images per forward pass.

        Returns:
            A float32 NumPy array. Without `maps`, it is `(B, L + 1)`, and its
            sum over the last axis is the logit (plus `head.offset`, if the
            head has a threshold). With `maps`, it is `(B, L + 1, h, w)` at the
            last FA layer's resolution, and its sum over axis 1 is
            `class_maps`. `"all"` adds a trailing class axis.

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
        images = check_images_for(self, images)
        classes = check_classes_for(self, classes, len(images))
        names, read_maps = evidence_reader(self)

        def read(outputs: dict[str, Any]) -> Any:
            evidence = read_maps(outputs)
            if maps:
                return evidence
            return self.head.scale * ops.mean(evidence, axis=(2, 3))

        logits, evidence = read_layers(
            self, images, names, read, batch_size, key=("evidence", maps)
        )
        return pick_classes(evidence, classes, logits)
