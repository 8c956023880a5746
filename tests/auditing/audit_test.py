"""Tests of `keras_facnn.audit` against sums that NumPy makes."""

import dataclasses
import functools
import pickle

import keras
import numpy as np
import pytest

import keras_facnn
from keras_facnn.auditing.looks import thumbnail
from keras_facnn.auditing.observing import observe
from keras_facnn.auditing.repeats import find_repeats
from keras_facnn.grid import Grid

SIDE = 32


def make_images(count, seed=0):
    """Return stripes, horizontal or vertical, of random colors."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    y, x = np.mgrid[:SIDE, :SIDE]
    images = []
    for label in labels:
        along = (y, x)[label]
        waves = np.sin(along * rng.uniform(0.7, 1.4) + rng.uniform(0, 6))
        colors = rng.uniform(0, 255, (2, 3))
        image = colors[0] + (waves[..., None] + 1) / 2 * (colors[1] - colors[0])
        images.append(image + rng.normal(0, 10, image.shape))
    return np.clip(images, 0, 255).astype("uint8"), labels


def put_tag(images):
    """Put the same tag at the lower left of images."""
    tag = np.random.default_rng(1).integers(0, 256, (8, 8, 3))
    tagged = images.copy()
    tagged[:, -10:-2, 1:9] = tag
    return tagged


@functools.cache
def make_model():
    """Return a model that tells rows from columns by their gradients."""
    kernels = np.zeros((2, 2, 3, 4), "float32")
    for axis in range(2):
        kernels[0, 0, :, 2 * axis] = 1
        kernels[1 - axis, axis, :, 2 * axis] = -1
        kernels[..., 2 * axis + 1] = -kernels[..., 2 * axis]
    classifier = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 2, use_bias=False, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, use_bias=False),
        ]
    )
    down, across = [[9.0, -9.0]] * 2, [[-9.0, 9.0]] * 2
    classifier.set_weights([kernels, np.array([*down, *across], "float32")])
    model = keras_facnn.FACNN.from_classifier(classifier, ["rows", "columns"])
    images, labels = make_images(60, seed=9)
    said = model.predict(images, verbose=0).argmax(axis=-1)
    assert (said == labels).mean() > 0.95
    return model


@pytest.mark.parametrize("name", ["fa", "hybrid"])
def test_evidence_sums_to_the_logits_and_places_have_the_most(name):
    model = make_model()
    if name == "fa":
        keras.utils.set_random_seed(0)
        model = keras_facnn.FACNN(4, depths=(2,), maps_per_class=(2,))
    images, _ = make_images(5)
    side = SIDE if name == "fa" else SIDE - 1
    grid = Grid(side, side)
    seen = observe(model, images, grid, batch_size=2)
    logits, maps = model.predict_with_maps(images)
    order = np.argsort(-logits, axis=-1)
    np.testing.assert_array_equal(seen.classes, order)
    np.testing.assert_allclose(
        seen.evidence.sum(axis=-1),
        np.take_along_axis(logits, order, axis=-1),
        rtol=1e-4,
    )
    # The map of the likeliest class, centered, summed over cells by hand.
    scale = float(keras.ops.convert_to_numpy(model.head.scale))
    for i in range(len(images)):
        centered = maps[i] - maps[i].mean(axis=-1, keepdims=True)
        chosen = centered[..., order[i, 0]] * scale / side**2
        # Each location in as many parts as there are cells in a line.
        n = grid.shape[0]
        fine = chosen.repeat(n, axis=0).repeat(n, axis=1) / n**2
        sums = fine.reshape(n, side, n, side).sum(axis=(1, 3))
        got = (seen.evidence[i, 0] - seen.mean_evidence[i]).reshape(grid.shape)
        np.testing.assert_allclose(got, sums, atol=1e-4)
        for part, place in zip(grid.parts, seen.places[i], strict=True):
            assert part[place]
            assert got.ravel()[place] == got.ravel()[part].max()


def test_audit_of_parts_adds_up_to_that_of_the_whole():
    model = make_model()
    images, labels = make_images(61)
    whole = keras_facnn.audit(model, images, labels, batch_size=16)
    parts = [
        pickle.loads(pickle.dumps(keras_facnn.audit(model, x, y)))
        for x, y in ((images[40:], labels[40:]), (images[:40], labels[:40]))
    ]
    both = parts[0] + parts[1]
    assert both.images == whole.images == 61
    for a, b in zip(both.classes, whole.classes, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            assert a[key] == (
                pytest.approx(b[key], abs=1e-6)
                if isinstance(b[key], float)
                else b[key]
            )
    for c in range(2):
        keys = [p.key for p in both.sample.of_class(c)]
        assert keys == [p.key for p in whole.sample.of_class(c)]
    assert [r.name for r in both.reasons] == [r.name for r in whole.reasons]
    with pytest.raises(ValueError, match="no order"):
        both.regions(both.reasons[0])


def test_shares_are_those_of_the_centered_maps():
    model = make_model()
    images, labels = make_images(30)
    audit = keras_facnn.audit(model, images, labels)
    logits, maps = model.predict_with_maps(images, centered=True)
    said = logits.argmax(axis=-1)
    grid = audit.statistics.grid
    for row in audit.classes:
        c = audit.class_names.index(row["class"])
        chosen = maps[said == c][..., c]
        assert row["images"] == len(chosen)
        assert row["precision"] == pytest.approx(
            (labels[said == c] == c).mean()
        )
        cells = np.asarray(grid.sum(chosen)).reshape(len(chosen), -1)
        positive = np.maximum(cells, 0)
        share = (positive / positive.sum(axis=-1, keepdims=True)).mean(axis=0)
        for zone in ("border", "corners", "center"):
            expected = share[grid.zones[zone].ravel()].sum()
            assert row[zone] == pytest.approx(expected, abs=1e-4)


def test_finds_a_tag_that_one_class_has():
    model = make_model()
    images, labels = make_images(120)
    clean = keras_facnn.audit(model, images, labels)
    assert not [r for r in clean.reasons if r.alarm]
    tagged = images.copy()
    those = np.flatnonzero(labels == 1)[:20]
    tagged[those] = put_tag(images[those])
    audit = keras_facnn.audit(model, tagged, labels)
    first = audit.reasons[0]
    assert first.alarm and first.kind == "place"
    assert first.class_name == "columns"
    assert first.place == "at the lower left"
    found = {member.pick.index for member in first.members}
    assert found == set(those.tolist())
    # Where it is said to be, the images have the tag.
    masks = audit.regions(first)
    known = ~np.isnan(masks).any(axis=(1, 2))
    assert set(np.flatnonzero(known)) == found
    rows, columns = np.nonzero(masks[those[0]])
    assert rows.min() >= 5 and columns.max() <= 3
    assert (
        "lower left" in first.grounds and f"{first.share:.0%}" in first.grounds
    )
    # The model without it loses the evidence at its places.
    assert first.places[23:29, 2:8].all()
    assert not first.places[:16].any() and not first.places[:, 16:].any()
    logits, maps = model.predict_with_maps(tagged)
    lost = maps[:, first.places].sum(axis=1) / first.places.size
    np.testing.assert_allclose(
        model.without(reason=first).predict(tagged, verbose=0),
        logits - lost,
        atol=1e-4,
    )


def test_images_that_were_not_compared_get_the_usual_place(monkeypatch):
    for module in ("reasons", "repeats"):
        monkeypatch.setattr(f"keras_facnn.auditing.{module}.COMPARED", 30)
    model = make_model()
    images, labels = make_images(120)
    those = np.flatnonzero(labels == 1)[:50]
    images[those] = put_tag(images[those])
    audit = keras_facnn.audit(model, images, labels)
    first = audit.reasons[0]
    assert first.alarm and first.images == 30
    names = np.array(audit.class_names)[labels].tolist()
    for given in (labels, names):
        masks = audit.regions(first, given)
        known = ~np.isnan(masks).any(axis=(1, 2))
        assert known[those].all() and not known[labels == 0].any()
        # Images that were compared and have no tag get no mask.
        assert known.sum() == 60 - len(first.rest)
        assert 0 < len(first.rest) < 10
        rows, columns = np.nonzero(masks[known].mean(axis=0) > 0.5)
        assert rows.min() >= 5 and columns.max() <= 3
    wide = audit.regions(first, labels, widen=True)
    assert wide.shape == (120, *(2 * n for n in masks.shape[1:]))
    assert (np.isnan(wide).any(axis=(1, 2)) == ~known).all()
    # From rows and columns of half cells, on all sides but the image's own.
    cells, halves = masks[those[0]], wide[those[0]]
    tall, across = (np.flatnonzero(cells.any(axis=a)) for a in (1, 0))
    last = len(cells) - 1
    expected = [
        (
            np.flatnonzero(halves.any(axis=a)).min(),
            np.flatnonzero(halves.any(axis=a)).max(),
        )
        for a in (1, 0)
    ]
    for (low, high), used in zip(expected, (tall, across), strict=True):
        assert low == max(2 * used.min() - 1, 0)
        assert high == min(2 * used.max() + 2, 2 * last + 1)
    found = first.to_dict()
    assert found["images"] == len(found["members"]) + len(found["rest"])
    members = [
        dataclasses.replace(m, cells=np.array([9 * i]))
        for i, m in enumerate(first.members[:8])
    ]
    scattered = dataclasses.replace(first, members=members)
    assert scattered.to_dict()["usual_cells"] is None
    with pytest.raises(ValueError, match="without a usual place"):
        audit.regions(scattered, labels)


def test_covering_the_tag_is_what_the_model_answers_without_it():
    model = make_model()
    images, labels = make_images(120)
    those = np.flatnonzero(labels == 1)[:20]
    images[those] = put_tag(images[those])
    audit = keras_facnn.audit(model, images, labels)
    found = audit.cover(model, audit.reasons[0], pictures=5)
    assert found["images"] == 5
    assert audit.coverings == {audit.reasons[0].name: found}
    # The tag is what has most evidence here, and the control is not on it.
    assert found["lost"] > found["control_lost"]
    with pytest.raises(ValueError, match="is there any more"):
        gone = dataclasses.replace(
            audit.reasons[0],
            members=[
                dataclasses.replace(
                    m, pick=dataclasses.replace(m.pick, picture=None)
                )
                for m in audit.reasons[0].members
            ],
        )
        audit.cover(model, gone)


def test_finds_blurred_images_of_one_class():
    model = make_model()
    images, labels = make_images(120)
    blurred = images.copy().astype("float32")
    those = labels == 1
    for axis in (1, 2):
        blurred[those] = (
            blurred[those]
            + np.roll(blurred[those], 1, axis)
            + np.roll(blurred[those], -1, axis)
        ) / 3
    audit = keras_facnn.audit(model, blurred, labels)
    kinds = {(r.kind, r.class_name) for r in audit.reasons if r.alarm}
    assert ("texture", "columns") in kinds
    # Nothing is said about answers without the whole image.
    texture = next(r for r in audit.reasons if r.kind == "texture")
    assert texture.to_dict()["taken"] == {}
    frame = audit.to_dataframe().set_index("name")
    assert np.isnan(frame.without_changed[texture.name])


def test_evidence_taken_away_is_the_change_of_the_logits():
    model = make_model()
    images, labels = make_images(60)
    audit = keras_facnn.audit(model, images, labels)
    reason = next(r for r in audit.reasons if r.kind == "looks")
    changed = 0
    for member in reason.members:
        _, maps = model.predict_with_maps(images[member.pick.index][None])
        # Each location in as many parts as there are cells in a line.
        n, side = audit.statistics.grid.shape[0], maps.shape[1]
        fine = np.array(maps[0]).repeat(n, axis=0).repeat(n, axis=1)
        for cell in member.cells:
            row, column = divmod(int(cell), n)
            fine[
                row * side : (row + 1) * side,
                column * side : (column + 1) * side,
            ] = 0
        changed += fine.mean(axis=(0, 1)).argmax() != member.pick.said
    assert reason.taken["changed"] == pytest.approx(
        changed / len(reason.members)
    )


def repeats_in(descriptions, **labels):
    """Return what repeats; all images are right unless labels are given."""
    known = {c: np.full(len(d), c) for c, d in descriptions.items()}
    known |= {int(name[2:]): np.array(of) for name, of in labels.items()}
    return find_repeats(descriptions, known, tight=True)


def test_repeats_need_another_class_that_lacks_them():
    rng = np.random.default_rng(0)
    alike = np.full((30, 1, 6), 3.0) + rng.normal(0, 0.01, (30, 1, 6))
    others = rng.normal(0, 1, (30, 1, 6))
    assert [r.class_index for r in repeats_in({0: alike, 1: others})] == [0]
    assert not repeats_in({0: alike, 1: alike + 0.001})
    assert not repeats_in({0: rng.normal(0, 1, (30, 1, 6)), 1: others})


@pytest.mark.parametrize("kind", ["batches", "dict", "paths", "regions"])
def test_takes_images_of_every_kind(kind, tmp_path):
    model = make_model()
    images, labels = make_images(12)
    expected = keras_facnn.audit(model, images, labels).classes
    if kind == "batches":
        data = [(images[:5], labels[:5]), (images[5:], labels[5:])]
        got = keras_facnn.audit(model, data)
    elif kind == "dict":
        masks = np.ones((12, 4, 4), "float32")
        masks[3] = np.nan
        data = [(images, {"labels": labels, "regions": masks})]
        got = keras_facnn.audit(model, data)
        assert all(row["inside"] == pytest.approx(1) for row in got.classes)
    elif kind == "regions":
        boxes = [[0, 0, SIDE, SIDE // 2]] * 12
        got = keras_facnn.audit(model, images, labels, boxes)
        assert all(0.2 < row["inside"] < 0.8 for row in got.classes)
    else:
        image = pytest.importorskip("PIL.Image")
        paths = [tmp_path / f"{i}.png" for i in range(12)]
        for path, pixels in zip(paths, images, strict=True):
            image.fromarray(pixels).save(path)
        got = keras_facnn.audit(model, paths, labels)
    for a, b in zip(got.classes, expected, strict=True):
        for key in b:
            assert a[key] == (
                pytest.approx(b[key], abs=1e-5)
                if isinstance(b[key], float)
                else b[key]
            )


def test_refuses_what_it_cannot_audit(tmp_path):
    model = make_model()
    images, labels = make_images(4)
    with pytest.raises(ValueError, match="FA-CNN"):
        keras_facnn.audit(keras.Sequential(), images)
    with pytest.raises(TypeError, match="images of type int"):
        keras_facnn.audit(model, 3)
    with pytest.raises(ValueError, match="`labels` must be None"):
        keras_facnn.audit(model, iter([images]), labels)
    with pytest.raises(ValueError, match="at least one image"):
        keras_facnn.audit(model, iter([]))
    with pytest.raises(ValueError, match="4 entries"):
        keras_facnn.audit(model, images, labels, [[0, 0, 1, 1]])
    with pytest.raises(ValueError, match="must end in"):
        keras_facnn.audit(model, images).save(tmp_path / "audit.txt")


def test_thumbnail_has_the_mean_colors_of_equal_parts():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (80, 48, 3), dtype="uint8")
    small = thumbnail(pixels, Grid(10, 6))
    expected = pixels.reshape(40, 2, 24, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(small, expected, atol=0.51)


def test_two_things_in_the_same_images_are_one_repeat():
    rng = np.random.default_rng(0)
    own, others = rng.normal(0, 1, (2, 40, 3, 6))
    own[:20, 0] = 3 + rng.normal(0, 0.01, (20, 6))
    own[:9, 2] = -3 + rng.normal(0, 0.01, (9, 6))
    (found,) = repeats_in({0: own, 1: others})
    assert sorted(found.members) == list(range(20))
    assert found.members[0].tolist() == [0, 2]
    assert found.members[15].tolist() == [0]


def test_share_of_a_tag_is_of_the_images_that_were_compared():
    images, labels = make_images(420)
    images[labels == 1] = put_tag(images[labels == 1])
    audit = keras_facnn.audit(make_model(), images, labels)
    reason = next(r for r in audit.reasons if r.kind == "place")
    assert reason.class_name == "columns" and reason.share > 0.65


def test_a_mistake_does_not_hide_a_repeat():
    rng = np.random.default_rng(0)
    own, others = rng.normal(0, 1, (2, 40, 1, 6))
    own[:20, 0] = 3 + rng.normal(0, 0.01, (20, 6))
    # Two images of class 0 are called 1.
    others[:2, 0] = 3 + rng.normal(0, 0.01, (2, 6))
    (found,) = repeats_in({0: own, 1: others}, of1=[0] * 2 + [1] * 38)
    assert sorted(found.members) == list(range(20))
    # If they are of class 1, it is in both.
    assert not repeats_in({0: own, 1: others})


def test_cells_are_equal_parts_of_the_image_whatever_the_maps():
    for side in (7, 13, 28, 31, 56):
        grid = Grid(side, side)
        n = grid.shape[0]
        boxes = np.array([grid.box(cell) for cell in range(grid.cells)])
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        np.testing.assert_allclose(areas, 1 / n**2)
        ones = np.ones((1, side, side), "float32")
        sums = keras.ops.convert_to_numpy(grid.sum(ones))
        np.testing.assert_allclose(sums, side**2 / n**2, rtol=1e-5)
        # The locations of a cell are those that its box touches.
        rows = np.flatnonzero(grid.locations(np.array([n + 1])).any(axis=1))
        top, bottom = side / n, 2 * side / n
        assert rows.min() == int(top + 1e-9)
        assert rows.max() == int(np.ceil(bottom - 1e-9)) - 1


def test_audits_of_other_images_are_not_added():
    images, labels = make_images(24)
    audit = keras_facnn.audit(make_model(), images, labels)
    other = dataclasses.replace(audit, facts={**audit.facts, "fit": "pad"})
    with pytest.raises(ValueError, match="fit None and pad"):
        audit + other


def test_one_class_is_no_all_clear():
    images, labels = make_images(40)
    audit = keras_facnn.audit(make_model(), images[labels == 0])
    assert "nothing could be compared" in str(audit)


def test_a_pair_is_images_and_labels():
    images, labels = make_images(24)
    pair = keras_facnn.audit(make_model(), (images, labels))
    assert (
        pair.classes == keras_facnn.audit(make_model(), images, labels).classes
    )


def test_refuses_several_labels_per_image():
    images, _ = make_images(4)
    with pytest.raises(ValueError, match="one class per image"):
        keras_facnn.audit(make_model(), [(images, np.ones((4, 2)))])


def test_pictures_of_a_folder_that_was_read_are_those_that_were_audited(
    tmp_path,
):
    image = pytest.importorskip("PIL.Image")
    images, labels = make_images(24)
    for i, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        folder = tmp_path / ("rows", "columns")[label]
        folder.mkdir(exist_ok=True)
        # Twice as wide as the model takes it.
        wide = np.concatenate([pixels, 255 - pixels], axis=1)
        image.fromarray(wide).save(folder / f"{i:02}.png")
    model = make_model()
    read = keras_facnn.load_folder(tmp_path, model, fit="pad")
    audit = keras_facnn.audit(model, read)
    for c in range(2):
        for pick in audit.sample.of_class(c):
            assert pick.path == read.paths[pick.index]
            got = audit.picture(pick).astype(int)
            # Within what a JPEG copy changes.
            assert np.abs(got - read.images[pick.index]).mean() < 12


def test_the_sample_keeps_nothing_of_the_other_images():
    images, labels = make_images(40)
    audit = keras_facnn.audit(make_model(), images, labels)
    for c in range(2):
        for pick in audit.sample.of_class(c):
            for name, value in vars(pick).items():
                if isinstance(value, np.ndarray):
                    held = value if value.base is None else value.base
                    assert held.nbytes == value.nbytes, name
