"""Last part of the bundled preset `imagenet100`, at 64x64: 63.6 % top-1.

    python -m zoo.train --config imagenet100_48 --data FOLDER \
        --workdir runs/imagenet100_48
    python -m zoo.train --config imagenet100_48_mixed --data FOLDER \
        --init runs/imagenet100_48/preset --workdir runs/imagenet100_48_mixed
    python -m zoo.train --config imagenet100_64 --data FOLDER \
        --init runs/imagenet100_48_mixed/preset --workdir runs/imagenet100_64

FOLDER holds `{train,val}/WNID/*.JPEG` of 64x64 pixels or more. Shifts in place
of crops, since enlarged crops are smoother than the images to predict.
"""

from zoo.configs import imagenet100_48_mixed

config = {
    **imagenet100_48_mixed.config,
    "model": {
        **imagenet100_48_mixed.config["model"],
        "image_shape": (64, 64, 3),
    },
    "epochs": 1,
    "learning_rate": 0.003,
    "warmup_epochs": 0.1,
    "crop": None,
    "pad": 6,
}
