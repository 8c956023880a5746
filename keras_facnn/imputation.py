import numpy as np
from scipy.ndimage import gaussian_filter


def baseline_images(images, baseline):
    """What stands where pixels are taken away.

    Args:
        images: Float array `(B, H, W, channels)`.
        baseline: A number, `"mean"` (each image's own mean colour), `"blur"`
            (each image under a Gaussian of a tenth of its longer side), or an
            array that broadcasts to `images`, such as a data set's mean colour.

    Returns:
        An array of the shape and dtype of `images`.
    """
    if isinstance(baseline, str) and baseline == "blur":
        sigma = 0.1 * max(images.shape[1:3])
        return gaussian_filter(images, (0, sigma, sigma, 0))
    if isinstance(baseline, str) and baseline == "mean":
        baseline = images.mean(axis=(1, 2), keepdims=True)
    try:
        values = np.asarray(baseline, images.dtype)
        return np.broadcast_to(values, images.shape)
    except (TypeError, ValueError):
        raise ValueError(
            '`baseline` must be a number, "mean", "blur", or an array that '
            f"broadcasts to {images.shape}. Received: baseline={baseline!r}"
        ) from None
