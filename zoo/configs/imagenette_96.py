"""Second part of `imagenette`, at 96x96; see `zoo/configs/imagenette_64.py`."""

from zoo.configs import imagenette_64

config = {
    **imagenette_64.config,
    "model": {**imagenette_64.config["model"], "image_shape": (96, 96, 3)},
    "epochs": 8,
    "learning_rate": 0.006,
    "warmup_epochs": 0.3,
}
