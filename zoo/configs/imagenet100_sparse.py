"""First part of the bundled preset `imagenet100`, on crops.

    python -m zoo.train --config imagenet100_sparse --data FOLDER \\
        --workdir runs/imagenet100_sparse
    python -m zoo.train --config imagenet100_sparse_shifts --data FOLDER \\
        --init runs/imagenet100_sparse/preset \\
        --workdir runs/imagenet100_sparse_shifts
    python -m zoo.train --config imagenet100_sparse_taught --data FOLDER \\
        --init runs/imagenet100_sparse_shifts/preset \\
        --teacher runs/imagenet100_teacher_tuned/model.keras \\
        --teacher_weight 0.9 --workdir runs/imagenet100_sparse_taught

The teacher is made by `imagenet100_teacher`.

FOLDER holds `{train,val}/WNID/*.JPEG` of 64x64 pixels or more.
"""

from zoo.config import Crop
from zoo.configs import imagenet100_48

config = imagenet100_48.config.replace(
    about=imagenet100_48.config.about.replace(
        description="FA-CNN of 24 layers for 64x64 photographs of 100 "
        "ImageNet classes, trained with deep alignment, stochastic depth and "
        "a penalty on evidence. The recipe of the paper's full size is "
        "imagenet100_224.",
    ),
    model=imagenet100_48.config.model.replace(
        image_shape=(64, 64, 3),
        deep_alignment=0.4,
        stochastic_depth=0.1,
    ),
    epochs=48,
    batch_size=256,
    learning_rate=0.015,
    warmup_epochs=2.0,
    evidence_penalty=0.03,
    crop=Crop(smallest=0.3, from_size=(64, 64)),
    cutmix=0.7,
)
