"""Imagenette at 64x64, all layers dense; others start from this config.

    python -m zoo.train --config imagenette_64 --data imagenette/160px-v2 \\
        --workdir runs/imagenette_64

No weight of an FA-CNN depends on the image's size, and small images are cheap.
"""

from zoo.config import Crop
from zoo.configs import imagenet100_48

config = imagenet100_48.config.replace(
    about=imagenet100_48.config.about.replace(
        description="FA-CNN of 24 layers for photographs of ten ImageNet "
        "classes, trained with deep alignment and stochastic depth.",
        dataset="Imagenette, https://github.com/fastai/imagenette",
    ),
    model=imagenet100_48.config.model.replace(
        num_classes=10,
        image_shape=(64, 64, 3),
        depths=(12, 12),
        maps_per_class=(8, 16),
        space_to_depth=4,
        deep_alignment=0.4,
        stochastic_depth=0.1,
    ),
    validation_split="validation",
    epochs=36,
    batch_size=64,
    crop=Crop(smallest=0.25, from_size=(160, 160)),
    cutmix=0.3,
)
