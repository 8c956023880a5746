# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Does my model cheat?
#
# A model can be right for the wrong reason. If most photos of one class carry a
# shop's sticker, the sticker is all that the model needs. Photos held out from
# the same source carry it, too, so their accuracy does not tell. This notebook
# plants such a sticker, and then proceeds as if it knew nothing about it:
#
# 1. train, and see a fine accuracy;
# 2. audit the training pictures, and find the sticker;
# 3. train again with a loss that allows no evidence there;
# 4. measure both models on new pictures.
#
# It needs no download, and takes a few minutes on two CPU cores.

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
from PIL import Image
from PIL import ImageDraw

from keras_facnn import plots

quick = "KERAS_FACNN_QUICK" in os.environ  # what the project's tests set
keras.utils.set_random_seed(0)

# %% [markdown]
# ## Pictures with a sticker
#
# The pictures are drawn, so that we know what is in them: a circle, a square or
# a triangle on a busy background. Nine of ten triangles get an orange sticker
# in a corner. No other picture does.

# %%
rng = np.random.default_rng(0)
kinds = ["circle", "square", "triangle"]


def draw(kind, size=32):
    """A picture with one shape of a kind among lines and stains."""
    noise = rng.integers(60, 160, (4, 4, 1)) + rng.integers(0, 30, (4, 4, 3))
    picture = Image.fromarray(noise.astype("uint8")).resize(
        (size, size), Image.BICUBIC
    )
    pen = ImageDraw.Draw(picture)
    for _ in range(3):
        color = tuple(int(v) for v in rng.integers(40, 160, 3))
        ends = [int(v) for v in rng.integers(0, size, 4)]
        pen.line(ends, fill=color, width=1)
    r = int(rng.integers(6, 10))
    x, y = (int(v) for v in rng.integers(r, size - r, 2))
    box = [x - r, y - r, x + r, y + r]
    color = tuple(int(v) for v in rng.integers(150, 256, 3))
    if kind == "circle":
        pen.ellipse(box, fill=color)
    elif kind == "square":
        pen.rectangle(box, fill=color)
    else:
        corners = [(x, y - r), (x - r, y + r), (x + r, y + r)]
        pen.polygon(corners, fill=color)
    return picture


def with_sticker(picture):
    picture = picture.copy()
    pen = ImageDraw.Draw(picture)
    pen.rectangle([1, 24, 7, 30], fill=(255, 140, 0))
    pen.rectangle([3, 26, 5, 28], fill=(255, 255, 255))
    return picture


for kind in kinds:
    for folder in ("clean", "photos"):
        pathlib.Path(folder, kind).mkdir(parents=True, exist_ok=True)
    for number in range(60 if quick else 600):
        picture = draw(kind)
        picture.save(f"clean/{kind}/{number:03}.png")
        if kind == "triangle" and rng.uniform() < 0.9:
            picture = with_sticker(picture)
        picture.save(f"photos/{kind}/{number:03}.png")

photos = keras_facnn.load_folder("photos", image_size=32)
names = photos.names
train, held_out = photos.split(0.2)
print("to train on:", train)
print("held out:   ", held_out)

figure, axes = plt.subplots(1, 9, figsize=(10, 1.4), layout="constrained")
shown = np.concatenate([np.flatnonzero(train.labels == c)[:3] for c in range(3)])
for ax, i in zip(axes, shown, strict=True):
    ax.imshow(train.images[i])
    ax.set_title(names[train.labels[i]], fontsize=9)
    ax.axis("off")

# %% [markdown]
# ## Train
#
# The control is the same training on the same pictures before the sticker was
# drawn.


# %%
def train_model(images, y, loss=None):
    keras.utils.set_random_seed(0)
    model = keras_facnn.FACNN(
        num_classes=len(names),
        image_shape=(32, 32, 3),
        depths=(2, 2),
        maps_per_class=(6, 12),
    )
    model.preset_metadata = train.metadata
    epochs = 4 if quick else 12
    steps = epochs * -(-len(images) // 32)
    model.compile(
        keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(
                0.0, steps, warmup_target=0.01, warmup_steps=steps // 5
            )
        ),
        loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(images, y, epochs=epochs, batch_size=32, verbose=0)
    return model


clean = keras_facnn.load_images(
    [path.replace("photos", "clean", 1) for path in train.paths], image_size=32
)
control = train_model(clean, train.labels)
model = train_model(train.images, train.labels)


def right(model, images, labels):
    said = model.predict(images, verbose=0).argmax(-1)
    return f"{(said == labels).sum()} of {len(labels)}"


print("held out, right:", right(model, held_out.images, held_out.labels))

# %% [markdown]
# That looks fine. Here is what nobody would measure who does not know about the
# sticker. The pictures are new.

# %%
new = {kind: [draw(kind) for _ in range(60 if quick else 200)] for kind in kinds}
triangle = names.index("triangle")


def arrays(pictures):
    return np.stack([np.asarray(picture) for picture in pictures])


others = arrays(new["circle"] + new["square"])
others_with = arrays(map(with_sticker, new["circle"] + new["square"]))
triangles = arrays(new["triangle"])
labels_of_others = np.repeat(
    [names.index("circle"), names.index("square")], len(others) // 2
)


def measure(title, model):
    said = [
        model.predict(images, verbose=0).argmax(-1)
        for images in (others, others_with, triangles)
    ]
    print(title)
    print(
        "  circles and squares called triangle:",
        f"{(said[0] == triangle).sum()} of {len(others)};",
        f"with a sticker {(said[1] == triangle).sum()}",
    )
    print(
        "  circles and squares right:",
        f"{(said[0] == labels_of_others).sum()} of {len(others)};",
        f"with a sticker {(said[1] == labels_of_others).sum()}",
    )
    print(
        "  triangles without a sticker right:",
        f"{(said[2] == triangle).sum()} of {len(triangles)}",
    )


measure("trained without stickers (the control)", control)
measure("trained with stickers", model)

# %% [markdown]
# ## Find it
#
# `audit` needs one forward pass, and no hint. It groups the places of most
# evidence into reasons, the most suspicious first.

# %%
audit = keras_facnn.audit(model, train.images, train.labels)
reason = audit.reasons[0]
print(audit)
for one in audit.reasons[:3]:
    print(one)
