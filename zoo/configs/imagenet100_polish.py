"""Last part of `imagenet100`; see `zoo/configs/imagenet100.py`.

Shifts in place of crops, since enlarged crops are smoother than the images to
predict.
"""

from zoo.configs import imagenet100

config = {
    **imagenet100.config,
    "epochs": 2,
    "batch_size": 128,
    "learning_rate": 0.003,
    "warmup_epochs": 0.1,
    "crop": None,
    "pad": 6,
}
