"""A tiny model for any data, to try the training in a minute.

python -m zoo.train --recipe smoke --data FOLDER --workdir runs/smoke

FOLDER holds `{train,test}/CLASS/*.jpg`.
"""

from zoo.recipe import About
from zoo.recipe import Model
from zoo.recipe import Recipe
from zoo.recipe import Stage

recipe = Recipe(
    about=About(
        description="A tiny FA-CNN that shows that training runs.",
        dataset=None,
        dataset_license=None,
        license="Not stated.",
    ),
    # The model takes the classes of the data, and about as many channels as
    # for its ten classes.
    any_classes=True,
    train_split="train",
    validation_split="test",
    stages=(
        Stage(
            name="scratch",
            model=Model(
                num_classes=10,
                image_shape=(32, 32, 3),
                depths=(1, 2),
                maps_per_class=(1, 2),
                space_to_depth=2,
                deep_alignment=0.5,
            ),
            epochs=2,
            batch_size=128,
            optimizer="muon",
            learning_rate=0.01,
            warmup_epochs=0.5,
            weight_decay=0.05,
            label_smoothing=0.1,
            pad=2,
            cutout=4,
        ),
    ),
)
