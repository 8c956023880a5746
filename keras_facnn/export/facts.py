"""Facts about the model that a written file holds."""

import json
from typing import Any

from keras import ops

from keras_facnn.version import __version__


def collect_facts(model: Any, centered: bool) -> dict[str, str]:
    """Return facts about the model for users of a written file.

    Args:
        model: A `FACNN`.
        centered: Whether the maps in the file are centered.

    Returns:
        A dict of strings. Facts that are not text are in JSON.
    """
    metadata = model.provenance.valid_metadata(model)
    facts = {
        "class_names": model.class_names,
        "image_shape": list(model.image_shape),
        "image_range": [0, 255],
        "maps": "centered" if centered else "raw",
        # The function that makes probabilities of the logits.
        "probabilities": "sigmoid" if model.threshold else "softmax",
        # The mean of a raw map, times the scale, is the logit.
        "scale": float(ops.convert_to_numpy(model.head.scale)),
        "keras_facnn": __version__,
        **{
            key: metadata[key]
            for key in ("description", "license", "dataset")
            if key in metadata
        },
    }
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in facts.items()
    }
