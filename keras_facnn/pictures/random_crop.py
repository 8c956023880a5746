"""Read a random part of a picture, for training. Needs Pillow."""

import math
import os

import numpy as np

from keras_facnn.pictures.opening import opened
from keras_facnn.pictures.pixels import upright_image

# The sides of a part are in a ratio of 3:4 to 4:3 times that of the result.
_LARGEST_SKEW = 4 / 3


def read_random_crop(
    path: str | os.PathLike[str],
    image_shape: tuple[int, int, int],
    rng: np.random.Generator,
    smallest: float = 0.5,
) -> np.ndarray:
    """Read a random part of a picture, mirrored half of the time.

    The part lies within what `read_picture` shows of the picture with
    `fit="crop"`. Its brightness and contrast change by up to 20 percent.

    Source: Szegedy et al., "Going deeper with convolutions", arXiv 1409.4842,
    who take parts of 8 to 100 percent of the area.

    Args:
        path: Path of a picture.
        image_shape: `(height, width, channels)` of the result.
        rng: Generator of the random numbers. It is asked for the same amount
            of them for each picture.
        smallest: The least share of the area, above 0 and at most 1.

    Returns:
        A uint8 array of `image_shape`, 0..255.
    """
    from PIL import Image

    height, width, channels = image_shape
    draws = rng.random(7)
    with opened(path) as image:
        # A part has fewer pixels than the picture, so decode at a larger size.
        least = 2 * max(height, width) / math.sqrt(smallest)
        image.draft(None, (math.ceil(least), math.ceil(least)))
        image, _ = upright_image(image, "L" if channels == 1 else "RGB", None)
        box = _box(image.size, (width, height), draws, smallest)
        image = image.resize((width, height), Image.Resampling.BICUBIC, box=box)
        pixels = np.asarray(image, "float32").reshape(image_shape)
    brightness, contrast = 0.8 + 0.4 * draws[4:6]
    mean = pixels.mean()
    pixels = brightness * (mean + contrast * (pixels - mean))
    if draws[6] < 0.5:
        pixels = pixels[:, ::-1]
    return np.clip(np.round(pixels), 0, 255).astype("uint8")


def _box(
    of: tuple[int, int],
    size: tuple[int, int],
    draws: np.ndarray,
    smallest: float,
) -> tuple[float, float, float, float]:
    """Return the left, upper, right and lower border of a random part."""
    # The largest centered part of the aspect of the result.
    scale = min(of[0] / size[0], of[1] / size[1])
    whole = (size[0] * scale, size[1] * scale)
    area = smallest + (1 - smallest) * draws[0]
    skew = _LARGEST_SKEW ** (draws[1] - 0.5)
    sides = (
        whole[0] * min(math.sqrt(area) * skew, 1),
        whole[1] * min(math.sqrt(area) / skew, 1),
    )
    start = [
        (of[i] - whole[i]) / 2 + draws[2 + i] * (whole[i] - sides[i])
        for i in (0, 1)
    ]
    return (start[0], start[1], start[0] + sides[0], start[1] + sides[1])
