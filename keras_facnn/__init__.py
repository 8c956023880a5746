"""FA-CNN in Keras 3: image classifiers whose feature maps explain them."""

import importlib
import importlib.util
from typing import TYPE_CHECKING
from typing import Any

from keras_facnn._checks.packages import missing_backend
from keras_facnn._checks.packages import missing_matplotlib
from keras_facnn._checks.packages import skipped_keras
from keras_facnn._checks.text import printable
from keras_facnn.cli.start import skips_keras
from keras_facnn.cli.start import start_command
from keras_facnn.version import __version__

start_command()
_keras_error: Exception | None = None
try:
    if skips_keras():
        raise skipped_keras()
    importlib.import_module("keras")
except (ImportError, ValueError) as e:
    # It is raised when a name is used, so that the command line can report it.
    _keras_error = e
else:
    from keras_facnn import attribution
    from keras_facnn import layers
    from keras_facnn import metrics
    from keras_facnn.auditing import Audit
    from keras_facnn.auditing import audit
    from keras_facnn.auditing import audit_rows
    from keras_facnn.evaluation import Evaluation
    from keras_facnn.evaluation import evaluate
    from keras_facnn.evaluation import fit_temperature
    from keras_facnn.explaining.explanation import Explanation
    from keras_facnn.maps import resize_maps
    from keras_facnn.model import FACNN
    from keras_facnn.pictures.image_folder import ImageFolder
    from keras_facnn.pictures.image_folder import load_folder
    from keras_facnn.pictures.mask_folder import load_regions
    from keras_facnn.pictures.reading import load_images
    from keras_facnn.presets import upload_preset
    from keras_facnn.regions import boxes_to_masks
    from keras_facnn.training.exchange import exchange_regions
    from keras_facnn.training.losses import EvidencePenalty
    from keras_facnn.training.region_penalty import RegionPenalty
    from keras_facnn.transfer import train

__all__ = [
    "Audit",
    "Evaluation",
    "EvidencePenalty",
    "Explanation",
    "FACNN",
    "ImageFolder",
    "RegionPenalty",
    "__version__",
    "attribution",
    "audit",
    "audit_rows",
    "boxes_to_masks",
    "evaluate",
    "exchange_regions",
    "fit_temperature",
    "layers",
    "load_folder",
    "load_images",
    "load_regions",
    "metrics",
    "plots",
    "printable",
    "resize_maps",
    "train",
    "upload_preset",
]
# `from keras_facnn import *` needs only what is installed.
if importlib.util.find_spec("matplotlib") is None:
    __all__.remove("plots")


def __dir__() -> list[str]:
    # `help` asks for each name that is listed, and may meet no ImportError.
    return sorted(n for n in __all__ if _keras_error is None or n in globals())


if TYPE_CHECKING:
    from keras_facnn import plots
else:
    # Type checkers would take any name for an attribute.
    def __getattr__(name: str) -> Any:
        if _keras_error is not None and name in __all__:
            if skips_keras():
                raise skipped_keras()
            raise missing_backend(_keras_error) from _keras_error
        # `plots` needs Matplotlib, so it is imported when it is first used.
        if name == "plots":
            if importlib.util.find_spec("matplotlib") is None:
                raise missing_matplotlib("keras_facnn.plots")
            return importlib.import_module("keras_facnn.plots")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
