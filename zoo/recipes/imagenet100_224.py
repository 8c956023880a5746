"""The paper's setting: ImageNet-100, 24 FA layers, 224x224. Not yet run.

    python -m zoo.train --recipe imagenet100_224 --data FOLDER \\
        --workdir runs/imagenet100_224

FOLDER holds `{train,val}/WNID/*.JPEG` of the 100 classes of ImageNet-100. Add
`--classes zoo/recipes/imagenet100.tsv` if it holds all of ImageNet, or for
`--data imagenet2012`. The same command uses one GPU or eight.

`python -m zoo.cost --recipe imagenet100_224 --devices N` computes these costs:
17.8 M parameters, 6.8 G multiply-adds per image, and 10.4 TFLOP per step of
256 images.

| GPUs | images per GPU | TFLOP per step and GPU | memory per GPU |
|---|---|---|---|
| 1 | 256 | 10.4 | 8.1 GiB |
| 8 | 32 | 1.3 | 1.2 GiB |
"""

from zoo.recipe import About
from zoo.recipe import Crop
from zoo.recipe import Model
from zoo.recipe import Recipe
from zoo.recipe import Stage

recipe = Recipe(
    about=About(
        description="FA-CNN of 24 layers for 224x224 photographs of 100 "
        "ImageNet classes, trained with deep alignment.",
        dataset="ImageNet-100",
        dataset_license="Images for non-commercial research: "
        "https://www.image-net.org/download.php",
        license="Apache-2.0",
    ),
    class_folders=r"n\d{8}",
    train_split="train",
    validation_split="val",
    stages=(
        Stage(
            name="scratch",
            model=Model(
                num_classes=100,
                image_shape=(224, 224, 3),
                depths=(6, 8, 10),
                maps_per_class=(1, 2, 4),
                alpha="harmonic",
                space_to_depth=4,
                deep_alignment=0.3,
            ),
            epochs=100,
            batch_size=256,
            optimizer="muon",
            learning_rate=0.01,
            warmup_epochs=2.0,
            weight_decay=0.05,
            label_smoothing=0.1,
            crop=Crop(smallest=0.25, from_size=(256, 256)),
        ),
    ),
)
