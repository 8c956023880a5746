"""Last part of `imagenette`, at 160x160; see `zoo/configs/imagenette_64.py`."""

from zoo.configs import imagenette_classwise_96

config = {
    **imagenette_classwise_96.config,
    "model": {
        **imagenette_classwise_96.config["model"],
        "image_shape": (160, 160, 3),
    },
    "epochs": 2,
    "learning_rate": 0.0015,
    "warmup_epochs": 0.2,
    "crop": {"smallest": 0.5, "from": (160, 160)},
    "cutmix": 0.0,
}
