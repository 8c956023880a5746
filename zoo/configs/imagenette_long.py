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

from zoo.configs import imagenet100_long

config = {
    **imagenet100_long.config,
    "about": {
        **imagenet100_long.config["about"],
        "description": "FA-CNN of 24 layers for photographs of ten ImageNet "
        "classes, the last 12 of them class-wise, trained with deep alignment "
        "and stochastic depth.",
        "dataset": "Imagenette, https://github.com/fastai/imagenette",
    },
    "model": {
        "num_classes": 10,
        "image_shape": (128, 128, 3),
        "depths": (8, 16),
        "maps_per_class": (8, 24),
        "classwise_layers": 12,
        "alpha": "harmonic",
        "space_to_depth": 4,
        "deep_alignment": 0.4,
        "stochastic_depth": 0.1,
    },
    "validation_split": "validation",
    "epochs": 70,
    "batch_size": 64,
    "learning_rate": 0.01,
    "warmup_epochs": 2.0,
    "crop": {"smallest": 0.25, "from": (160, 160)},
    "cutmix": 0.4,
}
