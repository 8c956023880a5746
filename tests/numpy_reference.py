"""Compute an FA-CNN from its config and weights, in float64 NumPy."""

import numpy as np
from keras import ops


def convolve(x, kernel, mode):
    h, w = x.shape[1:3]
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode)
    return sum(
        x[:, i : i + h, j : j + w] @ kernel[i, j]
        for i in range(3)
        for j in range(3)
    )


def convolve_each_class(x, kernel, mode, classes):
    blocks = zip(
        np.split(x, classes, -1), np.split(kernel, classes, -1), strict=True
    )
    return np.concatenate([convolve(*block, mode) for block in blocks], -1)


def pool(x):
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))


def logits(model, images):
    """Return the logits, by the equations of the paper."""
    config = model.get_config()
    alphas = config["alpha"]
    if alphas == "harmonic":
        alphas = [
            1 / (layer + 1) for layer in range(1, sum(config["depths"]) + 1)
        ]

    def weight(layer, name):
        value = getattr(model.get_layer(layer), name)
        return ops.convert_to_numpy(value).astype("float64")

    classes, side = config["num_classes"], config["space_to_depth"]
    pixels = np.asarray(images, "float64") / 255
    cells = np.concatenate(
        [pixels[:, i::side, j::side] for i in range(side) for j in range(side)],
        axis=-1,
    )
    width = classes * config["maps_per_class"][0]
    x = cells[..., np.arange(width) % cells.shape[-1]]
    layer = 0
    mode = {"zeros": "constant", "edge": "edge"}[config["padding"]]
    for stage, (depth, maps) in enumerate(
        zip(config["depths"], config["maps_per_class"], strict=True)
    ):
        if stage:
            x = pool(x)
            x = np.repeat(x, classes * maps // x.shape[-1], axis=-1)
        for _ in range(depth):
            layer += 1
            inner = range(1, config["branch_depth"])
            branch = x
            for name in [*(f"{layer}_{i}" for i in inner), str(layer)]:
                norm = f"norm_{name}"
                kernel = weight(f"conv_{name}", "kernel")
                if layer > sum(config["depths"]) - config["classwise_layers"]:
                    branch = convolve_each_class(branch, kernel, mode, classes)
                else:
                    branch = convolve(branch, kernel, mode)
                branch -= weight(norm, "moving_mean")
                branch /= np.sqrt(weight(norm, "moving_variance") + 1e-3)
                branch = np.maximum(branch + weight(norm, "beta"), 0)
            alpha = alphas[layer - 1]
            x = (1 - alpha) * x + alpha * branch
    b, h, w, _ = x.shape
    pre_logits = x.reshape(b, h, w, classes, -1).mean((1, 2, 4))
    return np.exp(weight("head", "log_scale")) * pre_logits


def resize_bilinear(cells, size):
    """Resize a map `(n, n)` bilinearly with half-pixel centers, in loops."""
    out = np.empty(size)
    n = len(cells)
    for y in range(size[0]):
        for x in range(size[1]):
            v = np.clip((y + 0.5) * n / size[0] - 0.5, 0, n - 1)
            u = np.clip((x + 0.5) * n / size[1] - 0.5, 0, n - 1)
            i, j = int(v), int(u)
            k, m = min(i + 1, n - 1), min(j + 1, n - 1)
            a, b = v - i, u - j
            out[y, x] = (1 - a) * (
                (1 - b) * cells[i, j] + b * cells[i, m]
            ) + a * ((1 - b) * cells[k, j] + b * cells[k, m])
    return out
