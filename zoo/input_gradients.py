"""Fit a head with a penalty on input gradients: a rival of `zoo.mending`.

Source: Ross et al., "Right for the Right Reasons", arXiv 1703.03717. It is the
squared gradient of the sum of all log probabilities with respect to the pixels
that must not count. Its gradient is that of a gradient, and passes the
backbone, though only the head is trained. It is computed on PyTorch only.
"""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import ops

from zoo.bench import EPOCHS
from zoo.bench import Bench

if TYPE_CHECKING:
    import torch

    Function = Callable[[torch.Tensor], torch.Tensor]
# A step with the penalty takes far longer than one without. So it is that of
# two photos per step, at random, weighed as if it were that of all.
_PHOTOS = 2


def fit(
    bench: Bench,
    pooled: np.ndarray,
    labels: np.ndarray,
    seed: int,
    images: np.ndarray,
    masks: np.ndarray,
    weight: float,
) -> None:
    """Fit the head of a bench as `Bench.fit` does, with the penalty.

    Args:
        bench: The bench, which gets the head.
        pooled: Means of the features of all photos.
        labels: Classes of all photos.
        seed: Seed of the order of the photos.
        images: The photos `(K, H, W, 3)` with a mask.
        masks: Masks `(K, H, W)`, 1 where pixels must not count.
        weight: What the penalty is multiplied by, for pixels of 0 to 1.
    """
    import torch

    head, scale, batch = bench.new_head(pooled, len(labels), seed)
    variables = head.trainable_variables
    features = trace(bench.pooling, images[:_PHOTOS])
    weight = weight * len(images) / len(labels)
    rng = np.random.default_rng(seed)
    order = np.concatenate(
        [rng.permutation(len(labels)) for _ in range(EPOCHS)]
    )
    for start in range(0, len(order), batch):
        some = order[start : start + batch]
        logits = head(pooled[some] / scale)
        loss = head.compute_loss(None, labels[some], logits)
        rows = rng.permutation(len(images))[:_PHOTOS]
        penalties = squared_gradients(
            features, lambda x: head(x / scale), images[rows], masks[rows]
        )
        loss = loss + weight * penalties.mean()
        gradients = torch.autograd.grad(loss, [v.value for v in variables])
        with torch.no_grad():
            head.optimizer.apply(gradients, variables)
    bench.keep(head, scale)


def trace(model: keras.Model, images: np.ndarray) -> "Function":
    """Return a frozen model as a faster function, for as many images."""
    import torch

    model.trainable = False
    x = ops.convert_to_tensor(images, "float32")
    with torch.no_grad(), warnings.catch_warnings():
        # Of all that depends on the shape of the images, which stays.
        warnings.simplefilter("ignore")
        return torch.jit.trace(
            lambda x: model(x, training=False), x, check_trace=False
        )


def squared_gradients(
    features: "Function",
    head: "Function",
    images: np.ndarray,
    masks: np.ndarray,
) -> "torch.Tensor":
    """Return the penalty of each image, with its gradient for the head only.

    With the Jacobian J of the features and the gradient v of the log
    probabilities with respect to the features, the gradient of the pixels is
    v J. With masked pixels g, the penalty is `|g|^2 = v . J g`, and its
    gradient with respect to v is `2 J g`. That takes one backward pass and one
    in forward mode. In PyTorch, two backward passes take about twice as long,
    because that of a depthwise convolution is slow.

    Args:
        features: Function of images to features `(B, K)`.
        head: Function of features to logits.
        images: Images `(B, H, W, 3)` of 0 to 255.
        masks: Masks `(B, H, W)`, 1 where pixels must not count.
    """
    import torch
    from torch.autograd import forward_ad

    x = ops.convert_to_tensor(images, "float32").requires_grad_()
    found = features(x)
    means = found.detach().requires_grad_()
    logs = ops.log_softmax(head(means), axis=-1).sum()
    (v,) = torch.autograd.grad(logs, means, create_graph=True)
    (g,) = torch.autograd.grad(found, x, v.detach())
    # Pixels count from 0 to 1, so their gradients are 255 times as large.
    g = 255**2 * g * ops.convert_to_tensor(masks, "float32")[..., None]
    with torch.no_grad(), forward_ad.dual_level():
        dual = features(forward_ad.make_dual(x.detach(), g))
        tangents = forward_ad.unpack_dual(dual).tangent
    product = (v * tangents).sum(-1)
    return 2 * product - product.detach()
