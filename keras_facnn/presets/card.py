"""Write the model card that goes to the Hugging Face Hub with a preset."""

import re
from collections.abc import Mapping
from typing import Any

from keras_facnn._checks.text import printable

# Names of licenses that the Hub knows, of those that models often have.
_LICENSES = frozenset(
    (
        "agpl-3.0",
        "apache-2.0",
        "bsd-2-clause",
        "bsd-3-clause",
        "cc-by-4.0",
        "cc-by-nc-4.0",
        "cc-by-nc-sa-4.0",
        "cc-by-sa-4.0",
        "cc0-1.0",
        "gpl-3.0",
        "lgpl-3.0",
        "mit",
        "mpl-2.0",
        "unlicense",
    )
)
_SHOWN_CLASSES = 20


def model_card(record: Mapping[str, Any], handle: str) -> str:
    """Return the text of `README.md`: what the Hub reads, then what people do.

    Args:
        record: The `preset_metadata` of the preset.
        handle: Where the preset will be, `hf://user/repo`, or
            `hf://user/repo@branch`.
    """
    description = _text(record.get("description"))
    parts = [
        f"---\n{_head(record)}\n---",
        f"# {handle.partition('@')[0].rpartition('/')[2]}",
        *([description] if description else []),
        "An [FA-CNN](https://arxiv.org/abs/2603.25798) for keras_facnn: an "
        "image classifier whose own feature maps show, for every class, which "
        "parts of a picture speak for it.",
        f"```python\n{code(handle)}\n```",
        "\n".join(f"- {fact}" for fact in _facts(record)),
        "`metadata.json` has the whole record.",
    ]
    return "\n\n".join(parts) + "\n"


def code(handle: str) -> str:
    """Return six lines of Python that load a preset and explain a photo."""
    return "\n".join(
        (
            "from keras_facnn import FACNN, load_images, plots",
            f'model = FACNN.from_preset("{handle}")',
            'images = load_images(["photo.jpg"], model)',
            "explanation = model.explain(images)",
            "print([explanation.name_of(c) for c in explanation.classes])",
            'plots.explanation(explanation).savefig("why.png")',
        )
    )


def _head(record: Mapping[str, Any]) -> str:
    """Return the YAML that the Hub reads."""
    from huggingface_hub import ModelCardData

    dataset = re.split(r", | \(", _named(record.get("dataset")))[0]
    # The Hub refuses a card with a name that no data set of it could have.
    dataset = re.sub(r"[^a-z0-9.]+", "-", dataset.lower()).strip("-.")
    metrics = record.get("metrics")
    known = isinstance(metrics, dict) and "top_1" in metrics
    return ModelCardData(
        # Neither `keras` nor `keras-hub`, whose loaders can't read a preset.
        library_name="keras-facnn",
        pipeline_tag="image-classification",
        license=_license(record.get("license")),
        datasets=[dataset] if dataset else None,
        metrics=["accuracy"] if known else None,
        tags=["fa-cnn", "explainability", "attribution"],
    ).to_yaml()


def _license(said: Any) -> str | None:
    """Return the Hub's name of a license; None if none is stated."""
    text = _text(said)
    if not text:
        return None
    name = re.split(r"[;,\s]", text)[0].lower()
    return name if name in _LICENSES else "other"


def _facts(record: Mapping[str, Any]) -> list[str]:
    """Return what people want to know first, a line each."""
    facts = []
    names = record.get("class_names")
    if names:
        shown = ", ".join(_text(n) for n in names[:_SHOWN_CLASSES])
        more = ", ..." if len(names) > _SHOWN_CLASSES else ""
        facts.append(f"{len(names):,} classes: {shown}{more}")
    shape = "x".join(str(n or "any") for n in record["input"]["shape"])
    facts.append(f"Images: {shape}, of 0..255")
    facts.append(f"Parameters: {record['parameters']:,}")
    said = record.get("metrics")
    metrics = said if isinstance(said, dict) else {}
    for key, name in (("top_1", "Top-1"), ("top_5", "Top-5")):
        value = metrics.get(key)
        if isinstance(value, (int, float)):
            count = metrics.get("images")
            of = f" of {count:,} images" if isinstance(count, int) else ""
            facts.append(f"{name} accuracy: {value:.1%}{of}")
    for key, name in (("dataset", "Trained on"), ("license", "License")):
        said = record.get(key)
        text = _named(said) if key == "dataset" else _text(said)
        if text:
            facts.append(f"{name}: {text}")
    return facts


def _named(dataset: Any) -> str:
    """Return the name of a data set in a record, whatever form it has."""
    return _text(dataset.get("name") if isinstance(dataset, dict) else dataset)


def _text(said: Any) -> str:
    """Return text from outside as one line; empty if it is no text."""
    return printable(" ".join(said.split())) if isinstance(said, str) else ""
