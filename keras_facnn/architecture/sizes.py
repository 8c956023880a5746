"""How large an FA-CNN is, known before anything is built."""

from collections.abc import Sequence

from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_ints

# Far beyond what trains or explains well; what exceeds them would take all of
# the machine's memory, or hours, before the framework says no.
MAX_LAYERS = 1_000
MAX_PARAMETERS = 2**28
MAX_IMAGE_SIDE = 2**14
MAX_BACKBONE_LAYERS = 2_000
MAX_BACKBONE_PARAMETERS = 2**30


def check_model_size(
    num_classes: int,
    image_shape: Sequence[int | None],
    depths: Sequence[int],
    maps_per_class: Sequence[int],
    space_to_depth: int = 1,
    batch_norm_gain: bool = False,
    fused: bool = False,
    threshold: bool = False,
    classwise_layers: int = 0,
) -> int:
    """Refuses an FA-CNN that is too large to build.

    The arguments are those of `FACNN`.

    Returns:
        The number of parameters that the model will have.

    Raises:
        ValueError: If the model would exceed `MAX_LAYERS` FA layers,
            `MAX_PARAMETERS` parameters, or one of its images `MAX_IMAGE_SIDE`
            in height, width or channels.

    Example:

    >>> from keras_facnn.architecture.sizes import check_model_size
    >>> check_model_size(10, (32, 32, 3), depths=(1, 2), maps_per_class=(1, 2))
    8251
    """
    num_classes = check_int("num_classes", num_classes)
    depths = check_ints("depths", depths)
    maps_per_class = check_ints("maps_per_class", maps_per_class)
    if not isinstance(image_shape, (list, tuple)):
        raise ValueError(
            "`image_shape` must be (height, width, channels). "
            f"Received: image_shape={image_shape!r}"
        )
    sides = [
        check_int(f"image_shape[{i}]", side)
        for i, side in enumerate(image_shape)
        if side is not None
    ]
    space_to_depth = check_int("space_to_depth", space_to_depth)
    if max([*sides, space_to_depth]) > MAX_IMAGE_SIDE:
        raise ValueError(
            f"The sides of `image_shape`, and `space_to_depth`, must be at "
            f"most {MAX_IMAGE_SIDE:,}. Received: image_shape={image_shape}, "
            f"space_to_depth={space_to_depth}"
        )
    if sum(depths) > MAX_LAYERS:
        raise ValueError(
            f"`depths` must sum to at most {MAX_LAYERS:,} FA layers. "
            f"Received: depths={depths}"
        )
    # Beside the kernel: a bias, or beta, the norm's statistics and gamma.
    values_a_channel = 1 if fused else 4 if batch_norm_gain else 3
    parameters = 1 + bool(threshold)  # The head's scale.
    dense = sum(depths) - check_int(
        "classwise_layers", classwise_layers, least=0
    )
    for depth, maps in zip(depths, maps_per_class, strict=False):
        width = num_classes * maps
        parameters += depth * values_a_channel * width
        mixing = min(max(dense, 0), depth)
        dense -= depth
        parameters += 9 * width * (mixing * width + (depth - mixing) * maps)
    if parameters > MAX_PARAMETERS:
        raise ValueError(
            "`num_classes`, `depths` and `maps_per_class` must give at most "
            f"{MAX_PARAMETERS:,} parameters. Received: "
            f"num_classes={num_classes}, depths={depths}, "
            f"maps_per_class={maps_per_class}, which give {parameters:,}"
        )
    return parameters


def check_projection_size(
    channels: int, num_classes: int, maps_per_class: int
) -> None:
    """Refuses a hybrid whose 1x1 convolution onto `x_0` is too large.

    Args:
        channels: How many maps the backbone gives.
        num_classes: The number of classes.
        maps_per_class: Maps of each class in the first stage.

    Raises:
        ValueError: If it would exceed `MAX_PARAMETERS`.

    Example:

    >>> from keras_facnn.architecture.sizes import check_projection_size
    >>> check_projection_size(1280, num_classes=10, maps_per_class=12)
    """
    parameters = channels * num_classes * maps_per_class
    if parameters > MAX_PARAMETERS:
        raise ValueError(
            "The maps of `backbone`, times `num_classes` and "
            f"`maps_per_class[0]`, must be at most {MAX_PARAMETERS:,}. "
            f"Received: {channels:,} maps, num_classes={num_classes}, "
            f"maps_per_class[0]={maps_per_class}, which give {parameters:,}"
        )
