"""Last part of `cifar10`; see `zoo/configs/cifar10.py`.

With shifts and flips alone, since the images to predict are whole.
"""

from zoo.configs import cifar10

config = {
    **cifar10.config,
    "epochs": 4,
    "batch_size": 128,
    "learning_rate": 0.003,
    "warmup_epochs": 0.1,
    "cutout": 0,
    "cutmix": 0.0,
}
