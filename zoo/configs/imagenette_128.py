"""Part 3 of `imagenette`, at 128x128; see `zoo/configs/imagenette_64.py`."""

from zoo.configs import imagenette_64

config = {
    **imagenette_64.config,
    "model": {**imagenette_64.config["model"], "image_shape": (128, 128, 3)},
    "epochs": 4,
    "learning_rate": 0.003,
    "warmup_epochs": 0.3,
    "crop": {"smallest": 0.35, "from": (160, 160)},
    "cutmix": 0.0,
}
