# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Explain the classifier you have
#
# You have a trained Keras classifier, and want to see why it answers as it
# does. If it ends in global average pooling and one dense layer, as most image
# classifiers do, it becomes an FA-CNN **exactly and without training**: same
# weights, same answers, and a map for every class from one forward pass.
#
# This is the idea of class activation maps (CAM, Zhou et al. 2016), in a form
# that is never negative. It explains the *last* maps. Nothing is claimed about
# the layers before.

# %%
try:
    import keras_facnn
except ImportError:
    # %pip install -q "../[tutorials]"
    import keras_facnn

# %matplotlib inline

# %%
import keras
import numpy as np

from keras_facnn import FACNN
from keras_facnn import attribution
from keras_facnn import plots

keras.utils.set_random_seed(0)

# %% [markdown]
# ## A classifier
#
# Here is one from `keras.applications`. With `weights="imagenet"` Keras
# downloads trained weights. In this notebook they are **random**, so that
# nothing is downloaded: the answers of this network mean nothing, but the
# equations below hold for any weights.
#
# An FA-CNN passes on pixels in 0..255. This network wants them in -1..1, so its
# preprocessing becomes a part of the model. Without that, its answers would be
# wrong, and `from_classifier` warns when it finds no such layer.

# %%
weights = None  # "imagenet" is what you will want
network = keras.applications.ResNet50V2(
    input_shape=(224, 224, 3), weights=weights
)
classifier = keras.Sequential(
    [
        keras.Input((224, 224, 3)),
        keras.layers.Rescaling(1 / 127.5, offset=-1),
        network,
    ]
)

# %% [markdown]
# ## Convert it

# %%
model = FACNN.from_classifier(classifier)
photos = keras_facnn.load_images(
    ["../samples/cat.jpg", "../samples/clothing/dress.jpg"], model
)
expected = classifier.predict(photos, verbose=0)
logits, maps = model.predict_with_maps(photos)
print("maps:", maps.shape)
print("largest difference:", abs(model.probabilities(logits) - expected).max())

# %% [markdown]
# The probabilities are the classifier's, and `maps` has one map for each of the
# 1,000 classes. The mean of a map is the score of its class, so nothing that
# counted is left out:

# %%
print("largest logit:", logits.max())
print("largest difference:", np.abs(maps.mean(axis=(1, 2)) - logits).max())

# %% [markdown]
# `verify` also compares the maps with Grad-CAM, which needs a gradient for each
# class. The two have a correlation of 1:

# %%
for name, value in model.verify(photos, classes=None).items():
    print(f"{name:22} {value:.6f}")

# %% [markdown]
# ## Finer maps
#
# A map of 7x7 is coarse. `stride=16` runs the last part of the network on a
# grid that is twice as fine, with the same weights: the last halving of the
# maps is left out, and the convolutions after it are dilated instead. The
# network then averages over four times as many places, so its answers change a
# little.

# %%
finer = FACNN.from_classifier(classifier, stride=16)
print(finer.class_maps(photos, classes=None).shape)

# %% [markdown]
# ## With trained weights
#
# The preset `imagenet` was made in this way: it is an EfficientNet-Lite of
# TensorFlow's authors, converted with `stride=16`. It knows 1,000 kinds of
# things.

# %%
model = FACNN.from_preset("imagenet")
paths = ["../samples/imagenet/cat.jpg", "../samples/imagenet/palace.jpg"]
photos = keras_facnn.load_images(paths, model)
explanation = model.explain(photos)
plots.explanation(explanation)

# %% [markdown]
# Two things are in one photograph: what speaks for the palace, and what for the
# lake? The maps of all classes are there already, so a second question costs
# nothing.

# %%
twice, classes = photos[[1, 1]], ["palace", "lakeside"]
why = np.maximum(model.class_maps(twice, classes, centered=True), 0)
plots.compare(twice, {"why": why}, row_names=classes)

# %% [markdown]
# How does it compare with Grad-CAM of the same network? At the last maps they
# are the same up to Grad-CAM's ReLU, as theory says. What an FA-CNN shows by
# default is the *centered* map, without what all classes share.

# %%
columns = {
    "centered map": model.class_maps(photos, classes=None, centered=True),
    "map": model.class_maps(photos, classes=None),
    "Grad-CAM": attribution.grad_cam(model, photos, layer="stem"),
}
raw, grad_cam = columns["map"], columns["Grad-CAM"]
print(
    "correlations:", keras_facnn.metrics.pearson(raw, grad_cam).values.round(6)
)
plots.compare(photos, columns)

# %% [markdown]
# ## Keep it
#
# A converted classifier is a `keras.Model` as any other. It can be saved as a
# preset, exported to one ONNX file with its maps, or trained further. In a
# shell, the file of your classifier is enough:
#
# ```sh
# keras-facnn explain photo.jpg --preset my_classifier.keras
# ```

# %%
import pathlib
import tempfile

folder = pathlib.Path(tempfile.mkdtemp()) / "my_classifier"
model.save_to_preset(folder)
again = FACNN.from_preset(folder)
print(np.array_equal(again.class_maps(photos), model.class_maps(photos)))

# %% [markdown]
# ## What cannot be converted
#
# - A network that *flattens* its last maps (VGG), or takes their maximum, gives
#   each place weights of its own: there is no map whose mean is the score.
# - A norm, an activation or a second dense layer between the pooling and the
#   output (ConvNeXt, MobileNetV3) makes the score a function of the whole
#   picture, which no map can be split into.
# - Several sigmoids share nothing that could be taken away. Convert one output
#   at a time.
#
# For these, `attribution.grad_cam` still works. Or train new layers on the last
# maps: `FACNN(num_classes, backbone=...)`, as in
# [this notebook](fine_tune.ipynb).
