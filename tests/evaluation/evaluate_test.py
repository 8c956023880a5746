import os
import shutil

import keras
import numpy as np
import pytest

import keras_facnn
from keras_facnn import evaluate


def test_scores_a_folder_as_predict_does(folder, model, arrays):
    images, labels, logits, paths = arrays
    evaluation = evaluate(model, folder, batch_size=7)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    said = logits.argmax(-1)
    rows = np.arange(len(labels))
    scores = evaluation.scores
    assert evaluation.paths == paths
    assert evaluation.accuracy == (said == labels).mean()
    np.testing.assert_array_equal(scores.label, labels)
    np.testing.assert_array_equal(scores.predicted, said)
    np.testing.assert_allclose(scores.probability, p.max(-1), atol=1e-5)
    np.testing.assert_allclose(scores.label_probability, p[rows, labels], 1e-4)
    np.testing.assert_allclose(
        scores.margin, np.diff(np.sort(p), axis=-1)[:, -1], atol=1e-5
    )
    # No photo is of the class `cat`, which may still be said.
    assert [c["class"] for c in evaluation.classes] == ["ant", "bee"]
    assert sum(c["images"] for c in evaluation.confusions) == (
        len(labels) - (said == labels).sum()
    )
    # The same from arrays, and from a folder that is read or only listed.
    for photos in (
        (images, labels),
        keras_facnn.load_folder(folder, image_size=16),
        keras_facnn.load_folder(folder, read=False),
    ):
        again = evaluate(model, photos, mistakes=0, unsure=0)
        assert again.accuracy == evaluation.accuracy
        assert again.mistakes == again.unsure == []


def test_explains_the_surest_mistakes_and_the_closest_calls(
    folder, model, arrays
):
    images, labels, logits, paths = arrays
    evaluation = evaluate(model, folder, mistakes=4, unsure=5)
    scores = evaluation.scores
    wrong = np.flatnonzero(scores.predicted != labels)
    by_sureness = wrong[np.argsort(-scores.probability[wrong])]
    shown = [x.index for x in evaluation.mistakes]
    assert len(shown) == 4 and set(by_sureness[:2]) <= set(shown) <= set(wrong)
    assert (np.diff(scores.probability[shown]) <= 0).all()
    closest = np.argsort(scores.margin)[:5].tolist()
    assert [x.index for x in evaluation.unsure] == closest

    scale = float(keras.ops.convert_to_numpy(model.head.scale))
    for x in evaluation.mistakes + evaluation.unsure:
        assert x.path == paths[x.index] and x.label == labels[x.index]
        assert x.said == scores.predicted[x.index]
        # The contrast adds up to the difference of the logits.
        row = logits[x.index]
        np.testing.assert_allclose(
            scale * x.contrast.mean(), row[x.said] - row[x.other], atol=1e-4
        )
        np.testing.assert_allclose(
            scale * x.said_map.mean(), row[x.said] - row.mean(), atol=1e-4
        )
        assert x.photo.dtype == "uint8" and min(x.photo.shape[:2]) >= 200
    assert all(x.other == x.label for x in evaluation.mistakes)
    assert all(x.other == scores.rival[x.index] for x in evaluation.unsure)


@pytest.mark.only_on("torch")
def test_mistakes_of_every_class_are_shown(rng):
    """Even if all of one class are surer."""
    from keras_facnn.evaluation.examples import choose_mistakes

    logits = rng.normal(size=(60, 4))
    labels = np.repeat([0, 1, 2], 20)
    logits[:, 3] += np.where(labels == 0, 20, 5)
    scores = keras_facnn.Evaluation.from_logits(logits, labels).scores
    shown = choose_mistakes(scores, 10)
    assert len(set(shown)) == 10
    assert np.bincount(labels[shown]).tolist() in ([5, 2, 3], [5, 3, 2])
    assert len(choose_mistakes(scores, 100)) == (scores.rank > 0).sum()


@pytest.mark.only_on("torch")
def test_leaves_out_photos_that_the_model_was_trained_on(
    folder, model, tmp_path
):
    train, held_out = keras_facnn.load_folder(folder, read=False).split(0.3)
    record = {**train.metadata, "class_names": model.class_names}
    model.preset_metadata = record
    # They are recognized where they are now, under other names.
    moved = tmp_path / "moved"
    for i, path in enumerate(train.paths + held_out.paths):
        kind = os.path.basename(os.path.dirname(path))
        os.makedirs(moved / kind, exist_ok=True)
        shutil.copy(path, moved / kind / f"photo{i}.png")
    count = len(train.paths)
    with pytest.warns(UserWarning, match=f"{count} of 30 photos were left out"):
        evaluation = evaluate(model, moved)
    assert evaluation.images == len(held_out.paths)
    assert "left out" in evaluation.notes[0]
    both = evaluate(model, moved, include_training_photos=True)
    assert both.images == 30 and "too good" in both.notes[0]
    notes = evaluate(model, held_out).notes
    assert len(notes) == 1 and "none of these photos" in notes[0]
    # Some of them chose when the training stopped.
    some = held_out.select(slice(2))
    model.preset_metadata = {
        **record,
        "validated_on": some.metadata["trained_on"],
    }
    notes = evaluate(model, held_out).notes
    assert f"2 of these {len(held_out.paths)} photos were held out" in notes[1]
    with pytest.warns(UserWarning, match="were left out"):
        assert "2 of these" in evaluate(model, moved).notes[1]
    with pytest.raises(ValueError, match="include_training_photos=True"):
        evaluate(model, train)


@pytest.mark.only_on("torch")
def test_a_folder_of_no_class_is_named(folder, model):
    os.rename(folder / "bee", folder / "bees")
    with pytest.raises(ValueError, match="'bees' .did you mean 'bee'.*Rename"):
        evaluate(model, folder)
    model.preset_metadata = None
    with pytest.raises(ValueError, match="must have the 3 classes.*2 folders"):
        evaluate(model, folder)


@pytest.mark.only_on("torch")
def test_says_which_photos_cannot_be_read(folder, model):
    (folder / "ant" / "0.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r'0\.png.*on_error="skip"'):
        evaluate(model, folder)
    # Also where a whole batch can't be read.
    with pytest.warns(UserWarning, match=r"Skipped 1 of 30 photos: .*0\.png"):
        evaluation = evaluate(model, folder, on_error="skip", batch_size=1)
    assert evaluation.images == 29 and len(evaluation.paths) == 29
    assert "1 of 30 photos can't be read" in evaluation.notes[-1]
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match="None of 30 photos can be read"):
        evaluate(model, folder, on_error="skip")


def test_any_keras_classifier_is_scored(folder, arrays):
    images, labels, _, _ = arrays
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 5, strides=5)(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    other = keras.Model(inputs, keras.layers.Dense(3, "softmax")(x))
    evaluation = evaluate(other, (images, labels))
    p = other.predict(images, verbose=0)
    np.testing.assert_allclose(
        evaluation.scores.probability, p.max(-1), atol=1e-5
    )
    assert evaluation.accuracy == (p.argmax(-1) == labels).mean()
    assert evaluation.unsure[0].contrast is None
    assert "class 0" in evaluation.class_names


@pytest.mark.only_on("torch")
@pytest.mark.parametrize(
    "options, message",
    [
        ({"mistakes": -1}, "`mistakes` must be"),
        ({"unsure": 0.5}, "`unsure` must be"),
        ({"on_error": "ignore"}, "`on_error` must be"),
        ({"batch_size": 0}, "`batch_size` must be"),
        ({"include_training_photos": 1}, "must be True or False"),
        ({"fit": "fill"}, "`fit` must be"),
    ],
)
def test_refuses_wrong_options(folder, model, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate(model, folder, **options)


@pytest.mark.only_on("torch")
def test_refuses_what_is_no_photos(model, images):
    for photos in (images, 3, None, [1, 2, 3]):
        with pytest.raises(TypeError, match="`photos` must be"):
            evaluate(model, photos)
    with pytest.raises(FileNotFoundError, match="no folder"):
        evaluate(model, "no_such_folder")


@pytest.mark.only_on("torch")
def test_a_model_of_any_size_needs_one(folder, model, arrays):
    config = {**model.get_config(), "image_shape": (None, None, 3)}
    any_size = keras_facnn.FACNN.from_config(config)
    any_size.set_weights(model.get_weights())
    any_size.preset_metadata = model.preset_metadata
    with pytest.raises(ValueError, match="`image_size` must be given"):
        evaluate(any_size, folder)
    accuracy = evaluate(any_size, folder, image_size=16).accuracy
    assert accuracy == evaluate(model, folder).accuracy
