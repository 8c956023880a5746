"""Imagenette for long, with 12 class-wise layers: 91.6 % top-1, not bundled.

    python -m zoo.train --config imagenette_long --data imagenette/160px-v2 \
        --workdir runs/imagenette_long
    python -m zoo.train --config imagenette_long --epochs 80 \
        --data imagenette/160px-v2 --init runs/imagenette_long/preset \
        --workdir runs/imagenette_again
    python -m zoo.train --config imagenette_long_160 \
        --data imagenette/160px-v2 --init runs/imagenette_again/preset \
        --workdir runs/imagenette_long_160

See "Trained for longer" in zoo/README.md for why.
"""

from zoo.configs import imagenette_64

config = {
    **imagenette_64.config,
    "about": {
        **imagenette_64.config["about"],
        "description": "FA-CNN of 24 layers for photographs of ten ImageNet "
        "classes, the last 12 of them class-wise, trained with deep alignment "
        "and stochastic depth.",
    },
    "model": {
        **imagenette_64.config["model"],
        "image_shape": (128, 128, 3),
        "depths": (8, 16),
        "maps_per_class": (8, 24),
        "classwise_layers": 12,
    },
    "epochs": 70,
    "warmup_epochs": 2.0,
    "cutmix": 0.4,
}
