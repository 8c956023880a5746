"""Second part of `imagenette_sparse_direct`: a still more direct way.

See there.
"""

from zoo.configs import imagenette_sparse_direct

config = {
    **imagenette_sparse_direct.config,
    "model": {
        **imagenette_sparse_direct.config["model"],
        "alpha": [
            (1 if level <= 12 else 1 / 5) / (level + 1)
            for level in range(1, 25)
        ],
    },
    "epochs": 1,
    "learning_rate": 0.002,
}
