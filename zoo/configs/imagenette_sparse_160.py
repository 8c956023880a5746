"""Second part of the bundled preset `imagenette`, at 160x160: 91.4 % top-1.

See `imagenette_sparse`.
"""

from zoo.config import Crop
from zoo.configs import imagenette_sparse

config = imagenette_sparse.config.replace(
    model=imagenette_sparse.config.model.replace(
        image_shape=(160, 160, 3),
    ),
    epochs=4,
    learning_rate=0.002,
    warmup_epochs=0.2,
    crop=Crop(smallest=0.5, from_size=(160, 160)),
    cutmix=0.0,
)
