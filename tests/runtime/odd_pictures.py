"""Real photographs as files of odd kinds."""

import io
import pathlib

import numpy as np
from PIL import Image

SAMPLES = pathlib.Path(__file__).parents[2] / "samples"


def encode(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def odd_files(photo):
    """Return the bytes of files of a photo, by what is odd about them."""
    width, height = photo.size
    files = {}
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x112] = orientation
        files[f"turned {orientation}"] = encode(photo, "JPEG", exif=exif)
    gray = photo.convert("L")
    deep = np.asarray(gray).astype("uint16") * 257 + 3
    files["16 bits"] = encode(Image.fromarray(deep), "PNG")
    fading = Image.fromarray(
        np.tile(np.linspace(0, 255, width).astype("uint8"), (height, 1))
    )
    clear = photo.copy()
    clear.putalpha(fading)
    files["transparent"] = encode(clear, "PNG")
    files["gray transparent"] = encode(clear.convert("LA"), "PNG")
    files["palette"] = encode(photo.quantize(64), "PNG")
    files["palette, transparent"] = encode(
        photo.quantize(16), "GIF", transparency=3
    )
    files["CMYK"] = encode(photo.convert("CMYK"), "JPEG")
    files["portrait"] = encode(
        photo.crop((0, 0, max(width // 3, 1), height)), "JPEG"
    )
    files["landscape"] = encode(
        photo.crop((0, 0, width, max(height // 3, 1))), "PNG"
    )
    for size in ((1, 1), (3, 2), (5, 40)):
        files[f"tiny {size}"] = encode(photo.resize(size), "PNG")
    files["gray"] = encode(gray, "JPEG")
    files["black and white"] = encode(photo.convert("1"), "PNG")
    files["TIFF"] = encode(photo, "TIFF", compression="tiff_lzw")
    files["BMP"] = encode(photo, "BMP")
    files["WebP"] = encode(photo, "WEBP", quality=50)
    files["progressive"] = encode(photo, "JPEG", progressive=True)
    # JPEG decodes it at a part of its size.
    files["large"] = encode(photo.resize((4 * width, 4 * height)), "JPEG")
    return files


def make_odd_pictures():
    """Return over 300 files of 12 photos, by a name."""
    paths = [
        *sorted((SAMPLES / "clothing").glob("*.jpg")),
        *sorted((SAMPLES / "imagenet").glob("*.jpg")),
        SAMPLES / "cat.jpg",
        SAMPLES / "ship.jpg",
    ]
    files = {}
    for path in paths:
        with Image.open(path) as photo:
            photo = photo.convert("RGB")
            photo.thumbnail((200, 200))
            for kind, data in odd_files(photo).items():
                files[f"{path.relative_to(SAMPLES)}, {kind}"] = data
    return files
