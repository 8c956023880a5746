"""Last part of `imagenette_long`, at 160x160."""

from zoo.configs import imagenette
from zoo.configs import imagenette_long

config = {
    **imagenette.config,
    "about": imagenette_long.config["about"],
    "model": {
        **imagenette_long.config["model"],
        "image_shape": (160, 160, 3),
    },
}
