"""Read a photo, and run the model on it."""

import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_facnn.attribution import grad_cam
from keras_facnn.demo.upload_limits import MAX_BYTES
from keras_facnn.explaining.layer_readers import evidence_reader
from keras_facnn.explaining.layer_readers import layer_logits_reader
from keras_facnn.explaining.layer_readers import layer_names
from keras_facnn.explaining.layer_readers import layer_numbers
from keras_facnn.explaining.layer_readers import read_layers
from keras_facnn.pictures.reading import read_picture

# In fewer pixels a person can't judge anything.
_LEAST_SIDE = 16
# Those of an 8K screen. Cameras write JPEG files of more pixels, which are read
# at a fraction of their size.
_MOST_PIXELS = 7680 * 4320
# All formats that browsers and cameras write. Some other formats are decoded in
# Python. That takes minutes, in which nobody else is answered.
_FORMATS = frozenset("AVIF BMP GIF HEIF JPEG MPO PNG TIFF WEBP".split())
# Pixels of the longer side of a picture on the page.
_SIDE = 480


@dataclasses.dataclass(frozen=True, eq=False)
class Analysis:
    """What the model sees in a photo, from one forward pass.

    Args:
        photo: Array `(H, W, 1 or 3)`, 0..255: the whole picture, to show.
        view: Array `(H, W, 1 or 3)`, 0..255: the center of the picture, which
            the model reads, but in more pixels.
        image: Array `(1, H, W, channels)`, 0..255: the model's input.
        names: C strings.
        probabilities: Array `(C,)`.
        logits: Array `(C,)`.
        offset: Float, the constant of a head with a threshold. It is part of
            every logit, but not of a map.
        maps: Dict from the numbers of the layers to arrays `(h, w, C)`: 1..L,
            or only 0 if the model has no FA layers.
        layer_probabilities: Array `(number of layers, C)`.
        evidence: Array `(L + 1, C)`, each layer's share of the logits.
        source: Description of layer 0.
        several_labels: Whether each class has a separate probability, because
            a photo may show several classes, or none.
        grad_cams: Dict from a class and a layer to a Grad-CAM map `(h, w)`. It
            holds only maps that were already computed.
    """

    photo: np.ndarray
    view: np.ndarray
    image: np.ndarray
    names: Sequence[str]
    probabilities: np.ndarray
    logits: np.ndarray
    offset: float
    maps: dict[int, np.ndarray]
    layer_probabilities: np.ndarray
    evidence: np.ndarray
    source: str
    several_labels: bool
    grad_cams: dict[tuple[int, int], np.ndarray] = dataclasses.field(
        default_factory=dict
    )

    @property
    def ranking(self) -> list[int]:
        """Return all classes, the likeliest first."""
        return np.argsort(-self.logits, kind="stable").tolist()

    @property
    def has_layers(self) -> bool:
        """Whether there are several layers to look at."""
        return len(self.maps) > 1

    def rival_of(self, index: int) -> int:
        """Return the likeliest other class, or `index` if there is no other."""
        return next((c for c in self.ranking if c != index), index)


def names_of(model: Any) -> list[str]:
    """Return the names of the classes on the page.

    Example:

    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(2, depths=(2,), maps_per_class=(1,))
    >>> keras_facnn.demo.analysis.names_of(model)
    ['class 0', 'class 1']
    """
    return model.class_names or [f"class {c}" for c in range(model.num_classes)]


def analyze(model: Any, data: bytes) -> Analysis:
    """Read a picture, and run the model on it once.

    Args:
        model: A `FACNN` of images of 1 or 3 channels, of one size.
        data: The bytes of a picture's file.

    Returns:
        A `Analysis`.

    Raises:
        ValueError: If the picture cannot be read, or is too large or too small.

    Example:

    >>> import keras_facnn
    >>> import pathlib
    >>> model = keras_facnn.FACNN(3, (16, 16, 3), (2,), (1,))
    >>> data = pathlib.Path("samples/cat.jpg").read_bytes()
    >>> seen = keras_facnn.demo.analysis.analyze(model, data)
    >>> seen.maps[1].shape, seen.evidence.shape
    ((16, 16, 3), (3, 3))
    """
    image, photo, view = _read_pictures(data, model.image_shape)
    names = layer_names(model)
    sources, evidence_maps = evidence_reader(model)
    layer_logits = layer_logits_reader(model)

    def read(outputs: Any) -> dict[str, Any]:
        head = model.head
        return {
            "maps": [head.class_maps(outputs[name]) for name in names],
            "logits": layer_logits(outputs),
            "evidence": head.scale
            * ops.mean(evidence_maps(outputs), axis=(2, 3)),
        }

    logits, values = read_layers(
        model, image, [*names, *sources], read, batch_size=1, key="page"
    )
    return Analysis(
        photo=photo,
        view=view,
        image=image,
        names=names_of(model),
        probabilities=model.probabilities(logits)[0],
        logits=logits[0],
        offset=float(ops.convert_to_numpy(model.head.offset)),
        maps={
            n: maps[0]
            for n, maps in zip(
                layer_numbers(model), values["maps"], strict=True
            )
        },
        layer_probabilities=model.probabilities(values["logits"])[0],
        evidence=values["evidence"][0],
        source="the photo itself" if model.backbone is None else "the backbone",
        several_labels=model.threshold,
    )


def _read_pictures(
    data: bytes, image_shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the `image`, `photo` and `view` of a `Analysis`, or raise."""
    from PIL import Image
    from PIL import ImageOps

    if len(data) > MAX_BYTES:
        raise ValueError(
            f"The picture has {len(data) / 2**20:.0f} MB. At most "
            f"{MAX_BYTES // 2**20} are read"
        )
    height, width, channels = image_shape
    _check_quick(data)
    image = read_picture(data, (height, width, channels))[None]
    with Image.open(io.BytesIO(data)) as opened:
        sides = opened.size
    if min(sides) < _LEAST_SIDE:
        raise ValueError(
            f"The picture has {sides[0]} x {sides[1]} pixels, too few to see "
            f"anything in. Each side must have at least {_LEAST_SIDE}"
        )
    pixels = read_picture(data, (2 * _SIDE, 2 * _SIDE, channels), "within")
    photo = Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels)
    scale = _SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    view = np.array(ImageOps.fit(photo, size, Image.Resampling.LANCZOS))
    photo.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return (
        image,
        np.array(photo).reshape(photo.height, photo.width, channels),
        view.reshape(size[1], size[0], channels),
    )


def of_kind(values: np.ndarray, kind: str, c: int, rival: int) -> np.ndarray:
    """Return the maps, logits or evidence of one class, of one kind.

    Args:
        values: Array `(..., C)`.
        kind: `"raw"`; `"centered"`, which subtracts the mean of all classes; or
            `"contrast"`, which subtracts the values of the rival.
        c: The class.
        rival: The other class, for `"contrast"`.

    Returns:
        An array `(...)`. All kinds are linear, so the maps of a kind sum to the
        logit of that kind.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> logits = np.array([3.0, 1.0, 2.0])
    >>> keras_facnn.demo.analysis.of_kind(logits, "centered", 0, 1)
    np.float64(1.0)
    """
    if kind == "contrast":
        return values[..., c] - values[..., rival]
    if kind == "centered":
        return values[..., c] - values.mean(axis=-1)
    return values[..., c]


def brightest(
    maps: np.ndarray, kind: str, c: int, rival: int, likeliest: int
) -> float:
    """Return the value that gets the brightest color.

    It is the largest of the map and of the likeliest class's map. So a class
    with less evidence than the answer looks like it, and the maps of all other
    classes, of which there may be a thousand, are not compared.

    Args:
        maps: Array `(h, w, C)` of a layer.
        kind: As in `of_kind`.
        c: The class.
        rival: The other class, for `"contrast"`, which only these two classes
            decide.
        likeliest: The likeliest class.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> maps = np.array([[[1.0, 4.0]]])
    >>> keras_facnn.demo.analysis.brightest(maps, "raw", 0, 1, likeliest=1)
    4.0
    """
    classes = (c,) if kind == "contrast" else (c, likeliest)
    return max(
        float(np.abs(of_kind(maps, kind, i, rival)).max()) for i in classes
    )


def see_grad_cam(model: Any, seen: Analysis, c: int, layer: int) -> np.ndarray:
    """Return Grad-CAM of a class at a layer, and keep it."""
    if (c, layer) not in seen.grad_cams:
        (seen.grad_cams[c, layer],) = grad_cam(
            model, seen.image, c, layer=layer
        )
    return seen.grad_cams[c, layer]


def _check_quick(data: bytes) -> None:
    """Raise if reading a picture may take long."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as opened:
            sides, kind = opened.size, opened.format
            decoders = {tile[0] for tile in getattr(opened, "tile", ())}
    except Exception:
        # `read_picture` gives a better reason.
        return
    if kind not in _FORMATS or "bmp_rle" in decoders:
        raise ValueError(
            f"The picture is of the format {kind}, which the page does not "
            "read. Save it as JPEG or PNG"
        )
    if kind not in ("JPEG", "MPO") and sides[0] * sides[1] > _MOST_PIXELS:
        raise ValueError(
            f"The picture has {sides[0]} x {sides[1]} pixels. At most "
            f"{_MOST_PIXELS:,} are read, of a JPEG more"
        )
