"""Fifth part of the bundled preset `imagenette`, with smaller late alphas.

See `imagenette_sparse`.
"""

from zoo.alphas import smaller_late
from zoo.configs import imagenette_sparse
from zoo.configs import imagenette_sparse_taught

config = imagenette_sparse_taught.config.replace(
    model=imagenette_sparse.config.model.replace(
        alpha=smaller_late(1 / 6),
    ),
    epochs=60,
    batch_size=128,
    learning_rate=0.01,
)
