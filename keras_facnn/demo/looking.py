"""What one forward pass tells of a photo."""

import dataclasses
import io
import typing

import numpy as np
from keras import ops

from keras_facnn.attribution import grad_cam
from keras_facnn.pictures.reading import read_picture

# What phones write is smaller. Pixels are limited where pictures are read.
MAX_BYTES = 32 * 2**20

# Fewer show nothing that a person could judge.
_LEAST_SIDE = 16
# Of a screen of 8K. JPEG, of which cameras write more, is read at a fraction of
# its size.
_MOST_PIXELS = 7680 * 4320
# All that browsers and cameras write. Some others are decoded in Python, which
# takes minutes, in which no one else is answered.
_FORMATS = frozenset("AVIF BMP GIF HEIF JPEG MPO PNG TIFF WEBP".split())
# Pixels of the longer side of pictures on the page.
_SIDE = 480


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """All that the page draws of a photo, from one forward pass.

    Args:
        photo: Array `(H, W, 1 or 3)`, 0..255: the whole picture, to show.
        view: Array `(H, W, 1 or 3)`, 0..255: its center, at which the model
            looks, in more pixels than the model reads.
        image: Array `(1, H, W, channels)`, 0..255, as the model read it.
        names: C strings.
        probabilities: Array `(C,)`.
        logits: Array `(C,)`.
        offset: Float, the constant of a head with a threshold, which is part of
            every logit and of no map.
        maps: Dict from the numbers 1..L of the FA layers to arrays `(h, w, C)`.
        layer_probabilities: Array `(L, C)`.
        evidence: Array `(L + 1, C)`, each layer's share of the logits.
        source: What layer 0 is, in words.
        several_labels: Whether each class has a probability of its own, since
            a photo may show several, or none.
        grad_cams: Dict from a class and a layer to the map `(h, w)`, of those
            that were asked for.
    """

    photo: np.ndarray
    view: np.ndarray
    image: np.ndarray
    names: typing.Sequence[str]
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
        """All classes, the likeliest first."""
        return np.argsort(-self.logits, kind="stable").tolist()

    def rival_of(self, index: int) -> int:
        """The likeliest other class, or the class itself if it is the only."""
        return next((c for c in self.ranking if c != index), index)


def names_of(model: typing.Any) -> list[str]:
    """What the page calls the classes of a model.

    Example:

    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(2, depths=(2,), maps_per_class=(1,))
    >>> keras_facnn.demo.looking.names_of(model)
    ['class 0', 'class 1']
    """
    return model.class_names or [f"class {c}" for c in range(model.num_classes)]


def look(model: typing.Any, data: bytes) -> Seen:
    """Reads a picture, and runs the model on it, once.

    Args:
        model: A `FACNN` of images of 1 or 3 channels, of one size.
        data: The bytes of a picture's file.

    Returns:
        A `Seen`.

    Raises:
        ValueError: If the picture cannot be read, or is too large or too small.

    Example:

    >>> import keras_facnn
    >>> import pathlib
    >>> model = keras_facnn.FACNN(3, (16, 16, 3), (2,), (1,))
    >>> data = pathlib.Path("samples/cat.jpg").read_bytes()
    >>> seen = keras_facnn.demo.looking.look(model, data)
    >>> seen.maps[1].shape, seen.evidence.shape
    ((16, 16, 3), (3, 3))
    """
    from PIL import Image
    from PIL import ImageOps

    if len(data) > MAX_BYTES:
        raise ValueError(
            f"The picture has {len(data) / 2**20:.0f} MB. At most "
            f"{MAX_BYTES // 2**20} are read"
        )
    height, width, channels = model.image_shape
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
    view = np.array(
        ImageOps.fit(
            photo,
            size,
            Image.Resampling.LANCZOS,
        )
    ).reshape(size[1], size[0], channels)
    photo.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)

    names = [f"fa_{level}" for level in range(1, model.num_layers + 1)]
    sources, evidence_maps = model._evidence()

    def read(outputs: dict[str, typing.Any]) -> dict[str, typing.Any]:
        head = model.head
        return {
            "maps": [head.class_maps(outputs[name]) for name in names],
            "logits": ops.stack(
                [head.logits(outputs[name]) for name in names], axis=1
            ),
            "evidence": head.scale
            * ops.mean(evidence_maps(outputs), axis=(2, 3)),
        }

    logits, told = model._read(image, "page", [*names, *sources], read, 1)
    return Seen(
        photo=np.array(photo).reshape(photo.height, photo.width, channels),
        view=view,
        image=image,
        names=names_of(model),
        probabilities=model.probabilities(logits)[0],
        logits=logits[0],
        offset=float(ops.convert_to_numpy(model.head.offset)),
        maps={n: maps[0] for n, maps in enumerate(told["maps"], start=1)},
        layer_probabilities=model.probabilities(told["logits"])[0],
        evidence=told["evidence"][0],
        source="the photo itself" if model.backbone is None else "the backbone",
        several_labels=model.threshold,
    )


def of_kind(values: np.ndarray, kind: str, c: int, rival: int) -> np.ndarray:
    """What maps, logits or evidence `(..., C)` say of one class.

    Args:
        values: Array `(..., C)`.
        kind: `"raw"`, `"centered"` for what is more than the mean of all
            classes, or `"contrast"` for what is more than the rival's.
        c: The class.
        rival: The other class, for `"contrast"`.

    Returns:
        An array `(...)`. All three are linear, so what they are of the maps
        sums to what they are of the logits.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> logits = np.array([3.0, 1.0, 2.0])
    >>> keras_facnn.demo.looking.of_kind(logits, "centered", 0, 1)
    np.float64(1.0)
    """
    if kind == "contrast":
        return values[..., c] - values[..., rival]
    if kind == "centered":
        return values[..., c] - values.mean(axis=-1)
    return values[..., c]


def brightest(maps: np.ndarray, kind: str, c: int, rival: int) -> float:
    """The value that gets the brightest color: alike for all classes.

    Args:
        maps: Array `(h, w, C)` of a layer.
        kind: As in `of_kind`.
        c: The class.
        rival: The other class, for `"contrast"`.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> maps = np.array([[[1.0, 4.0]]])
    >>> keras_facnn.demo.looking.brightest(maps, "raw", 0, 1)
    4.0
    """
    if kind == "contrast":
        maps = of_kind(maps, kind, c, rival)
    elif kind == "centered":
        maps = maps - maps.mean(axis=-1, keepdims=True)
    return float(np.abs(maps).max())


def see_grad_cam(
    model: typing.Any, seen: Seen, c: int, layer: int
) -> np.ndarray:
    """Grad-CAM of a class at a layer. Runs the model, the first time."""
    if (c, layer) not in seen.grad_cams:
        (seen.grad_cams[c, layer],) = grad_cam(
            model, seen.image, c, layer=layer
        )
    return seen.grad_cams[c, layer]


def _check_quick(data: bytes) -> None:
    """Raises where reading a picture may take long."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as opened:
            sides, kind = opened.size, opened.format
            decoders = {tile[0] for tile in getattr(opened, "tile", ())}
    except Exception:
        # `read_picture` says why it can't be read, in better words.
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
