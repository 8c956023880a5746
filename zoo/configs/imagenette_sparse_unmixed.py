"""Fourth part of the bundled preset `imagenette`, without CutMix: 91.8 % top-1.

See `imagenette_sparse`.
"""

from zoo.configs import imagenette_sparse_160
from zoo.configs import imagenette_sparse_taught

config = imagenette_sparse_160.config.replace(
    about=imagenette_sparse_taught.config.about,
    epochs=8,
    learning_rate=0.003,
)
