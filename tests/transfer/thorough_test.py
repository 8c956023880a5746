"""`keras_facnn.train` with `thorough=True`, and what a later call continues."""

import shutil

import keras
import numpy as np
import pytest

import keras_facnn
from keras_facnn import FACNN
from keras_facnn.transfer import thorough
from keras_facnn.transfer.thorough import thaw
from tests.transfer.conftest import COUNTS
from tests.transfer.conftest import write_photo


@pytest.fixture
def two_rounds(monkeypatch):
    monkeypatch.setattr(thorough, "_ROUNDS", 2)
    monkeypatch.setattr(thorough, "_LEAST_STEPS_PER_ROUND", 3)
    monkeypatch.setattr(thorough, "_BATCH", 8)


def test_trains_the_backbone_too(train, two_rounds, tmp_path):
    first = train()
    kernel = first.backbone.get_layer("coarse").get_weights()[0]
    model = train(thorough=True)
    record = model.preset_metadata["training"]
    assert record["thorough"] and record["finished"]
    if record["validation"] != first.preset_metadata["training"]["validation"]:
        assert np.abs(
            model.backbone.get_layer("coarse").get_weights()[0] - kernel
        ).max()
    assert (tmp_path / "mine" / "report.html").exists()
    assert not (tmp_path / "mine.training").exists()
    with pytest.raises(FileExistsError, match="trained already"):
        train(thorough=True)


def test_continues_a_thorough_training(
    train, two_rounds, tmp_path, monkeypatch
):
    monkeypatch.setattr(thorough, "_is_better", lambda scores, best: True)
    fit = FACNN.fit
    rounds, states = [], []

    def noted(self, batches, **options):
        rounds.append(options["initial_epoch"])
        variables = [*self.variables, *self.optimizer.variables]
        states.append([keras.ops.convert_to_numpy(v) for v in variables])
        if len(rounds) == 2:
            raise KeyboardInterrupt
        return fit(self, batches, **options)

    monkeypatch.setattr(FACNN, "fit", noted)
    with pytest.raises(KeyboardInterrupt):
        train(thorough=True)
    record = FACNN.from_preset(tmp_path / "mine").preset_metadata["training"]
    assert record["thorough"] and not record["finished"]
    # Also if the call does not say so again.
    model = train()
    assert rounds == [0, 1, 1]
    for before, after in zip(*states[1:], strict=True):
        np.testing.assert_array_equal(before, after)
    assert model.preset_metadata["training"]["finished"]


@pytest.fixture
def stopped(monkeypatch):
    """Stop each thorough training after one round. Returns the rounds."""
    fit, rounds = FACNN.fit, []

    def stop(self, batches, **options):
        rounds.append(options["initial_epoch"])
        if options["initial_epoch"] == 1:
            raise KeyboardInterrupt
        return fit(self, batches, **options)

    monkeypatch.setattr(thorough, "_is_better", lambda scores, best: True)
    monkeypatch.setattr(FACNN, "fit", stop)
    return rounds


@pytest.mark.only_on("torch")
def test_does_not_continue_another_training(
    train, two_rounds, stopped, tmp_path
):
    with pytest.raises(KeyboardInterrupt):
        train(thorough=True)
    shutil.rmtree(tmp_path / "mine")
    with pytest.raises(KeyboardInterrupt):
        train(thorough=True, seed=1)
    assert stopped == [0, 1, 0, 1]


@pytest.mark.only_on("torch")
def test_does_not_say_finished_before_it_is(
    train, two_rounds, stopped, tmp_path
):
    train()
    with pytest.raises(KeyboardInterrupt):
        train(thorough=True)
    record = FACNN.from_preset(tmp_path / "mine").preset_metadata["training"]
    assert record["thorough"] and not record["finished"]


@pytest.mark.only_on("torch")
def test_writes_a_missing_report_without_training(
    train, two_rounds, tmp_path, monkeypatch
):
    train(thorough=True)
    (tmp_path / "mine" / "report.html").unlink()
    monkeypatch.setattr(FACNN, "fit", None)
    for thorough_again in (True, False):
        model = train(thorough=thorough_again)
        assert model.preset_metadata["training"]["thorough"]
        (tmp_path / "mine" / "report.html").unlink()


@pytest.mark.only_on("torch")
def test_counts_photos_that_came_later(
    train, folder, two_rounds, tmp_path, rng
):
    before = train().preset_metadata
    for i in range(3):
        write_photo(folder / "blue" / f"new{i}.png", "blue", rng)
    with pytest.warns(UserWarning, match="Left out 3 of 32 photos"):
        after = train(thorough=True).preset_metadata
    assert after["trained_on"] == before["trained_on"]


@pytest.mark.only_on("torch")
def test_names_a_class_whose_photos_are_gone(
    train, folder, two_rounds, tmp_path, rng
):
    train()
    for i in range(COUNTS["blue"]):
        write_photo(folder / "blue" / f"{i}.png", "blue", rng)
    with pytest.raises(ValueError, match="other photos of 'blue'"):
        train(thorough=True)


@pytest.mark.only_on("torch")
def test_keeps_the_record_of_photos_that_are_gone(
    train, folder, two_rounds, tmp_path, monkeypatch
):
    monkeypatch.setattr(thorough, "_is_better", lambda scores, best: True)
    model = train()
    photos = keras_facnn.load_folder(folder, model)
    gone = photos.select(photos.seen_by(model)).paths[-1]
    (folder / "red" / gone).unlink()
    again = train(thorough=True).preset_metadata
    assert again["trained_on"] == model.preset_metadata["trained_on"]


@pytest.mark.only_on("torch")
def test_keeps_norms_and_fine_layers(base):
    model = FACNN.from_preset(base)
    thaw(model)
    trained = {v.path for v in model.trainable_variables}
    assert {path.split("/")[-2] for path in trained} == {
        "coarse",
        "head",
        "project",
    }
