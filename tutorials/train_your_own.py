# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Train your own
#
# This notebook goes from a folder of pictures to a model that others can load
# by one line. An FA-CNN is a `keras.Model`, so training is `compile` and `fit`.
# One argument is new, `deep_alignment`, and you will see what it does. The last
# part trains on several devices.

# %%
try:
    import keras_facnn
except ImportError:
    # %pip install -q "../[tutorials]"
    import keras_facnn

# %matplotlib inline

# %%
import os
import pathlib

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from PIL import Image
from PIL import ImageDraw

from keras_facnn import metrics
from keras_facnn import plots

quick = "KERAS_FACNN_QUICK" in os.environ  # what the project's tests set
keras.utils.set_random_seed(0)
tf.get_logger().setLevel("WARNING")  # or it tells of each step's reductions

# The last part needs two devices, and TensorFlow must know before it starts.
if not tf.config.list_physical_devices("GPU"):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )

# %% [markdown]
# ## A folder of pictures
#
# You need a folder `photos` with a folder per class, which holds pictures of
# any format and size. This notebook draws its pictures, so that it needs no
# download and you can judge the maps at a glance: one circle, square or
# triangle on a busy background. For your own pictures, set `folder` and leave
# this cell out.

# %%
folder = pathlib.Path("photos")
rng = np.random.default_rng(0)


def draw(kind, size=48):
    """A picture with one shape of a kind among lines and stains."""
    noise = rng.integers(60, 160, (4, 4, 1)) + rng.integers(0, 30, (4, 4, 3))
    picture = Image.fromarray(noise.astype("uint8")).resize(
        (size, size), Image.BICUBIC
    )
    pen = ImageDraw.Draw(picture)
    for _ in range(4):
        color = tuple(int(v) for v in rng.integers(40, 200, 3))
        ends = [int(v) for v in rng.integers(0, size, 4)]
        pen.line(ends, fill=color, width=2)
    r = int(rng.integers(8, 13))
    x, y = (int(v) for v in rng.integers(r, size - r, 2))
    box = [x - r, y - r, x + r, y + r]
    color = tuple(int(v) for v in rng.integers(0, 256, 3))
    if kind == "circle":
        pen.ellipse(box, fill=color)
    elif kind == "square":
        pen.rectangle(box, fill=color)
    else:
        corners = [(x, y - r), (x - r, y + r), (x + r, y + r)]
        pen.polygon(corners, fill=color)
    return picture


for kind in ("circle", "square", "triangle"):
    (folder / kind).mkdir(parents=True, exist_ok=True)
    for number in range(40 if quick else 800):
        draw(kind).save(folder / kind / f"{number:03}.jpg", quality=92)

# %% [markdown]
# `load_folder` reads them: turned upright, cropped around the center where they
# are not square, and brought to one size. `split` keeps a fifth of each class
# aside, always the same one, to judge the model by.

# %%
photos = keras_facnn.load_folder(folder, image_size=32)
names = photos.names
train, held_out = photos.split(0.2)
print("to train on:", train)
print("held out:   ", held_out)

figure, axes = plt.subplots(1, 8, figsize=(10, 1.5), layout="constrained")
shown = np.linspace(0, len(held_out.labels) - 1, len(axes)).astype(int)
for ax, i in zip(axes, shown, strict=True):
    ax.imshow(held_out.images[i])
    ax.set_title(names[held_out.labels[i]], fontsize=9)
    ax.axis("off")


# %% [markdown]
# ## Train
#
# `depths=(4, 4)` makes 4 layers, halves the resolution, and makes 4 more.
# `maps_per_class=(6, 12)` says how many maps each class owns in the first half
# and in the second: more maps, more capacity. The outputs are logits, so the
# loss needs `from_logits=True`.


# %%
def make_model(deep_alignment):
    model = keras_facnn.FACNN(
        num_classes=len(names),
        image_shape=(32, 32, 3),
        depths=(4, 4),
        maps_per_class=(6, 12),
        deep_alignment=deep_alignment,
    )
    model.compile(
        keras.optimizers.AdamW(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def fit(model, epochs):
    steps = epochs * -(-len(train.labels) // 32)
    model.optimizer.learning_rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=0.01, warmup_steps=steps // 5
    )
    return model.fit(
        train.images,
        train.labels,
        validation_data=(held_out.images, held_out.labels),
        epochs=epochs,
        verbose=0,
    )


epochs = 1 if quick else 10
model = make_model(deep_alignment=0.4)
history = fit(model, epochs).history
for epoch in range(epochs):
    print(
        f"epoch {epoch + 1:2}: "
        f"{history['accuracy'][epoch]:.1%} of the training pictures right, "
        f"{history['val_accuracy'][epoch]:.1%} of those held out"
    )

# %% [markdown]
# ## See what it looks at
#
# The model never learned *where* the shapes are. A map may light up only a part
# of a shape, such as a corner, which distinguishes it from the others.

# %%
model.preset_metadata = train.metadata
_, firsts = np.unique(held_out.labels, return_index=True)
explanation = model.explain(held_out.images[firsts], layers=[2, 5])
plots.explanation(explanation, layers=True)

# %% [markdown]
# ## What deep alignment does
#
# Every class owns maps at every layer. So the last step, averaging them, can be
# done at any layer, and gives scores there too. `deep_alignment=0.4` adds the
# loss of these early scores to the training, with that weight. It adds no
# parameters. Here is the same model trained without it. The curves show how
# much the class's maps resemble Grad-CAM at each layer, and how often the early
# scores are right.

# %%
without = make_model(deep_alignment=0)
fit(without, epochs)
some = held_out.select(slice(None, None, 5))
figure, (left, right) = plt.subplots(
    1, 2, figsize=(8.5, 3.2), layout="constrained"
)
for title, trained, style in (
    ("with deep alignment", model, "-o"),
    ("without", without, "--s"),
):
    similarity = metrics.similarity_by_layer(trained, some.images, some.labels)
    left.plot(similarity.columns, similarity.mean, style, label=title)
    by_layer = trained.layer_logits(held_out.images).argmax(-1)
    accuracy = (by_layer == held_out.labels[:, None]).mean(axis=0)
    right.plot(similarity.columns, accuracy, style, label=title)
    print(f"{title:20} {accuracy[-1]:.1%} of the pictures held out right")
left.set(xlabel="layer", ylabel="correlation with Grad-CAM", ylim=(None, 1.03))
right.set(xlabel="layer", ylabel="early scores right", ylim=(0, 1.03))
_ = left.legend(frameon=False)
# %% [markdown]
# The early scores gain most: two layers before the end, nine of ten are right
# with deep alignment, and six of ten without it. The maps resemble Grad-CAM
# more at layers 5 and 6, and less before them, where a network this small has
# not decided yet in either case.
#
# ## Save, share, load
#
# A preset is a folder with the weights, the configuration and what others
# should know. `train.metadata` holds the names of the classes, and which
# pictures were trained on. Loading a preset runs no code from it and checks
# every file.

# %%
model.save_to_preset(
    "shapes",
    {"description": "Tells shapes apart.", **train.metadata},
)
loaded = keras_facnn.FACNN.from_preset("shapes")
explanation = loaded.explain(held_out.images[firsts[:1]])
print(sorted(path.name for path in pathlib.Path("shapes").iterdir()))
print(
    explanation.name_of(explanation.classes[0]),
    f"{explanation.probabilities.max():.1%}",
)

# %% [markdown]
# From a shell: `keras-facnn explain photo.jpg --preset shapes`.
#
# ## On several devices
#
# On TensorFlow, build and compile the model inside the scope of a
# `MirroredStrategy`, and `fit` splits each batch over all GPUs. Without GPUs,
# the two halves of the CPU that were set up at the start stand in for them.
# That is not faster, but it is the same code. `synchronized_batch_norm=True`
# makes normalization use the whole batch, as on one device. (On JAX,
# `keras.distribution.DataParallel` does all of that; PyTorch uses one GPU.)

# %%
gpus = tf.config.list_logical_devices("GPU")
devices = gpus or tf.config.list_logical_devices("CPU")
strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
with strategy.scope():
    mirrored = keras_facnn.FACNN(
        num_classes=len(names),
        image_shape=(32, 32, 3),
        depths=(4, 4),
        maps_per_class=(6, 12),
        deep_alignment=0.4,
        synchronized_batch_norm=True,
    )
    mirrored.compile(
        keras.optimizers.AdamW(0.005),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
history = mirrored.fit(
    train.images, train.labels, epochs=1 if quick else 4, verbose=0
).history
print(strategy.num_replicas_in_sync, "devices")
print(f"{history['accuracy'][-1]:.1%} of the training pictures right")

# %% [markdown]
# For a small set of photographs, start from a trained model: see [fine-tune on
# your photographs](fine_tune.ipynb). For long trainings that survive a kill and
# keep their record, see `python -m zoo.train --help`.
