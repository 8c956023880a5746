# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # FA-CNN in five minutes
#
# An image classifier says *what* it sees. To learn *where* it looked, one
# usually adds a second method, such as Grad-CAM, and hopes that it is right. An
# FA-CNN needs no second method. Each of its feature maps belongs to one class,
# all the way from the pixels to the answer, so the maps that decide are the
# explanation.
#
# You will load a trained model, predict, see where the answer came from, ask
# why it is not another class, and watch the answer take shape layer by layer.

# %%
try:
    import keras_facnn
except ImportError:
    # %pip install -q "../[tutorials]"
    import keras_facnn

# %matplotlib inline

# %%
import pathlib

import matplotlib.pyplot as plt
import numpy as np

from keras_facnn import attribution
from keras_facnn import plots

# %% [markdown]
# ## Load
#
# `cifar10` comes with the package. It knows ten classes, reads pictures of
# 32x32 pixels, and is right for 92 % of CIFAR-10's test images. The model is a
# `keras.Model` like any other. `load_images` reads pictures of any size and
# kind as the model needs them.

# %%
model = keras_facnn.FACNN.from_preset("cifar10")
paths = sorted(pathlib.Path("../samples").glob("*.jpg"))
names = ["airplane", "automobile", "bird", "cat", "horse", "ship"]
paths = [path for path in paths if path.stem in names]
images = keras_facnn.load_images(paths, model)
print(images.shape, images.dtype)
print(model.class_names)

# %% [markdown]
# ## Predict and see
#
# `explain` runs the model once and returns everything that the figure shows.
# Bright regions speak for the class named above them, and not for all classes
# equally; the scale says how much each location gives. Beside it is the
# strongest rival. The curves on the right show how sure the model is after each
# of its 24 layers.

# %%
explanation = model.explain(images[:4], layers=[12, 18])
plots.explanation(
    explanation, layers=True, names=[path.stem for path in paths[:4]]
)

# %% [markdown]
# ## The map is the score
#
# The score of a class (its *logit*, which goes into softmax) is the mean of its
# map, times one number that the model learned. Nothing else goes in. So the map
# is not an estimate of what mattered: its sum *is* the decision.

# %%
logits, maps = model.predict_with_maps(images)  # (6, 10) and (6, 8, 8, 10)
scale = float(model.head.scale)
print("picture      logit   scale * mean(map)")
for path, y, m in zip(paths, logits, maps, strict=True):
    c = y.argmax()
    print(f"{path.stem:10} {y[c]:7.4f}   {scale * m[..., c].mean():7.4f}")


# %% [markdown]
# ## Why a cat, and not a dog?
#
# The maps of two classes can be subtracted. The difference sums to the lead of
# one class over the other: red speaks for the first, blue for the second. Most
# of each picture speaks for the class that leads. The blurred corner of the car
# speaks for a dog, and the region between the bird's wings for a frog.


# %%
def draw_contrast(ax, image, difference, title):
    height, width = image.shape[:2]
    (pixels,) = keras_facnn.resize_maps(difference[None], (height, width))
    limit = np.abs(difference).max()
    ax.imshow(image.mean(axis=-1), cmap="gray", vmin=0, vmax=255)
    ax.imshow(pixels, cmap="bwr", vmin=-limit, vmax=limit, alpha=0.5)
    ax.set_title(title, fontsize=9)
    ax.axis("off")


pairs = [
    ("cat", "dog"),
    ("horse", "frog"),
    ("automobile", "dog"),
    ("bird", "frog"),
]
figure, axes = plt.subplots(2, 4, figsize=(8, 4.4), layout="constrained")
for (top, bottom), (a, b) in zip(axes.T, pairs, strict=True):
    image = images[names.index(a)]
    (difference,) = attribution.contrast(model, image[None], a, b)
    top.imshow(image)
    top.axis("off")
    lead = f"{a} leads {b}\nby {difference.sum():.2f}"
    draw_contrast(bottom, image, difference, lead)

# %% [markdown]
# ## Slide through the layers
#
# A class owns maps at every layer, so every layer can show where it sees the
# class. Move the slider: early layers light up at scattered edges, later ones
# at the head and the back, and the last ones on the whole animal.

# %%
from IPython.display import HTML
from matplotlib.animation import FuncAnimation

horse = images[[names.index("horse")]]
layers = range(1, model.num_layers + 1)
by_depth = [model.class_maps(horse, "horse", layer=n)[0] for n in layers]

figure, ax = plt.subplots(figsize=(2.6, 2.8), dpi=80, layout="constrained")
plt.close(figure)


def draw(frame):
    ax.clear()
    plots.overlay(ax, horse[0], by_depth[frame])
    ax.set_title(f"horse, layer {frame + 1}", fontsize=10)


plt.rcParams["animation.frame_format"] = "jpeg"
animation = FuncAnimation(figure, draw, frames=len(layers), interval=250)
HTML(animation.to_jshtml(default_mode="once"))

# %% [markdown]
# The same on paper:

# %%
some = {n: by_depth[n - 1] for n in (1, 4, 8, 12, 15, 18, 21, 24)}
plots.maps_by_layer(horse[0], some, "horse")

# %% [markdown]
# ## Your own picture
#
# ```python
# images = keras_facnn.load_images("photo.jpg", model)
# plots.explanation(model.explain(images))
# ```
#
# This model knows ten classes and calls whatever it is shown one of them. The
# preset `imagenet100` knows a hundred.
#
# ## Don't take our word for it
#
# `verify` measures on your pictures what an FA-CNN promises: the map is what
# Grad-CAM would have drawn (a correlation of 1), and maps and layers sum to the
# score (errors of about 0).

# %%
for name, value in model.verify(images).items():
    print(f"{name:22} {value:.7f}")

# %% [markdown]
# Next: [train one on your own pictures](train_your_own.ipynb), or see
# [how it compares with Grad-CAM](facnn_against_grad_cam.ipynb).
