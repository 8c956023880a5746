"""Part 4 of `imagenette`, at 96x96; see `zoo/configs/imagenette_64.py`."""

from zoo.configs import imagenette_96

config = {
    **imagenette_96.config,
    "about": {
        **imagenette_96.config["about"],
        "description": "FA-CNN of 24 layers for photographs of ten ImageNet "
        "classes, the last 6 of them class-wise, trained with deep alignment "
        "and stochastic depth.",
    },
    "model": {**imagenette_96.config["model"], "classwise_layers": 6},
    "epochs": 16,
    "learning_rate": 0.008,
    "warmup_epochs": 0.5,
}
