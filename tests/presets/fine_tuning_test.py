"""The way from a folder of photographs to a model of them."""

import os
import pathlib
import warnings

import keras
import numpy as np
import pytest

from keras_facnn import FACNN
from keras_facnn import load_images

NAMES = ["airplane", "automobile", "frog", "horse", "ship"]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of 40 photographs per class of five classes, of many sizes."""
    from PIL import Image

    root = os.environ.get("KERAS_FACNN_CIFAR10")
    if not root:
        pytest.skip("KERAS_FACNN_CIFAR10, a folder with test/CLASS/*.jpg")
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for name in NAMES:
        (folder / name).mkdir()
        for path in sorted(pathlib.Path(root, "test", name).glob("*"))[:40]:
            size = int(rng.integers(64, 160))
            image = Image.open(path).resize((size, size * 5 // 6))
            image.save(folder / name / path.name)
    return folder


# The fastest backend for it; the lines of the README run on PyTorch.
@pytest.mark.only_on("tensorflow")
def test_fine_tunes_on_a_folder_of_photographs(photographs, optimized):
    keras.utils.set_random_seed(0)
    paths = sorted(photographs.glob("*/*.jpg"))
    assert len(paths) == 40 * len(NAMES)
    # Half the size of the preset's training images, to save time.
    images = load_images(paths, image_size=32)
    labels = np.array([NAMES.index(path.parent.name) for path in paths])
    order = np.random.default_rng(0).permutation(len(paths))
    held_out, train = np.split(order, [len(order) // 5])
    with warnings.catch_warnings():
        # The 5 classes get all maps that 100 classes had.
        warnings.simplefilter("error", UserWarning)
        model = FACNN.from_preset(
            "imagenet100", num_classes=5, image_shape=(32, 32, 3)
        )
    epochs, steps = 3, len(train) // 16
    model.compile(
        keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(0.003, epochs * steps)
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    log = model.fit(
        images[train],
        labels[train],
        validation_data=(images[held_out], labels[held_out]),
        batch_size=16,
        epochs=epochs,
        verbose=0,
    )
    # Guessing has an accuracy of 0.2.
    assert log.history["val_accuracy"][-1] > 0.4
    assert model.verify(images[held_out[:16]])["theorem_1_correlation"] > 0.9999
