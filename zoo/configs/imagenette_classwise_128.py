"""Part 5 of `imagenette`, at 128x128; see `zoo/configs/imagenette_64.py`."""

from zoo.configs import imagenette_classwise_96

config = {
    **imagenette_classwise_96.config,
    "model": {
        **imagenette_classwise_96.config["model"],
        "image_shape": (128, 128, 3),
    },
    "epochs": 7,
    "learning_rate": 0.005,
    "warmup_epochs": 0.3,
    "crop": {"smallest": 0.3, "from": (160, 160)},
}
