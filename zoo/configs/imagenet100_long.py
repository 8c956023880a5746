"""Tiny ImageNet's half for long: 65.1 % top-1, not bundled.

    python -m zoo.train --config imagenet100_long --data FOLDER \
        --workdir runs/imagenet100_long
    python -m zoo.train --config imagenet100_long --epochs 38 --data FOLDER \
        --init runs/imagenet100_long/preset --workdir runs/imagenet100_again

FOLDER holds `{train,val}/WNID/*.JPEG` of 64x64 pixels or more. See "Trained for
longer" in zoo/README.md.
"""

config = {
    "about": {
        "description": "FA-CNN of 24 layers for 64x64 photographs of 100 "
        "ImageNet classes, trained with deep alignment and stochastic depth. "
        "The recipe of the paper's full size is imagenet100_224.",
        "dataset": "ImageNet, 100 classes at 64x64",
        "dataset_license": "Images for non-commercial research: "
        "https://www.image-net.org/download.php",
        "license": "Apache-2.0",
    },
    "model": {
        "num_classes": 100,
        "image_shape": (64, 64, 3),
        "depths": (1, 11, 12),
        "maps_per_class": (1, 1, 2),
        "alpha": "harmonic",
        "space_to_depth": 2,
        "deep_alignment": 0.4,
        "stochastic_depth": 0.05,
    },
    "class_folders": r"n\d{8}",
    "train_split": "train",
    "validation_split": "val",
    "epochs": 30,
    "batch_size": 256,
    "optimizer": "muon",
    "learning_rate": 0.015,
    "warmup_epochs": 1.0,
    "weight_decay": 0.05,
    "label_smoothing": 0.1,
    "crop": {"smallest": 0.3, "from": (64, 64)},
    "cutmix": 0.5,
}
