"""A tiny model of any data, to try the machinery in a minute."""

from zoo.config import About
from zoo.config import Config
from zoo.config import Model

config = Config(
    about=About(
        description="A tiny FA-CNN that shows that training runs.",
        dataset=None,
        dataset_license=None,
        license="Not stated.",
    ),
    model=Model(
        num_classes=10,
        image_shape=(32, 32, 3),
        depths=(1, 2),
        maps_per_class=(1, 2),
        space_to_depth=2,
        deep_alignment=0.5,
    ),
    # The data's own, with about as many channels as of these ten.
    any_classes=True,
    train_split="train",
    validation_split="test",
    epochs=2,
    batch_size=128,
    optimizer="muon",
    learning_rate=0.01,
    warmup_epochs=0.5,
    weight_decay=0.05,
    label_smoothing=0.1,
    pad=2,
    cutout=4,
)
