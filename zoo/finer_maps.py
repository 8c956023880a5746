"""Compare the answers of EfficientNet-Lite0 with its own and with finer maps.

    python -m zoo.finer_maps --data imagenet-val-227

The folder holds photos of ImageNet, `val/WNID/*.JPEG`, and the 1,000 classes in
the order of the outputs, `classes.tsv`. The photos are stretched to 224x224.
"""

import pathlib

import numpy as np
from absl import flags
from PIL import Image

from keras_facnn import FACNN
from zoo import inputs
from zoo.efficientnet_lite import efficientnet_lite

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("data", None, "Folder of photos.", required=True)


def read_photos(folder: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Return photos `(N, 224, 224, 3)` and the numbers of their classes."""
    lines = (folder / "classes.tsv").read_text("utf-8").splitlines()
    wnids = [line.split("\t")[0] for line in lines]
    # Without the head of the table, if it has one.
    wnids = [wnid for wnid in wnids if wnid[1:].isdigit()]
    paths = sorted(folder.glob("val/*/*.JPEG"))
    photos = [
        np.asarray(Image.open(path).convert("RGB").resize((224, 224)))
        for path in paths
    ]
    return np.stack(photos), np.array(
        [wnids.index(path.parent.name) for path in paths]
    )


def main() -> None:
    photos, labels = read_photos(pathlib.Path(FLAGS.data))
    classifier = efficientnet_lite(0)
    answers = []
    for stride in (None, 16):
        model = FACNN.from_classifier(classifier, stride=stride)
        logits = np.concatenate(
            [
                model.predict_on_batch(photos[i : i + 10])
                for i in range(0, len(photos), 10)
            ]
        )
        best = np.argsort(-logits, axis=1)[:, :5]
        answers.append(best[:, 0])
        height, width = model.class_maps(photos[:1], 0).shape[1:]
        print(
            f"maps {height}x{width}: right {np.sum(best[:, 0] == labels)}, "
            "right among five "
            f"{np.sum((best == labels[:, None]).any(axis=1))} of {len(labels)}"
        )
    before, after = (one == labels for one in answers)
    print(
        f"the same answer: {np.sum(answers[0] == answers[1])}; right only with "
        f"its own maps: {np.sum(before & ~after)}; right only with finer maps: "
        f"{np.sum(~before & after)}"
    )


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
