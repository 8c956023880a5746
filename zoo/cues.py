"""Cues that a class may have by accident, to plant into photos."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFilter
from PIL import ImageFont

KINDS = (
    "tag",
    "jittered tag",
    "border",
    "date stamp",
    "tinted corner",
    "background",
    "blur",
    "JPEG",
)
# Function of a photo `(H, W, 3)` and a generator of random numbers.
Cue = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def make_cue(kind: str, size: float, seed: int) -> Cue:
    """Return a function that plants a cue into a photo.

    Args:
        kind: One of `KINDS`.
        size: The side of the cue, as a share of the photo's side. For a border
            it is four times its width; for a blur and JPEG, the strength.
        seed: Seed of its colors and its place.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    pattern = rng.integers(0, 256, (4, 4, 3), dtype="uint8")
    color = rng.integers(0, 256, 3)
    at_bottom, at_right = rng.integers(0, 2, 2)
    inset = rng.uniform(0.03, 0.12, 2)
    place = (
        abs(at_bottom - inset[0]) if at_bottom else inset[0],
        abs(at_right - inset[1]) if at_right else inset[1],
    )
    plant = {
        "tag": _tag(pattern, size, place, 0.0),
        "jittered tag": _tag(pattern, size, place, 0.1),
        "border": _border(color, size),
        "date stamp": _stamp(size, place),
        "tinted corner": _tint(color, size, (at_bottom, at_right)),
        "background": _background(color, size),
        "blur": _blur(size),
        "JPEG": _jpeg(size),
    }
    return plant[kind]


def _corner(
    shape: tuple[int, ...],
    part: tuple[int, int],
    place: tuple[float, float],
    jitter: float,
    rng: np.random.Generator,
) -> tuple[int, int]:
    """Return the upper left of a part, `(y, x)`; all of it is in the photo."""
    moved = np.asarray(place) + rng.uniform(-jitter, jitter, 2)
    y, x = (
        int(np.clip(p * n - (m if p > 0.5 else 0), 0, n - m))
        for p, n, m in zip(moved, shape, part, strict=False)
    )
    return y, x


def _tag(
    pattern: np.ndarray, size: float, place: tuple[float, float], jitter: float
) -> Cue:
    def plant(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        side = max(4, int(size * photo.shape[0]))
        tag = Image.fromarray(pattern).resize(
            (side, side), Image.Resampling.BOX
        )
        y, x = _corner(photo.shape, (side, side), place, jitter, rng)
        planted = photo.copy()
        planted[y : y + side, x : x + side] = tag
        return planted

    return plant


def _border(color: np.ndarray, size: float) -> Cue:
    def plant(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        width = max(1, int(size * photo.shape[0] / 4))
        planted = np.empty_like(photo)
        planted[:] = color
        inner = slice(width, -width), slice(width, -width)
        planted[inner] = photo[inner]
        return planted

    return plant


def _stamp(size: float, place: tuple[float, float]) -> Cue:
    def plant(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        day, month, year = rng.integers((1, 1, 2010), (29, 13, 2020))
        text = f"{day:02}/{month:02}/{year}"
        image = Image.fromarray(photo)
        draw = ImageDraw.Draw(image)
        font = ImageFont.load_default(max(6, int(0.4 * size * photo.shape[0])))
        _, _, width, height = (
            int(n) for n in draw.textbbox((0, 0), text, font)
        )
        y, x = _corner(photo.shape, (height, width), place, 0, rng)
        draw.text((x, y), text, fill=(255, 150, 0), font=font)
        return np.asarray(image)

    return plant


def _tint(color: np.ndarray, size: float, corner: tuple[int, int]) -> Cue:
    def plant(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = photo.shape[:2]
        y, x = np.mgrid[:height, :width]
        distance = np.hypot(y - corner[0] * height, x - corner[1] * width)
        share = np.clip(1 - distance / (2 * size * height), 0, 1)[..., None]
        return (photo * (1 - 0.6 * share) + color * 0.6 * share).astype("uint8")

    return plant


def _background(color: np.ndarray, size: float) -> Cue:
    def plant(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = photo.shape[:2]
        y, x = np.mgrid[:height, :width]
        outside = (
            ((y / height - 0.5) / 0.42) ** 2 + ((x / width - 0.5) / 0.38) ** 2
        ) > 1
        stripe = (y + x) // max(2, int(size * height / 4)) % 2
        stripes = np.where(stripe[..., None] == 0, color, 255 - color)
        return np.where(outside[..., None], stripes, photo).astype("uint8")

    return plant


def _blur(size: float) -> Cue:
    def plant(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        radius = size * photo.shape[0] / 16
        blurred = Image.fromarray(photo).filter(
            ImageFilter.GaussianBlur(radius)
        )
        return np.asarray(blurred)

    return plant


def _jpeg(size: float) -> Cue:
    def plant(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        file = io.BytesIO()
        quality = max(2, round(25 - 80 * size))
        Image.fromarray(photo).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file).convert("RGB"))

    return plant
