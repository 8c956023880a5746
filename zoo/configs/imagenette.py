"""Imagenette, ten easy ImageNet classes, at 128x128. Not yet run.

    python -m zoo.train --config imagenette --data imagenette/160px-v2 \
        --workdir runs/imagenette
"""

from zoo.configs import imagenet100_48

config = {
    **imagenet100_48.config,
    "about": {
        **imagenet100_48.config["about"],
        "description": "FA-CNN of 24 layers for 128x128 photographs of ten "
        "ImageNet classes, trained with deep alignment.",
        "dataset": "Imagenette, https://github.com/fastai/imagenette",
    },
    "model": {
        **imagenet100_48.config["model"],
        "num_classes": 10,
        "image_shape": (128, 128, 3),
        "depths": (12, 12),
        "maps_per_class": (8, 16),
        "space_to_depth": 4,
    },
    "validation_split": "validation",
    "epochs": 40,
    "batch_size": 64,
    "crop": {"smallest": 0.25, "from": (160, 160)},
}
