"""Last part of the preset, at 160x160; see `zoo/configs/imagenette_128.py`."""

from zoo.configs import imagenette_128

config = {
    **imagenette_128.config,
    "model": {
        **imagenette_128.config["model"],
        "image_shape": (160, 160, 3),
    },
    "epochs": 2,
    "learning_rate": 0.0015,
    "warmup_epochs": 0.2,
    "crop": {"smallest": 0.5, "from": (160, 160)},
    "cutmix": 0.0,
}
