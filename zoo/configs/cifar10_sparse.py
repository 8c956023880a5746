"""The bundled preset `cifar10`: 91.9 % top-1.

    python -m zoo.train --config cifar10_sparse --data cifar10 \\
        --workdir runs/cifar10_sparse

See "Sparse evidence" in zoo/README.md for why.
"""

from zoo.config import Model
from zoo.configs import cifar10

config = cifar10.config.replace(
    about=cifar10.config.about.replace(
        description="FA-CNN of 24 layers for 32x32 photographs of 10 kinds "
        "of animals and vehicles, the last 6 of them class-wise, trained with "
        "deep alignment, stochastic depth and a penalty on evidence.",
    ),
    model=Model(
        num_classes=10,
        image_shape=(32, 32, 3),
        depths=(4, 8, 12),
        maps_per_class=(3, 12, 24),
        classwise_layers=6,
        alpha="harmonic",
        deep_alignment=0.4,
        stochastic_depth=0.1,
    ),
    epochs=100,
    batch_size=256,
    learning_rate=0.015,
    warmup_epochs=2.0,
    evidence_penalty=0.03,
    pad=4,
    cutout=8,
    cutmix=0.5,
)
