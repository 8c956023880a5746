# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Explain in production
#
# Where a model is used, there is often no Keras and no gradient: on a server in
# another language, on a phone, in a web page. Most ways to explain a model
# don't work there. The maps of an FA-CNN are an *output*, like the scores, so
# they can be in the deployed file.
#
# This notebook writes such a file in the ONNX format, reads maps from it
# without Keras, and puts it into a web page that sends no photograph anywhere.

# %%
import os

os.environ["KERAS_BACKEND"] = "torch"  # the one that Keras writes ONNX on

try:
    import onnx  # noqa: F401
    import onnxruntime

    import keras_facnn
except ImportError:
    # %pip install -q "../[tutorials,torch,export]"
    import onnxruntime

    import keras_facnn

# %matplotlib inline

# %%
import pathlib

import numpy as np

from keras_facnn import plots

# %% [markdown]
# ## One file
#
# `export` folds normalization into the convolutions, which makes the file
# faster than the trained model, and checks that it gives the same answers. The
# input is `images`, any number of them, with values from 0 to 255. The outputs
# are `logits`, the score of each class, and `class_maps`, the map of each
# class.

# %%
model = keras_facnn.FACNN.from_preset("cifar10")
model.export("cifar10.onnx", verbose=False)
print(f"{pathlib.Path('cifar10.onnx').stat().st_size / 1e6:.1f} MB")

session = onnxruntime.InferenceSession("cifar10.onnx")
print("in: ", [tensor.name for tensor in session.get_inputs()])
print("out:", [tensor.name for tensor in session.get_outputs()])

# %% [markdown]
# ## Maps without Keras
#
# This is a whole program that explains a picture. It needs NumPy, Pillow and
# ONNX Runtime. The names of the classes are in the file.

# %%
# %%writefile explain.py
import json
import sys

import numpy as np
import onnxruntime
from PIL import Image
from PIL import ImageOps


def read(path, size):
    """Read a picture as `keras_facnn.load_images` reads most of them."""
    image = Image.open(path)
    image.draft(None, (2 * max(size), 2 * max(size)))
    hidden = image.info.get("transparency")
    image = ImageOps.exif_transpose(image)
    if image.mode[0] == "I":  # 16 bits of gray
        values = np.asarray(image).astype("float64")
        values = np.where(values == hidden, 65535, values) / 257
        image = Image.fromarray(values.round().astype("uint8"))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    lanczos = Image.Resampling.LANCZOS
    return np.asarray(ImageOps.fit(image.convert("RGB"), size, lanczos))


session = onnxruntime.InferenceSession("cifar10.onnx")
facts = session.get_modelmeta().custom_metadata_map
names = json.loads(facts["class_names"])

images = np.float32([read(sys.argv[1], (32, 32))])
logits, maps = session.run(["logits", "class_maps"], {"images": images})
winner = logits[0].argmax()
print(names[winner])
print(maps[0, ..., winner].round(1))
print("Keras is loaded:", "keras" in sys.modules)

# %%
import subprocess
import sys

run = subprocess.run(
    [sys.executable, "explain.py", "../samples/horse.jpg"],
    check=True,
    capture_output=True,
    text=True,
)
print(run.stdout)

# %% [markdown]
# ## The same numbers
#
# The file is not an approximation: its scores and maps agree with those of
# Keras up to rounding.

# %%
classes = ["airplane", "automobile", "bird", "cat", "horse", "ship"]
images = keras_facnn.load_images(
    [f"../samples/{name}.jpg" for name in classes], model
)
logits, maps = session.run(
    ["logits", "class_maps"],
    {"images": images.astype("float32")},
)
keras_logits, keras_maps = model.predict_with_maps(images)
print(f"largest logit {logits.max():.1f}")
print(f"largest difference of logits {np.abs(logits - keras_logits).max():.0e}")
print(f"largest value of a map {maps.max():.2f}")
print(f"largest difference of maps {np.abs(maps - keras_maps).max():.0e}")

# %%
predicted = logits.argmax(-1)
plots.compare(
    images[3:],
    {
        "ONNX Runtime": maps[range(6), ..., predicted][3:],
        "Keras": keras_maps[range(6), ..., predicted][3:],
    },
    reference="Keras",
)

# %% [markdown]
# ## In a web page
#
# The same file runs in a browser, with
# [onnxruntime-web](https://onnxruntime.ai/docs/tutorials/web/). The photograph
# stays on the visitor's machine. This is the whole page. It crops a photograph
# around its center, runs the model, lists the three likeliest classes, and lays
# the map of the likeliest over the photograph.

# %%
page = r"""<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>What is it, and where?</title>
<script
  src="https://cdn.jsdelivr.net/npm/onnxruntime-web@1.30.0/dist/ort.min.js"
></script>
<body style="font: 18px sans-serif; max-width: 320px; margin: 2em auto">
<p><input type="file" id="file" accept="image/*"></p>
<canvas id="photo" width="320" height="320"></canvas>
<pre id="answer"></pre>
<script>
const size = 32;
const names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog",
               "horse", "ship", "truck"];
const loading = ort.InferenceSession.create("cifar10.onnx");

function square(photo, side) {  // around the center
  const canvas = new OffscreenCanvas(side, side).getContext("2d");
  const n = Math.min(photo.width, photo.height);
  canvas.drawImage(photo, (photo.width - n) / 2, (photo.height - n) / 2, n, n,
                   0, 0, side, side);
  return canvas;
}

file.onchange = async () => {
  const picture = await createImageBitmap(file.files[0]);
  const rgba = square(picture, size).getImageData(0, 0, size, size).data;
  const rgb = Float32Array.from(
    {length: size * size * 3}, (_, i) => rgba[4 * Math.floor(i / 3) + i % 3]);
  const images = new ort.Tensor("float32", rgb, [1, size, size, 3]);
  const {logits, class_maps} = await (await loading).run({images});

  const scores = Array.from(logits.data);
  const powers = scores.map((y) => Math.exp(y - Math.max(...scores)));
  const total = powers.reduce((a, b) => a + b);
  const order = scores.map((_, c) => c).sort((a, b) => scores[b] - scores[a]);
  answer.textContent = order.slice(0, 3).map(
    (c) => `${(100 * powers[c] / total).toFixed(1).padStart(5)}% ${names[c]}`
  ).join("\n");

  // The map of the winner: the more evidence, the less of the photo is dimmed.
  const [, h, w, count] = class_maps.dims;
  const map = Array.from({length: h * w},
    (_, i) => class_maps.data[i * count + order[0]]);
  const most = Math.max(...map);
  const shade = new ImageData(w, h);
  map.forEach((v, i) => { shade.data[4 * i + 3] = 220 * (1 - v / most); });
  const canvas = photo.getContext("2d");
  canvas.drawImage(square(picture, 320).canvas, 0, 0);
  canvas.drawImage(await createImageBitmap(shade), 0, 0, 320, 320);
};
</script>
"""
_ = pathlib.Path("explain.html").write_text(page, "utf-8")

# %% [markdown]
# To try it, run `python -m http.server` in the folder of `explain.html` and
# `cifar10.onnx`, and open <http://localhost:8000/explain.html>.
#
# For OpenVINO, phones and TensorFlow, `export` writes other formats:
# `help(keras_facnn.FACNN.export)`.
