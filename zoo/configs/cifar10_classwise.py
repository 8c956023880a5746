"""CIFAR-10 for long, with class-wise layers: 91.4 % top-1, not bundled.

    python -m zoo.train --config cifar10_classwise --data cifar10 \
        --workdir runs/cifar10_classwise
    python -m zoo.train --config cifar10_classwise --epochs 80 --data cifar10 \
        --init runs/cifar10_classwise/preset --workdir runs/cifar10_again

See "Trained for longer" in zoo/README.md for why.
"""

from zoo.configs import cifar10

config = {
    **cifar10.config,
    "about": {
        **cifar10.config["about"],
        "description": "FA-CNN of 24 layers for 32x32 photographs of 10 kinds "
        "of animals and vehicles, trained with deep alignment and stochastic "
        "depth.",
    },
    "model": {
        "num_classes": 10,
        "image_shape": (32, 32, 3),
        "depths": (4, 8, 12),
        "maps_per_class": (2, 8, 16),
        "classwise_layers": 6,
        "alpha": "harmonic",
        "deep_alignment": 0.4,
        "stochastic_depth": 0.1,
    },
    "epochs": 64,
    "batch_size": 256,
    "learning_rate": 0.015,
    "pad": 4,
    "cutout": 8,
    "cutmix": 0.3,
}
