"""Tiny ImageNet's half for long: 65.1 % top-1, not bundled.

    python -m zoo.train --config imagenet100_long --data FOLDER \
        --workdir runs/imagenet100_long
    python -m zoo.train --config imagenet100_long --epochs 38 --data FOLDER \
        --init runs/imagenet100_long/preset --workdir runs/imagenet100_again

FOLDER holds `{train,val}/WNID/*.JPEG` of 64x64 pixels or more. See "Trained for
longer" in zoo/README.md.
"""

from zoo.configs import imagenet100_48

config = {
    **imagenet100_48.config,
    "about": {
        **imagenet100_48.config["about"],
        "description": "FA-CNN of 24 layers for 64x64 photographs of 100 "
        "ImageNet classes, trained with deep alignment and stochastic depth. "
        "The recipe of the paper's full size is imagenet100_224.",
    },
    "model": {
        **imagenet100_48.config["model"],
        "image_shape": (64, 64, 3),
        "deep_alignment": 0.4,
        "stochastic_depth": 0.05,
    },
    "epochs": 30,
    "batch_size": 256,
    "learning_rate": 0.015,
    "crop": {"smallest": 0.3, "from": (64, 64)},
    "cutmix": 0.5,
}
