"""CIFAR-100. Not yet run.

python -m zoo.train --config cifar100 --data cifar100 --workdir runs/cifar100
"""

from zoo.configs import cifar10

config = cifar10.config.replace(
    about=cifar10.config.about.replace(
        description="FA-CNN of 24 layers for 32x32 photographs of 100 "
        "kinds of things, trained with deep alignment.",
        dataset="CIFAR-100",
    ),
    model=cifar10.config.model.replace(
        num_classes=100,
        maps_per_class=(1, 2),
        deep_alignment=0.3,
    ),
    # TensorFlow Datasets' names are too many to tell the data set by.
    class_folders=None,
    pad=4,
    cutout=8,
)
