"""Second part of the bundled preset `clothing`; see `clothing_head`."""

from zoo.configs import clothing_head

config = clothing_head.config.replace(
    # Batch statistics of few photographs are worse than ImageNet's.
    freeze_backbone=".*_norm",
    epochs=8,
    learning_rate=0.0003,
)
