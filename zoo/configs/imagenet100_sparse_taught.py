"""Last part of the bundled preset `imagenet100`: 68.2 % top-1.

A teacher has a say in the targets. See `imagenet100_sparse`.
"""

from zoo.configs import imagenet100_sparse_shifts

config = imagenet100_sparse_shifts.config.replace(
    about=imagenet100_sparse_shifts.config.about.replace(
        description="FA-CNN of 24 layers for 64x64 photographs of 100 "
        "ImageNet classes, trained with deep alignment, stochastic depth and "
        "a penalty on evidence, in its last epochs on what an "
        "EfficientNet-Lite0 with ImageNet's weights says of each image. The "
        "recipe of the paper's full size is imagenet100_224.",
    ),
    epochs=20,
    learning_rate=0.01,
    warmup_epochs=0.5,
    cutmix=0.7,
)
