"""Last part of `imagenette_sparse`, at 160x160."""

from zoo.configs import imagenette_sparse

config = {
    **imagenette_sparse.config,
    "model": {
        **imagenette_sparse.config["model"],
        "image_shape": (160, 160, 3),
    },
    "epochs": 4,
    "learning_rate": 0.002,
    "warmup_epochs": 0.2,
    "crop": {"smallest": 0.5, "from": (160, 160)},
    "cutmix": 0.0,
}
