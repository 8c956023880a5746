# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Explain any Keras model
#
# You have a classifier that is not an FA-CNN, and want to know where it looks.
# This notebook draws maps of one model by eight methods. It **judges** them,
# since maps that look alike are not equally right. At the end it puts FA layers
# on the model, so that its maps sum to its scores.

# %%
try:
    import keras_facnn
except ImportError:
    # %pip install -q "../[tutorials]"
    import keras_facnn

# %matplotlib inline

# %%
import functools
import os

import keras
import numpy as np
from PIL import Image
from PIL import ImageDraw

from keras_facnn import attribution
from keras_facnn import metrics
from keras_facnn import plots

quick = "KERAS_FACNN_QUICK" in os.environ  # what the project's tests set
keras.utils.set_random_seed(0)

# %% [markdown]
# ## A model to explain
#
# To judge a map, one must know where the object is. So the pictures are drawn
# here, each with one circle, square or triangle whose box is recorded, and a
# small plain network is trained on them. Everything below works the same on
# your own model: it must take images and return one number per class,
# preferably the logits, before any softmax.

# %%
rng = np.random.default_rng(0)
names = ["circle", "square", "triangle"]


def draw(label, size=32):
    """A picture with a shape among lines and stains, and the shape's box."""
    noise = rng.integers(60, 160, (4, 4, 1)) + rng.integers(0, 30, (4, 4, 3))
    picture = Image.fromarray(noise.astype("uint8")).resize(
        (size, size), Image.BICUBIC
    )
    pen = ImageDraw.Draw(picture)
    for _ in range(5):
        color = tuple(int(v) for v in rng.integers(40, 200, 3))
        pen.line([int(v) for v in rng.integers(0, size, 4)], fill=color)
    r = int(rng.integers(5, 8))
    x, y = (int(v) for v in rng.integers(r, size - r, 2))
    box = [x - r, y - r, x + r, y + r]
    color = tuple(int(v) for v in rng.integers(0, 256, 3))
    if names[label] == "circle":
        pen.ellipse(box, fill=color)
    elif names[label] == "square":
        pen.rectangle(box, fill=color)
    else:
        corners = [(x, y - r), (x - r, y + r), (x + r, y + r)]
        pen.polygon(corners, fill=color)
    return np.array(picture), [x - r, y - r, x + r + 1, y + r + 1]


labels = np.arange(150 if quick else 1800) % 3
images, boxes = map(np.array, zip(*map(draw, labels), strict=True))
held_out, train = np.split(np.arange(len(labels)), [len(labels) // 6])

# %%
inputs = x = keras.Input((32, 32, 3))
x = keras.layers.Rescaling(1 / 127.5, -1)(x)
for number, (filters, strides) in enumerate(
    [(24, 1), (32, 2), (48, 1), (64, 2), (64, 1)], start=1
):
    x = keras.layers.Conv2D(filters, 3, strides, "same", use_bias=False)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU(name=f"relu_{number}")(x)
x = keras.layers.GlobalAveragePooling2D()(x)
model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))


def train_model(model, learning_rate, epochs):
    model.compile(
        keras.optimizers.AdamW(learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(
        images[train],
        labels[train],
        epochs=1 if quick else epochs,
        verbose=0,
    )
    _, right = model.evaluate(images[held_out], labels[held_out], verbose=0)
    print(f"{right:.1%} of the pictures held out are right")


train_model(model, 0.003, epochs=12)

# %% [markdown]
# ## Eight methods
#
# What they look at:
#
# - **CAM** and the **Grad-CAM** family (Grad-CAM, HiResCAM, Layer-CAM): the
#   maps of a layer that you name, weighted by what each does to the score. CAM
#   needs a model that ends in an average and one linear layer, as this one.
# - **saliency** and **Integrated Gradients**: the gradient at the pixels.
# - **RISE** and **K-OCC**: only what comes out, when parts of the picture are
#   hidden. They work for any model at all, and are slow.
#
# All take a model, images and classes (None means the predicted classes), and
# return arrays.

# %%
some = held_out[:12] if quick else held_out[:60]
x, y = images[some], labels[some]
methods = {
    "CAM": attribution.cam,
    "Grad-CAM": functools.partial(attribution.grad_cam, layer="relu_5"),
    "HiResCAM": functools.partial(attribution.hires_cam, layer="relu_5"),
    "Layer-CAM": functools.partial(attribution.layer_cam, layer="relu_5"),
    "saliency": attribution.saliency,
    "Int. Gradients": functools.partial(
        attribution.integrated_gradients, steps=16
    ),
    "RISE": functools.partial(attribution.rise, masks=50 if quick else 500),
    "K-OCC": functools.partial(attribution.occlusion, size=8, stride=4),
}
maps = {name: method(model, x, y) for name, method in methods.items()}
row = [next(i for i in range(len(y)) if y[i] == c) for c in range(3)]
plots.compare(
    x[row],
    {name: m[row] for name, m in maps.items()},
    row_names=[names[c] for c in y[row]],
)

# %% [markdown]
# CAM and HiResCAM look the same because they are the same at the last layer of
# such a network. So is Grad-CAM, up to what it cuts off below 0.
#
# ## Which is right?
#
# Three questions, each with a number:
#
# - **pointing game**: is the brightest location in the shape's box? 1 is best.
# - **energy**: how much of the map lies in the box? 1 is best.
# - **removal**: remove pixels, brightest first, and fill them in from what
#   is left around them (the way of ROAD). How fast does the model go wrong? The
#   area under its accuracy; less is better.
#
# `random` is a map of noise. A map that is not clearly better is of no use.

# %%
maps["random"] = rng.random(x.shape[:3])
fractions = np.linspace(0, 1, 3 if quick else 11)


def judge(model, maps):
    print("method           pointing game   energy   removal")
    for name, m in maps.items():
        points = metrics.pointing_game(m, boxes[some], (32, 32)).mean
        energy = metrics.energy_pointing_game(m, boxes[some], (32, 32)).mean
        # A map without any value above 0 gives no order, so it can't be judged.
        varies = m.max(axis=(1, 2)) > m.min(axis=(1, 2))
        removal = metrics.pixel_removal(
            model,
            x[varies],
            y[varies],
            m[varies],
            fractions=fractions,
            baseline="road",
        ).accuracy_auc
        print(f"{name:16} {points:13.2f} {energy:8.2f} {removal:9.3f}")


area = np.prod(boxes[some, 2:] - boxes[some, :2], axis=1).mean() / 32**2
print(f"The boxes cover {area:.0%} of the pictures.\n")
judge(model, maps)

# %% [markdown]
# Here the maps of the last layer are right most often. The gradient at the
# pixels is scattered, and RISE's random masks are coarse for pictures this
# small; more masks would help it. On your model the order may differ, so
# compute it: removal uses only the model's reaction and needs no boxes.
#
# ## Does the map depend on what was learned?
#
# Some methods draw fine edges that look like an explanation, and would draw the
# same for an untrained network. So make the model forget: shuffle the weights
# of one layer after another, from the last to the first, and measure how
# similar the maps stay to the original ones (rank correlation; 1 is unchanged).
# The similarity should go to 0. `edges`, which never looks at the model, stays
# at 1.


# %%
def edges(model, images, classes):
    """No explanation at all: it never looks at the model."""
    gray = images.astype("float32").mean(axis=-1)
    across, down = np.gradient(gray, axis=(1, 2))
    return np.hypot(across, down)


layers = [x.name for x in model.layers if x.weights][::-1]
layers = [name for name in layers if "batch" not in name]
print("method     " + "".join(f"{name:>10}" for name in layers))
for name, method in {
    "CAM": methods["CAM"],
    "Layer-CAM": methods["Layer-CAM"],
    "saliency": methods["saliency"],
    "edges": edges,
}.items():
    result = metrics.cascading_randomization(
        model, x[:12], method, y[:12], layers=layers
    )
    print(f"{name:11}" + "".join(f"{r:10.2f}" for r in result.mean))

# %% [markdown]
# CAM uses only the last layer's weights and forgets at once. Layer-CAM and
# saliency forget as more layers do. They stay a little above 0 because of the
# picture: even an untrained network reacts where something is.
#
# ## A network from `keras.applications`
#
# The calls are the same. With `weights="imagenet"` Keras downloads trained
# weights. Here they are **random**, so that nothing is downloaded, and the map
# means nothing. It only shows the call: find the last layer whose output still
# has rows and columns, and name it.

# %%
weights = None  # "imagenet" is what you will want
mobilenet = keras.applications.MobileNetV2(
    (96, 96, 3), alpha=0.35, weights=weights, classifier_activation=None
)
print([(x.name, x.output.shape[1:]) for x in mobilenet.layers[-4:]])
photos = keras_facnn.load_images("../samples/cat.jpg", mobilenet)
prepared = keras.applications.mobilenet_v2.preprocess_input(
    photos.astype("float32")
)
map_ = attribution.grad_cam(mobilenet, prepared, layer="out_relu")
print(map_.shape, "at", len(mobilenet.layers), "layers")

# %% [markdown]
# ## Make it explain itself
#
# A **hybrid** puts FA layers on top of an existing network. The network is
# frozen, and a few epochs train the new layers, whose maps belong to one class
# each. So the maps sum to the scores, for all classes, in one pass.

# %%
hybrid = keras_facnn.FACNN(
    num_classes=3,
    backbone=keras.Model(model.input, model.get_layer("relu_5").output),
    depths=(4,),
    maps_per_class=(8,),
)
hybrid.backbone.trainable = False
train_model(hybrid, 0.01, epochs=8)
for name, value in hybrid.verify(x).items():
    print(f"{name:22} {value:.6f}")

# %%
hybrid_maps = {
    "hybrid": hybrid.class_maps(x, y),
    "hybrid, centered": hybrid.class_maps(x, y, centered=True),
    "its Grad-CAM": attribution.grad_cam(hybrid, x, y, layer="fa_4"),
}
plots.compare(
    x[row],
    {name: m[row] for name, m in hybrid_maps.items()},
    row_names=[names[c] for c in y[row]],
)

# %%
judge(hybrid, hybrid_maps)

# %% [markdown]
# `centered` is a class's map less the average map of all classes. Softmax
# ignores what all classes share, so this is the part that decides.
#
# Next: [fine-tune a hybrid on photographs](fine_tune.ipynb).
