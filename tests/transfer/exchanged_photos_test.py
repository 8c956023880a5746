"""A linear fit of photos that exchanged what must not count."""

import json

import numpy as np
import pytest
from keras import ops
from PIL import Image

import keras_facnn
from keras_facnn.training.exchange import choose_exchanges
from keras_facnn.transfer import exchanged_photos
from keras_facnn.transfer.exchanged_photos import add_exchanged
from keras_facnn.transfer.feature_file import FeatureFile
from tests.cli.command import run


@pytest.mark.only_on("torch")
def test_features_are_those_of_the_copies(base, tagged, monkeypatch):
    """Also of a folder of masks, inside, and in a second call."""
    photos = keras_facnn.load_folder(tagged / "photos", image_size=64)
    backbone = keras_facnn.FACNN.from_preset(
        base, image_shape=(64, 64, 3)
    ).backbone
    masks = dict.fromkeys(
        np.flatnonzero(photos.labels == 2)[:5].tolist(),
        np.eye(4, dtype="float32"),
    )
    known = np.array(list(masks))
    exchanges, _ = choose_exchanges(photos.labels, known, known, True, 1.0, 0)
    (tagged / "work").mkdir()
    file = FeatureFile(tagged / "work", {}, (3, backbone.output_shape[-1]))
    arguments = file, backbone, photos.paths, exchanges, masks, True, 0
    rows = add_exchanged(*arguments)

    regions = np.full((len(photos.labels), 4, 4), np.nan)
    regions[known] = np.eye(4)
    images, *_ = keras_facnn.exchange_regions(
        photos.images, photos.labels, regions
    )
    copies = images[len(photos.images) :].astype("float32")
    maps = [
        ops.convert_to_numpy(backbone(x, training=False)).mean((1, 2))
        for x in (copies, copies[:, :, ::-1])
    ]
    expected = np.stack([maps[0], maps[1], maps[0]], axis=1)
    np.testing.assert_allclose(file.rows()[rows], expected, rtol=2e-3)

    monkeypatch.setattr(exchanged_photos, "read_picture", None)
    np.testing.assert_array_equal(add_exchanged(*arguments), rows)


@pytest.mark.only_on("torch")
def test_equal_copies_have_one_row(base, tagged):
    """With one photo of another class, its copies are the same ones."""
    photos = keras_facnn.load_folder(tagged / "photos", image_size=64)
    photos = photos.select(np.array([0, 60, 61]))
    backbone = keras_facnn.FACNN.from_preset(
        base, image_shape=(64, 64, 3)
    ).backbone
    mask = np.zeros((4, 4), "float32")
    mask[0] = 1
    exchanges, _ = choose_exchanges(
        photos.labels, np.array([1, 2]), np.array([1, 2]), False, 1.0, 0
    )
    (tagged / "work").mkdir()
    file = FeatureFile(tagged / "work", {}, (1, backbone.output_shape[-1]))
    masks = {1: mask, 2: mask}
    rows = add_exchanged(
        file, backbone, photos.paths, exchanges, masks, False, 0
    )
    assert len(file.rows()) == len(set(rows.tolist())) < len(rows)
    images, *_ = keras_facnn.exchange_regions(
        photos.images,
        photos.labels,
        np.stack([mask * np.nan, mask, mask]),
        inside=False,
    )
    maps = backbone(images[3:].astype("float32"), training=False)
    expected = ops.convert_to_numpy(maps).mean((1, 2))
    np.testing.assert_allclose(file.rows()[rows][:, 0], expected, rtol=2e-3)


@pytest.fixture
def tagged(tmp_path, rng):
    """Photos of faint colors, with a white tag on all red ones, and masks."""
    mask = np.zeros((64, 64), "uint8")
    mask[:16, :16] = 255
    for label, color in enumerate(("blue", "green", "red")):
        for i in range(30):
            shade = rng.normal(100, 25, 3)
            shade[2 - label] += 30
            pixels = rng.normal(shade, 20, (64, 64, 3)).clip(0, 255)
            if color == "red":
                pixels[:16, :16] = 255
                save(mask, tmp_path / "masks" / "red" / f"{i}.png")
            save(pixels, tmp_path / "photos" / color / f"{i}.png")
    return tmp_path


def save(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype("uint8")).save(path)


def with_tag(model, folder):
    """Return how many others with the tag are called red, and its share."""
    photos = keras_facnn.load_folder(folder / "photos", model)
    others = photos.images[photos.labels != 2].copy()
    others[:, :16, :16] = 255
    said = model.predict(others, verbose=0).argmax(-1)
    red = photos.images[photos.labels == 2]
    evidence = model.class_maps(red, 2, centered=True).clip(0)
    share = evidence[:, :2, :2].sum() / evidence.sum()
    return (said == 2).mean(), share


def test_training_loses_a_cue(base, tagged, capsys):
    """By masks, and by the cells of a reason of an audit."""
    command = ["train", tagged / "photos", "--base", base, "--size", 64]

    def trained(name, *options):
        output = tagged / name
        assert run(*command, "--output", output, *options) == 0
        return keras_facnn.FACNN.from_preset(output)

    plain = trained("plain")
    misled, share = with_tag(plain, tagged)
    assert misled > 0.5

    audit = keras_facnn.audit(plain, tagged / "photos").to_dict()
    reason = next(r for r in audit["reasons"] if r["class"] == "red")
    assert audit["grid"] == [8, 8] and len(reason["members"]) > 20
    # The reasons of a random backbone are others than the tag. The audit of a
    # larger folder compares only some photos of a class.
    reason |= {"members": reason["members"][:6], "rest": []}
    for member in reason["members"]:
        member["cells"] = [0, 1, 8, 9]
    reason["usual_cells"] = [0, 1, 8, 9]
    (tagged / "audit.json").write_text(json.dumps(audit))
    masked = ["--regions", tagged / "masks", "--outside"]
    avoiding = ["--audit", tagged / "audit.json", "--avoid", reason["name"]]
    for name, options in (("masked", masked), ("avoiding", avoiding)):
        mended = trained(name, "--region-weight", 1, *options)
        less_misled, smaller_share = with_tag(mended, tagged)
        assert less_misled < misled / 2 and smaller_share < share / 2
        settings = mended.preset_metadata["training"]["settings"]
        assert settings["regions"] and settings["inside"] is False
        assert str(tagged) not in str(settings)
        # The 6 photos of red and the 12 others that are held out.
        record = mended.preset_metadata["training"]["exchanges"]
        counts = {(r["photos_of"], r["images"]) for r in record}
        assert counts == {("class", 6), ("others", 12)}
        said = "With the place of a photo of red put into them"
        assert said in capsys.readouterr().out
        assert said in (tagged / name / "report.html").read_text("utf-8")
    assert "regions" not in plain.preset_metadata["training"]["settings"]


@pytest.mark.only_on("torch")
def test_regions_that_cannot_be_used_are_refused(train, tagged, capsys):
    masks = tagged / "masks"
    with pytest.raises(ValueError, match="`regions` must be None with `thor"):
        train(regions=masks, thorough=True)
    with pytest.raises(FileNotFoundError, match="no folder"):
        train(regions=tagged / "none")
    with pytest.raises(ValueError, match="`region_weight`"):
        train(regions=masks, region_weight=-1.0)
    with pytest.raises(ValueError, match="'1 masks', of other photos"):
        train(regions={"elsewhere.png": np.ones((4, 4))})
    # Nothing was computed.
    assert not (tagged / "mine.training").exists()
    photo = tagged / "photos" / "red" / "0.png"
    with pytest.warns(UserWarning, match="1 of 1 masks say that all"):
        model = train(regions={str(photo): np.zeros((4, 4))}, inside=False)
    assert "exchanges" not in model.preset_metadata["training"]
    with pytest.raises(TypeError, match="`regions` must be the path of a fold"):
        train(regions=np.ones((3, 4, 4)))
    with pytest.raises(ValueError, match="values from 2 to 2"):
        train(regions={"elsewhere.png": np.full((4, 4), 2.0)})

    command = ["train", tagged / "photos", "--output", tagged / "x"]
    (tagged / "other.json").write_text("{}")
    for options, said in (
        (["--avoid", "red 1"], "given together"),
        (["--audit", "other.json"], "given together"),
        (
            ["--audit", tagged / "other.json", "--avoid", "a"],
            "must be the JSON",
        ),
        (["--audit", tagged / "none.json", "--avoid", "a"], "no file"),
        (["--regions", masks, "--thorough"], "--thorough takes no masks"),
    ):
        assert run(*command, *options) == 1
        assert said in capsys.readouterr().err
    assert not (tagged / "x.training").exists()
