"""Your own photographs of any classes, at 96x96: 82.1 % top-1 for clothes.

    python -m zoo.train --recipe photos --data FOLDER \\
        --validation_fraction 0.2 --workdir runs/photos

FOLDER holds `CLASS/*.jpg`. Without `--validation_fraction` it holds
`{train,validation}/CLASS/*.jpg`. `--description`, `--dataset` and
`--dataset_license` go into the preset's metadata.
"""

from zoo.recipe import About
from zoo.recipe import Crop
from zoo.recipe import Model
from zoo.recipe import Recipe
from zoo.recipe import Stage

recipe = Recipe(
    about=About(
        description="FA-CNN of 24 layers for photographs, trained with deep "
        "alignment and a penalty on evidence.",
        dataset=None,
        dataset_license=None,
        license="Not stated.",
    ),
    # The model takes the classes of the data, and about as many channels as
    # for its ten classes.
    any_classes=True,
    train_split="train",
    validation_split="validation",
    stages=(
        Stage(
            name="scratch",
            model=Model(
                num_classes=10,
                image_shape=(96, 96, 3),
                depths=(12, 12),
                maps_per_class=(8, 16),
                alpha="harmonic",
                space_to_depth=4,
                deep_alignment=0.4,
                stochastic_depth=0.1,
            ),
            epochs=40,
            batch_size=32,
            optimizer="muon",
            learning_rate=0.01,
            warmup_epochs=1.0,
            weight_decay=0.05,
            label_smoothing=0.1,
            evidence_penalty=0.03,
            crop=Crop(smallest=0.35, from_size=(112, 112)),
            cutmix=0.3,
        ),
    ),
)
