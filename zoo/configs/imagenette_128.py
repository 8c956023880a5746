"""First two of the three parts that train `imagenette`, at 128x128.

    python -m zoo.train --config imagenette_128 --data imagenette/160px-v2 \
        --workdir runs/imagenette_128
    python -m zoo.train --config imagenette_128 --epochs 80 \
        --data imagenette/160px-v2 --init runs/imagenette_128/preset \
        --workdir runs/imagenette_again
    python -m zoo.train --config imagenette --data imagenette/160px-v2 \
        --init runs/imagenette_again/preset --workdir runs/imagenette

No weight of an FA-CNN depends on the image's size.
"""

from zoo.configs import imagenet100

config = {
    **imagenet100.config,
    "about": {
        **imagenet100.config["about"],
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
