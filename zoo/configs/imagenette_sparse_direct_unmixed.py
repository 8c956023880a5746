"""Last part of the bundled preset `imagenette`, without CutMix: 92.2 % top-1.

See `imagenette_sparse`.
"""

from zoo.alphas import smaller_late
from zoo.configs import imagenette_sparse_unmixed

config = imagenette_sparse_unmixed.config.replace(
    model=imagenette_sparse_unmixed.config.model.replace(
        alpha=smaller_late(1 / 12),
    ),
    epochs=3,
)
