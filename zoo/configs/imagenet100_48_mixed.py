"""Second part of the bundled preset `imagenet100`: 58.8 % top-1 at 48x48.

    python -m zoo.train --config imagenet100_48 --data FOLDER \
        --workdir runs/imagenet100_48
    python -m zoo.train --config imagenet100_48_mixed --data FOLDER \
        --init runs/imagenet100_48/preset --workdir runs/imagenet100_48_mixed

FOLDER holds `{train,val}/WNID/*.JPEG` of 64x64 pixels or more. CutMix and
smaller crops, since the first part gets 71 % of the training images right and
57 % of the others.
"""

from zoo.configs import imagenet100_48

config = {
    **imagenet100_48.config,
    "model": {
        **imagenet100_48.config["model"],
        "deep_alignment": 0.4,
    },
    "learning_rate": 0.008,
    "warmup_epochs": 0.3,
    "crop": {"smallest": 0.3, "from": (64, 64)},
    "cutmix": 0.5,
}
