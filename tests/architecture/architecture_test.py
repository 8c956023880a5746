"""The record of an FA-CNN's architecture, which is checked once."""

import dataclasses
import inspect

import pytest

from keras_facnn import FACNN
from keras_facnn.architecture.architecture import check_architecture


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_norm_gain": True},
        {"classwise_layers": 1},
        {"classwise_layers": 3},
        {"branch_depth": 3},
        {"branch_depth": 2, "classwise_layers": 2, "batch_norm_gain": True},
        {"space_to_depth": 2, "image_shape": (None, None, 1)},
        {"depths": (3,), "maps_per_class": (2,)},
    ],
)
def test_counts_what_keras_counts(options):
    options = {
        "image_shape": (16, 16, 3),
        "depths": (1, 2),
        "maps_per_class": (1, 3),
        **options,
    }
    architecture = check_architecture(5, **options)
    assert architecture.num_parameters == FACNN(5, **options).count_params()


BOMBS = [
    ({"depths": [20_000, 1]}, "at most 1,000 FA layers"),
    ({"depths": [10**9, 1]}, "at most 1,000 FA layers"),
    ({"branch_depth": 10**9}, "at most 1,000 convolutions"),
    ({"num_classes": 10**9}, "at most 268,435,456 parameters"),
    ({"maps_per_class": [1, 10**6]}, "at most 268,435,456 parameters"),
    ({"image_shape": [10**6, 10**6, 3]}, "at most 16,384"),
    ({"image_shape": [None, None, 10**9]}, "at most 16,384"),
    ({"space_to_depth": 10**9}, "at most 16,384"),
]


@pytest.mark.parametrize("bomb, message", BOMBS)
def test_names_the_limit(bomb, message):
    options = {
        "num_classes": 4,
        "image_shape": [16, 16, 3],
        "depths": [1, 2],
        "maps_per_class": [1, 2],
        **bomb,
    }
    (name,) = bomb
    with pytest.raises(ValueError, match=f"`{name}`.*{message}.*Received"):
        check_architecture(**options)


def test_is_checked_once_and_then_stays():
    architecture = FACNN(4, (16, 16, 3), [1, 2], [1, 2]).architecture
    assert architecture.depths == (1, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        architecture.depths = (2, 1)


def test_a_config_is_that_of_the_arguments():
    model = FACNN(4, (16, 16, 3), (1, 2), (1, 2), alpha=(0.5, 0.25, 0.1))
    config = model.architecture.config()
    twin = check_architecture(**config, image_shape=(16, 16, 3))
    assert twin == model.architecture
    arguments = inspect.signature(FACNN).parameters.keys()
    # Only a config says it.
    assert config.keys() - arguments == {"fused"}
