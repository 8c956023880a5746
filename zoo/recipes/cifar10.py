"""The bundled preset `cifar10`: 91.9 % top-1.

    python -m zoo.train --recipe cifar10 --data cifar10 --workdir runs/cifar10

100 epochs took 7 minutes on one NVIDIA H200. The loss includes
`keras_facnn.EvidencePenalty`, because cross-entropy ignores what the logits of
all classes share.
"""

from zoo.recipe import About
from zoo.recipe import Model
from zoo.recipe import Recipe
from zoo.recipe import Stage

recipe = Recipe(
    about=About(
        description="FA-CNN of 24 layers for 32x32 photographs of 10 kinds "
        "of animals and vehicles, the last 6 of them class-wise, trained with "
        "deep alignment, stochastic depth and a penalty on evidence.",
        dataset="CIFAR-10",
        dataset_license="None is stated. Cite: Krizhevsky, Learning "
        "Multiple Layers of Features from Tiny Images, 2009.",
        license="Apache-2.0",
    ),
    class_folders="airplane|automobile|bird|cat|deer|dog|frog|horse|ship|truck",
    train_split="train",
    validation_split="test",
    stages=(
        Stage(
            name="scratch",
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
            optimizer="muon",
            learning_rate=0.015,
            warmup_epochs=2.0,
            weight_decay=0.05,
            label_smoothing=0.1,
            evidence_penalty=0.03,
            pad=4,
            cutout=8,
            cutmix=0.5,
        ),
    ),
)
