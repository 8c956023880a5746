"""Trains the bundled `imagenette` further, with smaller late alphas.

    python -m zoo.train --config imagenette_sparse_direct \\
        --data imagenette/160px-v2 --init imagenette \\
        --teacher runs/imagenette_teacher/model.keras --teacher_weight 0.9 \\
        --workdir runs/imagenette_sparse_direct

The result is not bundled. See "The way after the middle" in zoo/README.md.
"""

from zoo.configs import imagenette_sparse_unmixed


def alphas(share):
    """Harmonic up to the middle, and a share of that after it."""
    return [
        (1 if level <= 12 else share) / (level + 1) for level in range(1, 25)
    ]


config = {
    **imagenette_sparse_unmixed.config,
    "model": {
        **imagenette_sparse_unmixed.config["model"],
        "alpha": alphas(1 / 3),
    },
    "epochs": 4,
}
