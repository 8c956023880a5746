"""Fifth part of the bundled preset `imagenette`: a direct way to the end.

See `imagenette_sparse`.
"""

from zoo.configs import imagenette_sparse_unmixed

config = {
    **imagenette_sparse_unmixed.config,
    "model": {
        **imagenette_sparse_unmixed.config["model"],
        # Harmonic up to the middle, a third of that after it.
        "alpha": [
            (1 if level <= 12 else 1 / 3) / (level + 1)
            for level in range(1, 25)
        ],
    },
    "epochs": 4,
}
