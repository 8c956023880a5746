"""First part of the bundled preset `imagenette`, at 128x128.

    python -m zoo.train --config imagenette_sparse --data imagenette/160px-v2 \\
        --workdir runs/imagenette_sparse
    python -m zoo.train --config imagenette_sparse_160 \\
        --data imagenette/160px-v2 --init runs/imagenette_sparse/preset \\
        --workdir runs/imagenette_sparse_160
    python -m zoo.train --config imagenette_sparse_taught \\
        --data imagenette/160px-v2 --init runs/imagenette_sparse_160/preset \\
        --teacher runs/imagenette_teacher/model.keras --teacher_weight 0.9 \\
        --workdir runs/imagenette_sparse_taught
    python -m zoo.train --config imagenette_sparse_unmixed \\
        --data imagenette/160px-v2 \\
        --init runs/imagenette_sparse_taught/preset \\
        --teacher runs/imagenette_teacher/model.keras --teacher_weight 0.9 \\
        --workdir runs/imagenette_sparse_unmixed
    python -m zoo.train --config imagenette_sparse_direct \\
        --data imagenette/160px-v2 \\
        --init runs/imagenette_sparse_unmixed/preset \\
        --teacher runs/imagenette_teacher/model.keras --teacher_weight 0.9 \\
        --workdir runs/imagenette_sparse_direct
    python -m zoo.train --config imagenette_sparse_direct_unmixed \\
        --data imagenette/160px-v2 \\
        --init runs/imagenette_sparse_direct/preset \\
        --teacher runs/imagenette_teacher/model.keras --teacher_weight 0.9 \\
        --workdir runs/imagenette_sparse_direct_unmixed

The teacher is the usual head of `imagenette_head`, trained for this.

The last 12 layers are class-wise, and evidence has a price; see "Sparse
evidence" in zoo/README.md for why, and "The way after the middle" there for the
last two parts.
"""

from zoo.configs import imagenette_64

config = imagenette_64.config.replace(
    about=imagenette_64.config.about.replace(
        description="FA-CNN of 24 layers for photographs of ten ImageNet "
        "classes, the last 12 of them class-wise, trained with deep "
        "alignment, stochastic depth and a penalty on evidence.",
    ),
    model=imagenette_64.config.model.replace(
        image_shape=(128, 128, 3),
        depths=(8, 16),
        maps_per_class=(8, 24),
        classwise_layers=12,
    ),
    epochs=100,
    warmup_epochs=2.0,
    evidence_penalty=0.05,
    cutmix=0.4,
)
