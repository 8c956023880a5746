"""Try which models of `keras.applications` become FA-CNNs.

    python -m zoo.applications

prints the table of `docs/how_to/classifiers.md`, and on the standard error why
the others do not. `--models VGG16,Xception` tries only some. The models have
random weights, which do not matter to whether they can be converted. They take
up to 3 GB of memory.
"""

import sys
import warnings

import keras
from absl import flags

from keras_facnn import FACNN
from zoo import inputs

FLAGS = flags.FLAGS
HEADER = """\
| model | converts | `stride=16` | rescales pixels itself |
|---|---|---|---|"""


def define_flags() -> None:
    flags.DEFINE_list("models", None, "Names of models; default all.")


def names() -> list[str]:
    """Return the names of all models of `keras.applications`."""
    return [
        name
        for name, value in vars(keras.applications).items()
        if name[0].isupper() and callable(value)
    ]


def row(name: str) -> str:
    """Return the row of a model in the table."""
    model = getattr(keras.applications, name)(weights=None)
    converts, finer = _converts(model, None), _converts(model, 16)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        if converts:
            FACNN.from_classifier(model)
    warned = any("rescales pixels" in str(one.message) for one in found)
    rescales = ("no" if warned else "yes") if converts else "-"
    answers = ("yes" if one else "no" for one in (converts, finer))
    return f"| `{name}` | {' | '.join([*answers, rescales])} |"


def _converts(model: keras.Model, stride: int | None) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            FACNN.from_classifier(model, stride=stride)
        except ValueError as e:
            print(f"{model.name}: {e}", file=sys.stderr)
            return False
    return True


def main() -> None:
    print(HEADER)
    for name in FLAGS.models or names():
        print(row(name), flush=True)
        keras.backend.clear_session()


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
