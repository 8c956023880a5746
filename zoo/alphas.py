"""Alphas that strengthen the direct path after the middle of the network."""


def smaller_late(share, layers=24):
    """Harmonic up to the middle layer, and a share of that after it.

    The last layer's maps keep `prod(1 - alpha)` of the middle layer's: 0.52 of
    24 harmonic layers, 0.95 with a twelfth.

    Args:
        share: Number above 0, up to 1.
        layers: Number of layers.

    Returns:
        A tuple of `layers` floats.
    """
    return tuple(
        (1 if level <= layers // 2 else share) / (level + 1)
        for level in range(1, layers + 1)
    )
