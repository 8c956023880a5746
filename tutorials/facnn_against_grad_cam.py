# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # FA-CNN against Grad-CAM
#
# **Grad-CAM** is the most used way to see where a network looked. It takes the
# feature maps of one layer, computes by a gradient how much each map would
# raise the score of a class, and adds the maps up with these weights. Negative
# values are cut off.
#
# In an FA-CNN each map already belongs to a class. So the plain average of a
# class's maps can be looked at as it is: no gradient, no weights, all classes
# from one pass. This notebook puts the two side by side, with two slower
# methods that know nothing of the network's inside:
#
# - **RISE** shows the network hundreds of randomly masked copies of the picture
#   and averages the masks, each weighted by the score;
# - **K-OCC** slides a square over the picture and notes how far the score
#   falls.
#
# It runs on TensorFlow, because tf-keras-vis needs it.

# %%
try:
    import tf_keras_vis  # noqa: F401

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
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.utils.scores import CategoricalScore

from keras_facnn import attribution
from keras_facnn import metrics
from keras_facnn import plots

# %% [markdown]
# Six pictures to look at come with the package. Averages are over test images
# of CIFAR-10 if `KERAS_FACNN_CIFAR10` names a folder of `test/CLASS/*.jpg`, and
# otherwise over the same six. The outputs below were made with 100 test images,
# ten of each class, as JPEG copies.

# %%
quick = "KERAS_FACNN_QUICK" in os.environ  # what the project's tests set

model = keras_facnn.FACNN.from_preset("cifar10")
names = ["airplane", "automobile", "bird", "cat", "horse", "ship"]
images = keras_facnn.load_images(
    [f"../samples/{name}.jpg" for name in names], model
)
if "KERAS_FACNN_CIFAR10" in os.environ:
    test = pathlib.Path(os.environ["KERAS_FACNN_CIFAR10"]) / "test"
    a_class = 1 if quick else 10
    many = keras_facnn.load_images(
        [
            path
            for folder in sorted(test.iterdir())
            for path in sorted(folder.iterdir())[:a_class]
        ],
        model,
    )
else:
    many = images
predicted = model.predict(many, verbose=0).argmax(-1)
print(len(many), "images to average over")

# %% [markdown]
# ## At the last layer, the two are the same
#
# Theorem 1 of the paper: at the last layer, layer 24, Grad-CAM of a class
# equals the average of the class's maps, times a constant. The reason is short.
# The score is `scale * mean(map)`, so its gradient is the same number at every
# location of the class's own maps, and 0 on all others. So Grad-CAM's weights
# are equal for these and 0 elsewhere. Since no map is negative, there is
# nothing to cut off.
#
# tf-keras-vis is another project's package, which knows nothing of FA-CNN. Its
# last four arguments ask for Grad-CAM at this very layer, neither normalized
# nor enlarged:

# %%
fa_cnn = model.class_maps(images, names)
ours = attribution.grad_cam(model, images, names, layer="fa_24")
theirs = Gradcam(model, clone=False)(
    CategoricalScore([model.class_names.index(name) for name in names]),
    images.astype("float32"),
    penultimate_layer="fa_24",
    seek_penultimate_conv_layer=False,
    normalize_cam=False,
    expand_cam=False,
)
constant = float(model.head.scale) / fa_cnn[0].size
print(f"largest value of a map: {ours.max():.3f}")
for title, maps in (("our Grad-CAM", ours), ("tf-keras-vis", theirs)):
    difference = np.abs(maps - constant * fa_cnn).max()
    print(f"largest difference from {title}: {difference:.0e}")

# %%
plots.compare(
    images[:3],
    {
        "FA-CNN, no gradient": fa_cnn[:3],
        "Grad-CAM": ours[:3],
        "by tf-keras-vis": theirs[:3],
    },
    reference="FA-CNN, no gradient",
)

# %% [markdown]
# By itself this would not be much: for *any* network that ends in an average
# and one linear layer, Grad-CAM at the last layer equals an older method, CAM,
# and sums to the score. An FA-CNN adds that maps belong to classes at *every*
# layer. So the middle layers decide how much the claim is worth.
#
# ## Through 24 layers
#
# The upper row has the class's own maps, layer by layer, and the lower row has
# Grad-CAM at the same layer. Late layers change the maps only a little, so from
# the end backwards the two diverge slowly at first.

# %%
layers = range(2, 25, 2)
fa_by_layer, cam_by_layer = (
    {n: method(n) for n in layers}
    for method in (
        lambda n: model.class_maps(images, names, layer=n),
        lambda n: attribution.grad_cam(model, images, names, layer=f"fa_{n}"),
    )
)
for row in (names.index("horse"), names.index("cat")):
    figure, axes = plt.subplots(
        2, len(layers), figsize=(12, 2.5), layout="constrained"
    )
    for column, n in enumerate(layers):
        pair = (fa_by_layer[n][row], cam_by_layer[n][row])
        for ax, map_ in zip(axes[:, column], pair, strict=True):
            plots.overlay(ax, images[row], map_)
        axes[0, column].set_title(f"layer {n}", fontsize=9)
    axes[0, 0].set_ylabel("FA-CNN", fontsize=9)
    axes[1, 0].set_ylabel("Grad-CAM", fontsize=9)

# %% [markdown]
# A map without any color is 0 everywhere: Grad-CAM has cut off all of it.
#
# The correlation of the two maps says the same as a number: 1 is the same map,
# 0 is no relation. The band is the 95 % confidence interval of the mean.

# %%
similarity = metrics.similarity_by_layer(
    model, many, predicted, layers=(6, 12, 18, 24) if quick else None
)
figure, ax = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
ax.fill_between(similarity.columns, *similarity.interval, alpha=0.25)
ax.plot(similarity.columns, similarity.mean, marker="o", markersize=4)
ax.set(
    xlabel="layer",
    ylabel="correlation with Grad-CAM",
    xlim=(0, 24.5),
    ylim=(0, 1.03),
)
for side in ("top", "right"):
    ax.spines[side].set_visible(False)

# %% [markdown]
# ## Beside RISE and K-OCC
#
# The number in a cell is the correlation with Grad-CAM, at the layer that the
# column names. RISE and K-OCC are compared with Grad-CAM at layer 24.

# %%
masks = 50 if quick else 2000
columns = {}
for n in (24, 18):
    columns[f"FA-CNN {n}"] = model.class_maps(images, names, layer=n)
    columns[f"Grad-CAM {n}"] = attribution.grad_cam(
        model, images, names, layer=f"fa_{n}"
    )
columns["RISE"] = attribution.rise(model, images, names, masks=masks)
columns["K-OCC"] = attribution.occlusion(model, images, names, size=8, stride=4)
plots.compare(
    images,
    columns,
    reference={
        "FA-CNN 24": "Grad-CAM 24",
        "FA-CNN 18": "Grad-CAM 18",
        "RISE": "Grad-CAM 24",
        "K-OCC": "Grad-CAM 24",
    },
)

# %% [markdown]
# ## Which map points at what matters?
#
# A map that looks right need not be right. So remove the pixels that a map
# calls most relevant, first 10 % of them, then 20 % and so on, and count how
# often the model still gives the same answer. The faster that falls, the better
# the map: a small area under the curve is good. A random order is the control.
#
# What replaces a pixel? First as in the paper's Figure 4: one color, here each
# picture's mean.


# %%
maps = {
    "FA-CNN 24": model.class_maps(many, predicted),
    "FA-CNN 18": model.class_maps(many, predicted, layer=18),
    "Grad-CAM 18": attribution.grad_cam(model, many, predicted, layer="fa_18"),
    "RISE": attribution.rise(
        model, many, predicted, masks=30 if quick else 300
    ),
    "K-OCC": attribution.occlusion(model, many, predicted, size=8, stride=4),
}


def remove(baseline, fractions):
    results = {
        name: metrics.pixel_removal(
            model, many, predicted, m, fractions=fractions, baseline=baseline
        )
        for name, m in maps.items()
    }
    results["random"] = metrics.pixel_removal(
        model,
        many,
        predicted,
        maps["FA-CNN 24"],
        fractions=fractions,
        baseline=baseline,
        order="random",
    )
    return results


fractions = np.linspace(0, 1, 3 if quick else 11)
plots.pixel_removal(remove("mean", fractions))

# %% [markdown]
# Grad-CAM at layer 24 is left out, because it is the same map as FA-CNN's. The
# two beat K-OCC, and RISE by a little. But look at the control: a random order
# takes the accuracy down even faster. Gray dots scattered over a picture
# confuse this model, wherever they lie, so the curve says more about gray dots
# than about maps.
#
# ROAD (Rong et al., 2022) fills a removed pixel in from the neighbors that are
# left, so that a single dot does no harm:

# %%
plots.pixel_removal(remove("road", fractions))

# %% [markdown]
# Now the control is far above the methods, as it should be.
#
# ## Why middle layers differ
#
# Around layer 12 the maps of the class are sensible, but they resemble Grad-CAM
# little. Grad-CAM gives each map one weight, its mean gradient over the image,
# and adds up the maps of all classes. Group the weights by the class that owns
# the map:

# %%
layer = 12
features = model.feature_extractor([layer])(many)[f"fa_{layer}"]
rest = keras.Model(model.get_layer(f"fa_{layer}").output, model.output)
with tf.GradientTape() as tape:
    tape.watch(features)
    score = tf.gather(rest(features), predicted, axis=1, batch_dims=1)
gradient = tape.gradient(score, features).numpy()
weights = gradient.mean(axis=(1, 2))  # one for each map, as Grad-CAM has it

by_class = weights.reshape(len(many), model.num_classes, -1).sum(-1)
own = by_class[np.arange(len(many)), predicted]
others = by_class.sum(-1) - own
print(f"weights of the class' own maps, together  {own.mean():6.3f}")
print(f"weights of all others' maps, together     {others.mean():6.3f}")
size = np.abs(weights).sum(-1)
print(f"all weights without their signs           {size.mean():6.3f}")

# %% [markdown]
# The weights nearly cancel. To later layers, some of the class's own maps at
# this layer still speak against it, and some of the others' maps for it.
# Grad-CAM adds all of them up by these weights. The class map is the plain
# average of only the class's own maps.
#
# Which of the two is right? In photographs with boxes, the class's own maps of
# a middle layer pointed into the box more often than Grad-CAM's, and the
# accuracy fell faster as their pixels were removed.
# `zoo/results/late_alphas.md` has the numbers, and shows what makes the two
# alike.
