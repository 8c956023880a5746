"""CIFAR-10 in short, against baselines: 89.61 % top-1 in 24 epochs.

    python -m zoo.train --config cifar10 --data cifar10 --workdir runs/cifar10

What is bundled is `cifar10_sparse`.
"""

from zoo.config import About
from zoo.config import Config
from zoo.config import Model

config = Config(
    about=About(
        description="FA-CNN of 24 layers for 32x32 photographs of 10 kinds "
        "of animals and vehicles, trained with deep alignment.",
        dataset="CIFAR-10",
        dataset_license="None is stated. Cite: Krizhevsky, Learning "
        "Multiple Layers of Features from Tiny Images, 2009.",
        license="Apache-2.0",
    ),
    model=Model(
        num_classes=10,
        image_shape=(32, 32, 3),
        depths=(10, 14),
        maps_per_class=(6, 12),
        alpha="harmonic",
        space_to_depth=2,
        deep_alignment=0.4,
    ),
    class_folders="airplane|automobile|bird|cat|deer|dog|frog|horse|ship|truck",
    train_split="train",
    validation_split="test",
    epochs=24,
    batch_size=128,
    optimizer="muon",
    learning_rate=0.01,
    warmup_epochs=1.0,
    weight_decay=0.05,
    label_smoothing=0.1,
    pad=3,
)
