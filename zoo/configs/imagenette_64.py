"""First of the four parts that train `imagenette`, at 64x64.

    python -m zoo.train --config imagenette_64 --data imagenette/160px-v2 \
        --workdir runs/imagenette_64
    python -m zoo.train --config imagenette_96 --data imagenette/160px-v2 \
        --init runs/imagenette_64/preset --workdir runs/imagenette_96
    python -m zoo.train --config imagenette_128 --data imagenette/160px-v2 \
        --init runs/imagenette_96/preset --workdir runs/imagenette_128
    python -m zoo.train --config imagenette --data imagenette/160px-v2 \
        --init runs/imagenette_128/preset --workdir runs/imagenette

No weight of an FA-CNN depends on the image's size, and small images are cheap.
The last 12 layers are class-wise. These lengths, 70 minutes on two cores of an
AMD CPU without AMX, give 87.8 % of the validation photographs, less than what a
bundled preset should; see "Class-wise layers" in `zoo/README.md`.
"""

from zoo.configs import imagenet100_48

config = {
    **imagenet100_48.config,
    "about": {
        **imagenet100_48.config["about"],
        "description": "FA-CNN of 24 layers for photographs of ten ImageNet "
        "classes, the last 12 of them class-wise, trained with deep alignment "
        "and stochastic depth.",
        "dataset": "Imagenette, https://github.com/fastai/imagenette",
    },
    "model": {
        **imagenet100_48.config["model"],
        "num_classes": 10,
        "image_shape": (64, 64, 3),
        "depths": (12, 12),
        "maps_per_class": (8, 16),
        "space_to_depth": 4,
        "classwise_layers": 12,
        "deep_alignment": 0.4,
        "stochastic_depth": 0.1,
    },
    "validation_split": "validation",
    "epochs": 26,
    "batch_size": 64,
    "crop": {"smallest": 0.25, "from": (160, 160)},
    "cutmix": 0.3,
}
