"""Where a model's weights came from, and which metadata describes them."""

import contextlib
import copy
import dataclasses
from collections.abc import Iterator
from collections.abc import MutableMapping
from typing import Any

import keras

from keras_facnn.presets import weights
from keras_facnn.presets.record import RESERVED

# Metadata that no longer holds after more training of the weights.
_OF_ITS_WEIGHTS = {
    "description",
    "dataset",
    "temperature",
    "trained_on",
    "training",
    "validated_on",
}

# What comes before the description of a model that leaves evidence out.
_PART = "Leaves some evidence out (`left_out` in config.json). "


@dataclasses.dataclass(eq=False)
class Provenance:
    """Where the weights of a model came from.

    Attributes:
        metadata: The metadata of the preset that the weights came from, or
            what a user set. None if there are none.
        loaded_digest: The digest of the model's weights at the time when they
            were loaded. None if they were not loaded, or if folding changed
            them.
        preset_digest: The same digest if the weights are exactly the preset's,
            to which its `"metrics"` belong. Otherwise None.
    """

    metadata: dict[str, Any] | None = None
    loaded_digest: str | None = None
    preset_digest: str | None = None

    @classmethod
    def at_load(
        cls, model: keras.Model, metadata: dict[str, Any], are_preset_s: bool
    ) -> "Provenance":
        """Return the provenance of a model whose weights were just loaded.

        Args:
            model: The model.
            metadata: The metadata of its weights.
            are_preset_s: Whether they are exactly the weights of a preset.
        """
        digest = weights.digest(model)
        # The digest is that of float32 weights, so weights of other dtypes were
        # cast.
        exact = all(v.dtype == "float32" for v in model.weights)
        return cls(metadata, digest, digest if are_preset_s and exact else None)

    @classmethod
    def pop_from(cls, config: MutableMapping[str, Any]) -> "Provenance":
        """Remove what `config()` returned from a model's config."""
        return cls(
            config.pop("preset_metadata", None),
            config.pop("weights_at_load", None),
        )

    def config(self) -> dict[str, Any]:
        """Return the entries of a model's config that its copies need."""
        if self.metadata is None:
            return {}
        return {
            # Metrics stay with the weights that they were measured with.
            "preset_metadata": {
                k: v for k, v in self.metadata.items() if k != "metrics"
            },
            # With this, a copy can check whether the rest describes its
            # weights.
            "weights_at_load": self.loaded_digest,
        }

    def valid_metadata(self, model: keras.Model) -> dict[str, Any]:
        """Return the part of the metadata that describes a model's weights.

        If the weights were trained after they were loaded, the rest describes
        the weights that they came from. It is in `"transferred_from"`.

        Args:
            model: The model whose provenance this is.
        """
        valid = {
            k: v for k, v in (self.metadata or {}).items() if k not in RESERVED
        }
        stale = _OF_ITS_WEIGHTS & set(valid)
        if stale and self.loaded_digest not in (None, weights.digest(model)):
            before = dict(valid)
            valid = {k: v for k, v in valid.items() if k not in stale}
            valid["transferred_from"] = before
        return valid

    def metadata_to_save(
        self, model: keras.Model, saved: keras.Model
    ) -> dict[str, Any]:
        """Return the metadata to save, with metrics if the weights have any.

        Args:
            model: The model whose provenance this is.
            saved: A copy of the model with the weights in the saved dtype.
        """
        valid = self.valid_metadata(model)
        if weights.digest(saved) != self.preset_digest:
            valid.pop("metrics", None)
        return valid

    @contextlib.contextmanager
    def keeping_metadata(self, model: keras.Model) -> Iterator[None]:
        """Change weights in a way that leaves their description true.

        Args:
            model: The model whose provenance this is.
        """
        described = self.loaded_digest == weights.digest(model)
        yield
        if described:
            self.loaded_digest = weights.digest(model)

    def of_part(self, model: keras.Model) -> "Provenance":
        """Return the provenance of a copy that leaves evidence out.

        It has the same weights, but `"metrics"` do not describe its answers.

        Args:
            model: The model whose provenance this is.
        """
        metadata = copy.deepcopy(self.valid_metadata(model))
        metadata.pop("metrics", None)
        if isinstance(metadata.get("description"), str):
            description = metadata["description"].removeprefix(_PART)
            metadata["description"] = _PART + description
        return Provenance(metadata or None, weights.digest(model))

    def of_fused(self, model: keras.Model) -> "Provenance":
        """Return the provenance of a copy of a model whose norms are folded.

        The copy takes the metadata that describes the model now. Its weights
        are not compared with those of the preset later, because folding changed
        them.

        Args:
            model: The model whose provenance this is.
        """
        return Provenance(copy.deepcopy(self.valid_metadata(model)) or None)
