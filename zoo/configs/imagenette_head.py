"""FA layers on a frozen backbone, for Imagenette; beside it, the usual head.

    python -m zoo.train --config imagenette_head --data imagenette/160px-v2 \\
        --workdir runs/imagenette_facnn
    python -m zoo.train --config imagenette_head --data imagenette/160px-v2 \\
        --model pooled --workdir runs/imagenette_pooled

As `clothing_head`. The backbone was trained on most of Imagenette's validation
photographs: only those named `ILSVRC2012_val_*` can judge it.
"""

from zoo.configs import clothing_head
from zoo.configs import imagenette_64

config = clothing_head.config.replace(
    about=imagenette_64.config.about.replace(
        description="FA-CNN on EfficientNet-Lite0 for photographs of ten "
        "ImageNet classes.",
        license=clothing_head.config.about.license,
    ),
    class_folders=imagenette_64.config.class_folders,
    validation_split=imagenette_64.config.validation_split,
    epochs=3,
)
