"""Third part of the bundled preset `imagenette`, on what a teacher says.

See `imagenette_sparse`.
"""

from zoo.config import Crop
from zoo.configs import imagenette_sparse_160

config = imagenette_sparse_160.config.replace(
    about=imagenette_sparse_160.config.about.replace(
        description="FA-CNN of 24 layers for photographs of ten ImageNet "
        "classes, the last 12 of them class-wise, trained with deep "
        "alignment, stochastic depth and a penalty on evidence, in its last "
        "epochs on what an EfficientNet-Lite0 with ImageNet's weights says of "
        "each image.",
    ),
    epochs=30,
    learning_rate=0.008,
    warmup_epochs=0.5,
    crop=Crop(smallest=0.3, from_size=(160, 160)),
    cutmix=0.5,
)
