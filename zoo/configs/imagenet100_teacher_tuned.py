"""Second part of the teacher of imagenet100; see `imagenet100_teacher`."""

from zoo.configs import imagenet100_teacher

config = imagenet100_teacher.config.replace(
    # Batch statistics of few images are worse than ImageNet's.
    freeze_backbone=".*_norm",
    epochs=3,
    learning_rate=0.0005,
    warmup_epochs=0.1,
)
