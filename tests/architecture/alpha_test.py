"""Alphas that are changed after a model was made."""

import json

import numpy as np
import pytest
from keras import ops

from keras_facnn import FACNN
from tests.promises import check_copies
from tests.promises import check_exactness
from tests.promises import check_exported
from tests.promises import predict


@pytest.fixture
def changed(small_model):
    small_model.get_layer("fa_2").alpha = 0.9
    return small_model


def test_attributes_and_config_have_changed_alphas(small_model):
    assert small_model.alpha == "harmonic"
    assert small_model.alphas == (1 / 2, 1 / 3, 1 / 4)
    small_model.get_layer("fa_2").alpha = 0.9
    assert small_model.alpha == small_model.alphas == (1 / 2, 0.9, 1 / 4)
    config = json.loads(json.dumps(small_model.get_config()))
    assert FACNN.from_config(config).alphas == small_model.alphas
    assert small_model.fuse().alphas == small_model.alphas
    small_model.get_layer("fa_2").alpha = 1 / 3
    assert small_model.get_config()["alpha"] == "harmonic"


def test_copies_have_changed_alphas(changed, images, tmp_path):
    check_exactness(changed, images)
    check_copies(changed, images, tmp_path, "alphas")


def test_what_leaves_evidence_out_has_changed_alphas(changed, images):
    corner = np.zeros((4, 4), bool)
    corner[0, 0] = True
    maps = changed.class_maps(images, "all")
    maps[:, corner] = 0
    scale = float(ops.convert_to_numpy(changed.head.scale))
    np.testing.assert_allclose(
        predict(changed.without(places=corner), images),
        scale * maps.mean(axis=(1, 2)),
        rtol=1e-4,
    )


def test_alphas_of_a_fused_model_can_not_be_changed(small_model):
    with pytest.raises(ValueError, match="can't be changed in a fused model"):
        small_model.fuse().get_layer("fa_2").alpha = 0.9


@pytest.mark.only_on("torch", "tensorflow")
def test_exported_files_have_changed_alphas(changed, images, tmp_path):
    check_exported(changed, images, tmp_path)
