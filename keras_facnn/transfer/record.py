"""What the preset of a training says about it."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from keras_facnn.pictures.copies import digest_record
from keras_facnn.pictures.image_folder import ImageFolder
from keras_facnn.presets import files
from keras_facnn.presets.record import RESERVED
from keras_facnn.presets.save import REPORT
from keras_facnn.transfer.scores import Scores

_BY = "keras_facnn.train"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the result of a training depends on, besides the photos.

    Args:
        base: The preset of the backbone.
        image_size: Side of the images in pixels, or None.
        validation_share: The share of each class that is held out.
        seed: The seed.
        regions: The name of the regions, or None.
        inside: Whether evidence must lie inside the regions.
        region_weight: The weight of copies with an exchanged place.
    """

    base: str
    image_size: int | None
    validation_share: float
    seed: int
    regions: str | None = None
    inside: bool = True
    region_weight: float = 1.0

    def to_json(self) -> dict[str, Any]:
        values = {**dataclasses.asdict(self), "base": _name_of(self.base)}
        if self.regions is not None:
            return {**values, "regions": _name_of(self.regions)}
        for name in ("regions", "inside", "region_weight"):
            del values[name]
        return values


def _name_of(path: str) -> str:
    """Return only the name of a path, which says where a user keeps files."""
    full = os.path.abspath(os.path.expanduser(path))
    return os.path.basename(full) if os.path.exists(full) else path


@dataclasses.dataclass(frozen=True)
class Record:
    """The entry `"training"` in the metadata of a preset.

    Args:
        settings: JSON object, those of `Settings`.
        thorough: Whether the backbone was trained, too.
        finished: Whether all is done that was asked for.
        penalty: The penalty of the linear fit.
        scores: JSON object, the `Scores` on the photos that are held out.
        exchanges: JSON list, the `Evaluation.exchanges` of these photos.
    """

    settings: Mapping[str, Any]
    thorough: bool
    finished: bool
    penalty: float
    scores: Mapping[str, Any]
    exchanges: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "Record | None":
        """Return the record in a preset's metadata, or None."""
        entry = metadata.get("training")
        if not isinstance(entry, dict) or entry.get("by") != _BY:
            return None
        return cls(
            entry["settings"],
            entry["thorough"],
            entry["finished"],
            entry["penalty"],
            entry["validation"],
            entry.get("exchanges", ()),
        )

    def to_json(self) -> dict[str, Any]:
        exchanges = [dict(row) for row in self.exchanges]
        return {
            "by": _BY,
            "settings": dict(self.settings),
            "thorough": self.thorough,
            "finished": self.finished,
            "penalty": self.penalty,
            "validation": dict(self.scores),
            **({"exchanges": exchanges} if exchanges else {}),
        }

    def with_scores(self, scores: Scores, thorough: bool) -> "Record":
        """Return the record of a better model, in a training that goes on."""
        return dataclasses.replace(
            self,
            scores=dataclasses.asdict(scores),
            thorough=thorough,
            finished=False,
        )


def description_of(record: Record, num_classes: int) -> str:
    """Return the description of a preset that was trained."""
    kind = "and trained with it" if record.thorough else "linear in its maps"
    return (
        f"FA-CNN for photographs of {num_classes} classes, on the backbone of "
        f"{record.settings['base']}, {kind}."
    )


def metadata_of(
    record: Record,
    train_photos: ImageFolder,
    held_out: ImageFolder,
    origin: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the metadata of a preset that was trained.

    Args:
        record: The record of the training.
        train_photos: The photos that it was trained on.
        held_out: The photos that are held out.
        origin: The metadata of the preset of the backbone.
    """
    return {
        **train_photos.metadata,
        "description": description_of(record, len(held_out.names)),
        "validated_on": {
            "images": len(held_out.paths),
            "sha256": digest_record(held_out.digests or []),
        },
        "training": record.to_json(),
        "transferred_from": {
            k: v for k, v in origin.items() if k not in RESERVED
        },
    }


def training_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells a training from any other: its settings and split."""
    sides = [
        metadata[side]["sha256"] for side in ("trained_on", "validated_on")
    ]
    return {
        "settings": metadata["training"]["settings"],
        "split": hashlib.sha256(" ".join(sides).encode("ascii")).hexdigest(),
    }


def read_metadata(target: pathlib.Path) -> dict[str, Any]:
    """Return the metadata of a local preset."""
    data = files.Folder(target).read(files.METADATA)
    return files.parse_json(data, files.METADATA, target)


def read_record(
    target: pathlib.Path,
    settings: Settings,
    class_names: list[str],
    thorough: bool,
) -> Record | None:
    """Return the record of a training to go on with, or None if there is none.

    Args:
        target: The folder of the preset, which may not exist.
        settings: The settings of this call.
        class_names: The classes of this call.
        thorough: Whether the backbone shall be trained, too.

    Raises:
        FileExistsError: If the folder holds another model, or if all that is
            asked for is done.
    """
    if not (target / files.METADATA).is_file():
        return None
    metadata = read_metadata(target)
    record = Record.of(metadata)
    if record is None:
        raise FileExistsError(
            f"`output` is a preset that was trained in another way. Choose "
            f"another, or delete it. Received: output={str(target)!r}"
        )
    was = {**record.settings, "classes": metadata.get("class_names")}
    now = {**settings.to_json(), "classes": class_names}
    changed = [n for n in {**now, **was} if was.get(n) != now.get(n)]
    if changed:
        raise FileExistsError(
            f"`output` was trained with other settings. Choose another, or "
            f"delete it. Received: output={str(target)!r}, trained with "
            + ", ".join(f"{name}={was.get(name)!r}" for name in changed)
            + " and now "
            + ", ".join(f"{name}={now.get(name)!r}" for name in changed)
        )
    done = record.finished and (record.thorough or not thorough)
    if done and (target / REPORT).is_file():
        raise FileExistsError(
            "`output` is trained already. For other photos, choose another, or "
            "delete it"
            + (
                ""
                if record.thorough
                else "; --thorough or thorough=True trains it more"
            )
            + f". Received: output={str(target)!r}"
        )
    return record
