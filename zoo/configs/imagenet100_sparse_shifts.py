"""Last part of `imagenet100_sparse`: shifts in place of crops.

Enlarged crops are smoother than the images to predict.
"""

from zoo.configs import imagenet100_sparse

config = {
    **imagenet100_sparse.config,
    "epochs": 5,
    "learning_rate": 0.003,
    "warmup_epochs": 0.1,
    "crop": None,
    "pad": 6,
    "cutmix": 0.5,
}
