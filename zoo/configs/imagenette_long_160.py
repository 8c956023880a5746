"""Last part of `imagenette_long`, at 160x160."""

from zoo.configs import imagenette_long

config = {
    **imagenette_long.config,
    "model": {
        **imagenette_long.config["model"],
        "image_shape": (160, 160, 3),
    },
    "epochs": 2,
    "learning_rate": 0.0015,
    "warmup_epochs": 0.2,
    "crop": {"smallest": 0.5, "from": (160, 160)},
    "cutmix": 0.0,
}
