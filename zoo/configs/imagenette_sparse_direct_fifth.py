"""Trains what `imagenette_sparse_direct` made further, with smaller alphas.

    python -m zoo.train --config imagenette_sparse_direct_fifth \\
        --data imagenette/160px-v2 \\
        --init runs/imagenette_sparse_direct/preset \\
        --teacher runs/imagenette_teacher/model.keras --teacher_weight 0.9 \\
        --workdir runs/imagenette_sparse_direct_fifth

The result is not bundled. See "The way after the middle" in zoo/README.md.
"""

from zoo.configs import imagenette_sparse_direct

config = {
    **imagenette_sparse_direct.config,
    "model": {
        **imagenette_sparse_direct.config["model"],
        "alpha": imagenette_sparse_direct.alphas(1 / 5),
    },
    "epochs": 1,
    "learning_rate": 0.002,
}
