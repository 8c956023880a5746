"""Fashion-MNIST. Not yet run.

    python -m zoo.train --config fashion_mnist --data fashion_mnist \\
        --workdir runs/fashion_mnist
"""

from zoo.config import About
from zoo.configs import cifar10

config = cifar10.config.replace(
    about=About(
        description="FA-CNN of 13 layers for 28x28 grey images of 10 kinds "
        "of clothes, trained with deep alignment.",
        dataset="Fashion-MNIST",
        dataset_license="MIT, Zalando SE. Cite: Xiao et al., "
        "Fashion-MNIST, arXiv 1708.07747.",
        license="Apache-2.0",
    ),
    model=cifar10.config.model.replace(
        image_shape=(28, 28, 1),
        depths=(6, 7),
        maps_per_class=(4, 8),
    ),
    class_folders="T-shirt/top|Trouser|Pullover|Dress|Coat|Sandal|Shirt|"
    "Sneaker|Bag|Ankle boot",
    epochs=12,
    pad=2,
    cutout=8,
)
