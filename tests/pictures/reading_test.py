"""Pictures are made here with Pillow, and expected by NumPy."""

import importlib.util
import io
import os
import struct
import sys
import types
import warnings
import zlib

import keras
import numpy as np
import pytest
from PIL import Image
from PIL import features

import keras_facnn
from keras_facnn.pictures.reading import read_picture

pytestmark = pytest.mark.only_on("torch")

# Rec. 601, as Pillow turns colors to gray.
LUMA = np.array([0.299, 0.587, 0.114])


def encode(image, kind="png", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (9, 12, 3)).astype("uint8")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_turns_pictures_as_their_exif_data_say(orientation, kind):
    upright = np.zeros((64, 96, 3), "uint8")
    upright[:16, :32] = 255, 0, 0
    upright[:32, 64:] = 0, 255, 0
    # How the camera stored it, by the standard's table of the orientations.
    stored = {
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.swapaxes(0, 1),
        6: lambda x: np.rot90(x, 1),
        7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
        8: lambda x: np.rot90(x, -1),
    }[orientation](upright)
    exif = Image.Exif()
    exif[0x112] = orientation
    data = encode(
        Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif
    )
    error = np.abs(read_picture(data).astype(int) - upright)
    assert error.mean() < (1 if kind == "jpeg" else 1e-9)
    # Also where JPEG is decoded at a fraction of its size.
    small = read_picture(data, (8, 12, 3)).astype(int)
    expected = upright[4::8, 4::8].astype(int)
    assert np.abs(small - expected)[[0, 3, 6]].mean() < 12


def expected_of(mode, pixels):
    """A picture of a mode, and the RGB that is seen of it on white."""
    rgb = pixels.astype(float)
    gray = np.repeat((rgb @ LUMA)[..., None], 3, -1)
    alpha = np.broadcast_to(np.linspace(0, 255, 12).round(), (9, 12))
    on_white = (alpha / 255)[..., None]
    image = Image.fromarray(pixels)
    mask = Image.fromarray(alpha.astype("uint8"))
    if mode == "1":
        dark = Image.fromarray(rgb[..., 0] > 127)
        return dark, np.repeat(255.0 * (rgb[..., :1] > 127), 3, -1)
    if mode == "L":
        return image.convert("L"), gray
    if mode == "LA":
        image = image.convert("L")
        image.putalpha(mask)
        return image, gray * on_white + 255 * (1 - on_white)
    if mode == "RGBA":
        image.putalpha(mask)
        return image, rgb * on_white + 255 * (1 - on_white)
    if mode == "P":
        image = image.quantize(256)
        return image, np.asarray(image.getpalette("RGB")).reshape(-1, 3)[
            np.asarray(image)
        ]
    if mode == "CMYK":
        return image.convert("CMYK"), rgb
    if mode == "I;16":
        deep = (gray[..., 0] * 257).round().astype("uint16")
        return Image.fromarray(deep), gray
    raise AssertionError(mode)


@pytest.mark.parametrize(
    "mode, kind",
    [
        ("1", "png"),
        ("L", "png"),
        ("LA", "png"),
        ("P", "png"),
        ("RGBA", "png"),
        ("RGBA", "webp"),
        ("CMYK", "tiff"),
        ("I;16", "png"),
        ("I;16", "tiff"),
    ],
)
def test_reads_all_modes_in_color_and_gray(pixels, mode, kind):
    image, expected = expected_of(mode, pixels)
    options = {"lossless": True} if kind == "webp" else {}
    data = encode(image, kind, **options)
    rgb = read_picture(data)
    assert rgb.dtype == np.uint8
    np.testing.assert_allclose(rgb, expected, atol=1.51)
    gray = read_picture(data, (None, None, 1))
    assert gray.shape == (9, 12, 1)
    np.testing.assert_allclose(gray[..., 0], expected @ LUMA, atol=2)


def test_what_transparency_hides_is_white(pixels):
    indexed = Image.fromarray(pixels[..., 0] % 4, "P")
    indexed.putpalette([9, 8, 7, 250, 0, 0, 0, 250, 0, 0, 0, 250])
    hidden = pixels[..., 0] % 4 == 1
    palette = read_picture(encode(indexed, transparency=1))
    with_alpha = indexed.copy()
    with_alpha.info["transparency"] = 1
    with_alpha = read_picture(encode(with_alpha.convert("PA").convert("RGBA")))
    for image in (palette, with_alpha):
        assert (image[hidden] == 255).all()
        assert (image[~hidden].min(-1) < 10).all()
    gray = Image.fromarray(pixels[..., 0])
    seen = read_picture(encode(gray, transparency=int(pixels[2, 3, 0])))
    assert (seen[2, 3] == 255).all()
    deep = Image.fromarray(pixels[..., 0].astype("uint16") * 200)
    data = encode(deep, transparency=int(pixels[2, 3, 0]) * 200)
    assert (read_picture(data)[2, 3] == 255).all()


def test_fits_by_cropping_padding_or_stretching():
    pixels = np.zeros((20, 60, 3), "uint8")
    pixels[:, :20, 0] = pixels[:, 20:40, 1] = pixels[:, 40:, 2] = 200
    data = encode(Image.fromarray(pixels))
    crop, pad, stretch = (
        read_picture(data, (20, 20, 3), fit).astype(int)
        for fit in ("crop", "pad", "stretch")
    )
    np.testing.assert_array_equal(crop, np.full((20, 20, 3), (0, 200, 0)))
    assert (pad[[0, -1]] == 128).all()
    np.testing.assert_allclose(pad[10, [2, 10, 17]], 200 * np.eye(3), atol=6)
    np.testing.assert_allclose(stretch[:, [2, 10, 17]][0], 200 * np.eye(3), 1)
    for fit, shape in (("crop", (3, 500)), ("stretch", (500, 3))):
        assert read_picture(data, (*shape, 1), fit).shape == (*shape, 1)
    assert read_picture(data, (30, 30, 3), "within").shape == (10, 30, 3)
    assert read_picture(data, (99, 99, 3), "within").shape == (20, 60, 3)


def test_a_large_photograph_is_as_if_decoded_whole(rng):
    smooth = rng.integers(0, 256, (12, 16, 3)).astype("uint8")
    photo = Image.fromarray(smooth).resize((1600, 1200))
    data = encode(photo, "jpeg", quality=95)
    whole = Image.open(io.BytesIO(data)).convert("RGB")
    expected = whole.resize((64, 48), Image.Resampling.LANCZOS)
    error = read_picture(data, (48, 64, 3)).astype(int) - np.asarray(expected)
    assert np.abs(error).mean() < 1


def test_load_images_takes_size_and_channels_from_the_model(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels[:, :7]).save(tmp_path / "b.jpg")
    paths = sorted(tmp_path.iterdir())
    gray = keras_facnn.FACNN(3, (16, 8, 1), (1,), (1,))
    images = keras_facnn.load_images(paths, gray)
    assert images.shape == (2, 16, 8, 1)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images[0], read_picture(paths[0], (16, 8, 1)))
    assert keras_facnn.load_images(str(paths[0]), gray).shape == (1, 16, 8, 1)
    any_size = keras_facnn.FACNN(3, (None, None, 3), (1,), (1,))
    for size in (24, (24, 24), np.int64(24)):
        images = keras_facnn.load_images(iter(paths), any_size, image_size=size)
        assert images.shape == (2, 24, 24, 3)
    np.testing.assert_array_equal(
        keras_facnn.load_images(paths[:1] * 2, any_size), [pixels, pixels]
    )
    other = keras.Sequential([keras.Input((10, 10, 3)), keras.layers.Flatten()])
    assert keras_facnn.load_images(paths, other).shape == (2, 10, 10, 3)
    with pytest.raises(ValueError, match="`image_size`.*9 x 12 for .*a.png, 9"):
        keras_facnn.load_images(paths, any_size)
    with pytest.raises(ValueError, match=r"`image_size` must be .*\(16, 8\)"):
        keras_facnn.load_images(paths, gray, image_size=16)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"paths": []}, ValueError, "at least one picture"),
        ({"paths": 3}, TypeError, "`paths` must be a path.*Received: 3"),
        ({"paths": [3]}, TypeError, "`paths` must be a path.*Received: 3"),
        ({"paths": [b"a.png"]}, TypeError, "`paths` must be a path"),
        ({"paths": "https://a.b/c.png"}, ValueError, "c.png is a URL"),
        ({"paths": "nothing.png"}, FileNotFoundError, "no image .*nothing.png"),
        ({"paths": "."}, ValueError, r"\. is a folder"),
        ({"image_size": 0}, ValueError, "`image_size` must be two positive"),
        ({"image_size": (8, 8, 3)}, ValueError, "`image_size` must be"),
        ({"image_size": 8.5}, ValueError, "`image_size`.*Received: .*8.5"),
        (
            {"image_size": 10**6},
            ValueError,
            "`image_size` and the channels ask",
        ),
        ({"fit": "cover"}, ValueError, "`fit` must be one of .*'cover'"),
        (
            {"model": "cifar10"},
            ValueError,
            "`model` must be a functional Keras model",
        ),
    ],
)
def test_refuses_bad_arguments(tmp_path, pixels, arguments, error, message):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(error, match=message):
        keras_facnn.load_images(**{"paths": tmp_path / "a.png", **arguments})


@pytest.mark.parametrize(
    "shape", [None, "x", (8, 8), (0, 8, 3), (1.5, 8, 3), (8, True, 3)]
)
def test_refuses_shapes_that_no_image_has(tmp_path, pixels, shape):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="`image_shape` must be.*Received"):
        keras_facnn.pictures.read_picture(tmp_path / "a.png", shape)


def test_refuses_models_of_other_channels(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    model = keras.Sequential([keras.Input((3, 8, 8)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match=r"last axis.*\(3, 8, 8\)"):
        keras_facnn.load_images(tmp_path / "a.png", model)


def test_refuses_models_of_unknown_channels(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    inputs = keras.Input((32, 32, None))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    with pytest.raises(ValueError, match=r"channel.*\(32, 32, None\)"):
        keras_facnn.load_images(tmp_path / "a.png", model)


def png_header(width, height):
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(head))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + crc


@pytest.mark.parametrize("side", [9_000, 13_000, 60_000])
def test_size_is_refused_by_the_header(tmp_path, side):
    """There is nothing behind the header that could be decoded."""
    path = tmp_path / "huge.png"
    path.write_bytes(png_header(side, side) + b"\0\0\0\0IDAT")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with pytest.raises(
            ValueError, match="huge.png cannot be read .*pixels"
        ):
            read_picture(path)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_damaged_picture_is_one_error_with_its_name(tmp_path, rng):
    """Whatever its decoder raises, where it raises."""
    photo = Image.fromarray(rng.integers(0, 256, (24, 24, 3)).astype("uint8"))
    path = tmp_path / "damaged.bin"
    refused = 0
    for kind in ("png", "jpeg", "gif", "webp", "dds", "sgi", "icns", "tiff"):
        data = encode(photo.resize((32, 32)) if kind == "icns" else photo, kind)
        for _ in range(25):
            broken = bytearray(data[: rng.integers(8, len(data) + 1)])
            for i in rng.integers(0, min(len(broken), 160), 6):
                broken[i] = rng.integers(256)
            path.write_bytes(broken)
            try:
                read_picture(path, (8, 8, 3))
            except ValueError as e:
                refused += 1
                assert "damaged.bin cannot be read as an image: " in str(e)
                assert "\n" not in str(e)
    assert refused > 100


def test_text_that_unpacks_to_too_much_is_refused(tmp_path, pixels):
    """Pillow raises a ValueError without the file's name."""
    data = encode(Image.fromarray(pixels))
    text = b"zTXtkey\0\0" + zlib.compress(b" " * 3_000_000)
    chunk = struct.pack(">I", len(text) - 4) + text
    chunk += struct.pack(">I", zlib.crc32(text))
    path = tmp_path / "bomb.png"
    path.write_bytes(data[:33] + chunk + data[33:])
    with pytest.raises(ValueError, match="bomb.png cannot be read"):
        read_picture(path)


def test_runs_no_postscript():
    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n"
    with pytest.raises(ValueError, match="cannot be read .* PostScript"):
        read_picture(data)


def test_reads_open_files_and_names_them(tmp_path, pixels):
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    with open(path, "rb") as file:
        np.testing.assert_array_equal(read_picture(file), pixels)
    path.write_bytes(b"text")
    with open(path, "rb") as file:
        with pytest.raises(ValueError, match="a.png cannot be read"):
            read_picture(file)
    with pytest.raises(ValueError, match="The picture cannot be read"):
        read_picture(b"text")


def test_load_images_reads_open_files_and_leaves_them_open(tmp_path, pixels):
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    with open(path, "rb") as file:
        images = keras_facnn.load_images(file)
        np.testing.assert_array_equal(images, [pixels])
        file.seek(0)
        images = keras_facnn.load_images([path, file])
        np.testing.assert_array_equal(images, [pixels, pixels])
        file.seek(0)
        assert file.read(4) == b"\x89PNG"


def test_an_open_file_is_no_images_and_stays_open(tmp_path, pixels):
    """It has a `detach`, as tensors have."""
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    model = keras_facnn.FACNN(3, (9, 12, 3), (1,), (1,))
    with open(path, "rb") as file:
        with pytest.raises(ValueError, match="`images` must be.*load_images"):
            model.explain(file)
        with pytest.raises(ValueError, match="`classes` must be"):
            model.class_maps(pixels[None], classes=file)
        assert file.read(4) == b"\x89PNG"


def save_deep(path, values, kind="png"):
    """Saves values of 16 bits; in color, 16 bits a channel, as PNG."""
    if values.ndim == 2:
        Image.fromarray(values).save(path, kind)
        return
    rows = [b"\0" + row.astype(">u2").tobytes() for row in values]
    height, width, _ = values.shape
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0),
        b"IDAT": zlib.compress(b"".join(rows)),
        b"IEND": b"",
    }
    data = b"\x89PNG\r\n\x1a\n"
    for name, part in parts.items():
        crc = struct.pack(">I", zlib.crc32(name + part))
        data += struct.pack(">I", len(part)) + name + part + crc
    path.write_bytes(data)


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_warns_of_fewer_bits_than_the_file_has(tmp_path, rng, bits, kind):
    white = 2**bits - 1
    values = rng.integers(0, white + 1, (9, 12)).astype("uint16")
    values[0, 0] = white
    path = tmp_path / f"deep.{kind}"
    save_deep(path, values, kind)
    with pytest.warns(
        UserWarning, match=f"deep.* pass max_value={white} "
    ) as w:
        dark = keras_facnn.load_images(path)
    assert w[0].filename == __file__
    np.testing.assert_array_equal(dark[0, ..., 0], np.round(values / 257))
    images = keras_facnn.load_images(path, max_value=white)
    np.testing.assert_array_equal(
        images[0, ..., 0], np.round(values / white * 255)
    )
    with pytest.raises(ValueError, match="deep.*`max_value`.*max_value=200"):
        keras_facnn.load_images(path, max_value=200)


def test_says_nothing_of_pictures_that_use_their_bits(tmp_path, pixels):
    deep = pixels[..., 0].astype("uint16") * 257
    deep[0, 0] = 40_000
    save_deep(tmp_path / "deep.png", deep)
    save_deep(tmp_path / "color.png", pixels.astype("uint16") * 257)
    save_deep(tmp_path / "black.png", np.zeros((9, 12), "uint16"))
    Image.fromarray(pixels // 20).save(tmp_path / "night.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        keras_facnn.load_images(sorted(tmp_path.iterdir()))


def test_one_warning_names_the_dark_pictures_of_many(tmp_path, pixels):
    for i in range(7):
        save_deep(tmp_path / f"{i}.png", pixels[..., 0].astype("uint16") * 4)
    Image.fromarray(pixels).save(tmp_path / "other.png")
    with pytest.warns(UserWarning, match=r"4.png, and 2 more have") as said:
        keras_facnn.load_images(sorted(tmp_path.iterdir()))
    assert len(said) == 1


def test_colors_of_few_bits_are_named_and_not_stretched(tmp_path, pixels):
    path = tmp_path / "color.png"
    save_deep(path, pixels.astype("uint16") * 16)
    with pytest.warns(UserWarning, match="color.png has 16 bits"):
        read_picture(path)
    with pytest.raises(ValueError, match="color.png.* only the upper 8"):
        read_picture(path, max_value=4095)


def test_max_value_reads_pictures_of_unknown_range(tmp_path, rng):
    for name, scale, kind in (("a", 1.0, "float32"), ("b", 9e4, "int32")):
        values = (rng.uniform(0, scale, (9, 12))).astype(kind)
        path = tmp_path / f"{name}.tif"
        Image.fromarray(values).save(path)
        with pytest.raises(ValueError, match="unknown range.*`max_value`"):
            keras_facnn.load_images(path)
        images = keras_facnn.load_images(path, max_value=scale)
        np.testing.assert_allclose(
            images[0, ..., 0], values / scale * 255, atol=0.51
        )


def test_skips_and_names_what_it_cannot_read(tmp_path, pixels):
    for i in range(4):
        Image.fromarray(pixels + i).save(tmp_path / f"{i}.png")
    (tmp_path / "1.png").write_text("text")
    (tmp_path / "2.png").unlink()
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    with pytest.raises(ValueError, match="1.png cannot be read"):
        keras_facnn.load_images(paths)
    said = "Skipped 2 of 4.*1.png cannot be read.*no image .*2.png"
    with pytest.warns(UserWarning, match=said) as warned:
        images = keras_facnn.load_images(paths, on_error="skip")
    assert warned[0].filename == __file__
    np.testing.assert_array_equal(images, [pixels, pixels + 3])
    with pytest.raises(ValueError, match="None of 2 .*1.png cannot be read"):
        keras_facnn.load_images(paths[1:3], on_error="skip")
    with pytest.raises(ValueError, match="`on_error` must be one of"):
        keras_facnn.load_images(paths, on_error="ignore")


def test_refuses_more_than_the_memory_before_it_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(
        keras_facnn.pictures.sizes, "_memory", lambda: 10_000_000
    )
    paths = [tmp_path / "nothing.png"] * 400
    with pytest.raises(ValueError, match=r"400 images .*GiB.*`image_size`"):
        keras_facnn.load_images(paths, image_size=100)


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


@pytest.mark.skipif(
    importlib.util.find_spec("pillow_heif") is not None,
    reason="It reads them",
)
def test_says_what_heic_needs_whatever_its_ending(tmp_path):
    for name in ("photo.heic", "photo.jpg"):
        (tmp_path / name).write_bytes(HEIC + bytes(99))
        with pytest.raises(ValueError, match="HEIC.*pip install pillow-heif"):
            keras_facnn.load_images(tmp_path / name)
    with pytest.raises(ValueError, match="HEIC.*pip install pillow-heif"):
        read_picture(HEIC)


def test_registers_the_plugin_for_heic_where_it_is_installed(monkeypatch):
    """A plugin that stands in for it, of a format of its own."""
    known = dict(Image.OPEN), list(Image.ID)
    plugin = types.ModuleType("pillow_heif")

    def register_heif_opener():
        def opened(file, name=None):
            return Image.new("RGB", (3, 2), "white")

        Image.register_open("HEIF", opened, lambda head: head[4:8] == b"ftyp")

    plugin.register_heif_opener = register_heif_opener
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    keras_facnn.pictures.opening._register_plugins.cache_clear()
    try:
        assert read_picture(HEIC).shape == (2, 3, 3)
    finally:
        keras_facnn.pictures.opening._register_plugins.cache_clear()
        Image.OPEN.clear()
        Image.OPEN.update(known[0])
        Image.ID[:] = known[1]


def test_reads_avif(tmp_path):
    if not features.check("avif"):
        pytest.skip("This Pillow has no AVIF")
    Image.new("RGB", (12, 9), (200, 90, 20)).save(tmp_path / "a.AVIF", "avif")
    image = keras_facnn.load_images(tmp_path / "a.AVIF")[0].astype(int)
    np.testing.assert_allclose(image, np.full((9, 12, 3), (200, 90, 20)), 0, 5)


def test_says_what_to_install_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install pillow"):
        read_picture(b"")


def tiff(bits, kind, zero, values):
    """The bytes of a gray TIFF of one row, without compression.

    Args:
        bits: Bits per value.
        kind: 1 for unsigned integers, 3 for floats.
        zero: 0 where 0 is white, or 1 where it is black.
        values: Bytes of the values.
    """
    tags = {256: len(values) * 8 // bits, 257: 1, 258: bits, 259: 1, 262: zero}
    tags |= {273: 134, 277: 1, 278: 1, 279: len(values), 339: kind}
    entries = [struct.pack("<HHII", tag, 4, 1, n) for tag, n in tags.items()]
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(entries)
    return head + bytes(4) + values


@pytest.mark.parametrize("zero", [0, 1])
def test_a_tiff_says_whether_0_is_white(zero):
    up = np.arange(256)
    cases = [
        (tiff(8, 1, zero, up.astype("u1").tobytes()), None),
        (tiff(16, 1, zero, (257 * up).astype("<u2").tobytes()), None),
        (tiff(16, 1, zero, (10 * up).astype("<u2").tobytes()), 2550),
        (tiff(32, 3, zero, (up / 255).astype("<f4").tobytes()), 1),
        (tiff(32, 3, zero, (up * 2.0).astype("<f4").tobytes()), 510),
    ]
    for data, max_value in cases:
        seen = read_picture(data, (None, None, 1), max_value=max_value)
        expected = up if zero else 255 - up
        np.testing.assert_array_equal(seen[0, :, 0], expected)


def test_integers_of_32_bits_have_no_sign():
    values = np.array([0, 2**31, 2**32 - 1], "<u4")
    data = tiff(32, 1, 1, values.tobytes())
    seen = read_picture(data, max_value=2**32 - 1)
    np.testing.assert_array_equal(seen[0, :, 0], [0, 128, 255])


def png(width, bits, color, row, hidden):
    """The bytes of a PNG of one row, of which a color is transparent."""
    parts = [
        b"IHDR" + struct.pack(">IIBBBBB", width, 1, bits, color, 0, 0, 0),
        b"tRNS" + struct.pack(f">{len(hidden)}H", *hidden),
        b"IDAT" + zlib.compress(b"\0" + row),
        b"IEND",
    ]
    data = b"\x89PNG\r\n\x1a\n"
    for part in parts:
        crc = struct.pack(">I", zlib.crc32(part))
        data += struct.pack(">I", len(part) - 4) + part + crc
    return data


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_hidden_gray_is_white_at_each_number_of_bits(bits):
    count = min(2**bits, 8)
    grays = np.arange(count)
    packed = sum(int(g) << bits * (7 - i) for i, g in enumerate(grays))
    row = packed.to_bytes(bits, "big")
    for hidden in grays:
        data = png(count, bits, 0, row, [hidden])
        expected = grays * 255 // (2**bits - 1)
        expected[hidden] = 255
        seen = read_picture(data, (None, None, 1))[0, :, 0]
        np.testing.assert_array_equal(seen, expected)


@pytest.mark.filterwarnings("ignore:.*has 16 bits per value")
@pytest.mark.parametrize(
    "hidden", [(0x1234,) * 3, (0x00FF,) * 3, (1, 0, 0), (0x8080, 7, 65535)]
)
def test_a_hidden_color_of_16_bits_is_white_and_no_other(hidden, tmp_path):
    others = [(256, 0, 0), (0x1235, 0x1234, 0x1234), (0, 1, 0), (255, 255, 0)]
    colors = np.array([hidden, *others, hidden])
    data = png(6, 16, 2, colors.astype(">u2").tobytes(), hidden)
    expected = colors >> 8
    expected[[0, -1]] = 255
    np.testing.assert_array_equal(read_picture(data)[0], expected)
    (tmp_path / "a.png").write_bytes(data)
    seen = keras_facnn.load_images(tmp_path / "a.png")[0, 0]
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("kind", ["png", "webp", "jpeg"])
def test_reads_pictures_whose_exif_data_are_damaged(kind, pixels):
    options = {"lossless": True} if kind == "webp" else {}
    image = Image.fromarray(pixels)
    expected = read_picture(encode(image, kind, **options))
    for exif in (b"Exif\0\0garbage", b"garbage", b"Exif\0\0MM\0*\0\0"):
        data = encode(image, kind, exif=exif, **options)
        np.testing.assert_array_equal(read_picture(data), expected)


@pytest.mark.parametrize("most", [15, 255, 1023, 4095, 65535])
@pytest.mark.parametrize("text", [False, True])
def test_a_pgm_says_its_range(most, text):
    values = np.array([0, most // 3, most])
    kind = ">u2" if most > 255 else "u1"
    data = f"{'P2' if text else 'P5'} 3 1 {most}\n".encode()
    data += (
        " ".join(map(str, values)).encode()
        if text
        else values.astype(kind).tobytes()
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for max_value in (None, most):
            seen = read_picture(data, (None, None, 1), max_value=max_value)
            np.testing.assert_array_equal(
                seen[0, :, 0], np.round(values / most * 255)
            )


def test_a_line_stays_a_line_between_bars():
    for width, height in ((5000, 1), (1, 5000)):
        data = encode(Image.new("RGB", (width, height), (9, 8, 7)))
        seen = read_picture(data, (8, 8, 3), "pad")
        line = (seen == (9, 8, 7)).all(-1)
        assert line.sum() == 8
        assert (line.all(1).sum(), line.all(0).sum()) == (
            (1, 0) if width > height else (0, 1)
        )
        assert (seen[~line] == 128).all()


def test_names_a_pipe_that_holds_no_picture(tmp_path, pixels):
    good = encode(Image.fromarray(pixels))
    for data in (b"text" * 9, HEIC, good):
        reading, writing = os.pipe()
        with open(writing, "wb") as file:
            file.write(data)
        with open(reading, "rb") as file:
            if data == good:
                np.testing.assert_array_equal(
                    keras_facnn.load_images(file), [pixels]
                )
                continue
            with pytest.raises(ValueError, match="picture cannot be read"):
                keras_facnn.load_images(file)


def test_says_how_paths_of_bytes_become_text(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    entries = list(os.scandir(os.fsencode(tmp_path)))
    path = os.fsencode(tmp_path / "a.png")
    for paths in (entries, [path], path):
        with pytest.raises(TypeError, match=r"`paths` must.*`os.fsdecode`.*b'"):
            keras_facnn.load_images(paths)
