"""Facts about the model that a written file holds, and a JSON beside it."""

import json
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_facnn.runtime.facts import hash_model
from keras_facnn.version import __version__

# The facts about a model, by name. All values can be written as JSON.
Facts = Mapping[str, Any]


def collect_facts(model: Any, layers: Sequence[int], centered: bool) -> Facts:
    """Return facts about the model for users of a written file.

    Args:
        model: A `FACNN`.
        layers: The numbers of the layers whose maps are in the file, besides
            the last.
        centered: Whether the maps in the file are centered.
    """
    metadata = model.provenance.valid_metadata(model)
    return {
        "class_names": model.class_names,
        "image_shape": list(model.image_shape),
        "image_range": [0, 255],
        # The `fit` of `load_images`, for pictures of another aspect ratio.
        "fit": "crop",
        "maps": "centered" if centered else "raw",
        # The last layer's maps are `class_maps`, the others' `class_maps_l`.
        "layers": sorted({*layers, model.num_layers}),
        # The function that makes probabilities of the logits.
        "probabilities": "sigmoid" if model.threshold else "softmax",
        # The mean of a raw map, times the scale, is the logit, plus an offset
        # if the head has a threshold.
        "scale": float(ops.convert_to_numpy(model.head.scale)),
        "offset": float(ops.convert_to_numpy(model.head.offset)),
        "keras_facnn": __version__,
        **{
            key: metadata[key]
            for key in ("description", "license", "dataset")
            if key in metadata
        },
    }


def as_texts(facts: Facts) -> dict[str, str]:
    """Return the facts as strings. What is not a string is written as JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in facts.items()
    }


def as_json(facts: Facts) -> bytes:
    """Return the facts as the content of a JSON file."""
    return (json.dumps(dict(facts), indent=1) + "\n").encode()


def write_facts_of(
    written: pathlib.Path, path: pathlib.Path, facts: Facts
) -> None:
    """Write the facts to a JSON file, with the hash of the file they are of.

    Args:
        written: The file of the model.
        path: The JSON file to write.
        facts: The facts.
    """
    path.write_bytes(as_json({**facts, "sha256": hash_model(written)}))
