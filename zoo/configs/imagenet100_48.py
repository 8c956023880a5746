"""Half of Tiny ImageNet in short, against baselines: 56.9 % top-1 at 48x48.

    python -m zoo.train --config imagenet100_48 --data FOLDER \\
        --workdir runs/imagenet100_48

FOLDER holds `{train,val}/WNID/*.JPEG` of 64x64 pixels or more. A step costs
0.56 of one at 64x64; FA-CNN has no weight that depends on the image's size. An
epoch of 45,000 images takes about 240 s on two cores of an AMD Zen 5 CPU. What
is bundled is `imagenet100_sparse`.
"""

from zoo.config import About
from zoo.config import Config
from zoo.config import Crop
from zoo.config import Model

config = Config(
    about=About(
        description="FA-CNN of 24 layers for 64x64 photographs of 100 "
        "ImageNet classes, trained with deep alignment. The recipe of the "
        "paper's full size is imagenet100_224.",
        dataset="ImageNet, 100 classes at 64x64",
        dataset_license="Images for non-commercial research: "
        "https://www.image-net.org/download.php",
        license="Apache-2.0",
    ),
    model=Model(
        num_classes=100,
        image_shape=(48, 48, 3),
        depths=(1, 11, 12),
        maps_per_class=(1, 1, 2),
        alpha="harmonic",
        space_to_depth=2,
        deep_alignment=0.3,
    ),
    class_folders=r"n\d{8}",
    train_split="train",
    validation_split="val",
    epochs=10,
    batch_size=128,
    optimizer="muon",
    learning_rate=0.01,
    warmup_epochs=1.0,
    weight_decay=0.05,
    label_smoothing=0.1,
    crop=Crop(smallest=0.4, from_size=(64, 64)),
)
