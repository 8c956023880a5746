"""The steps of a training, each of which a later call can continue."""

import dataclasses
import importlib.util
import pathlib
import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_facnn._checks.messages import callers_stacklevel
from keras_facnn._checks.packages import how_to_install
from keras_facnn._checks.text import printable
from keras_facnn._progress import say_stage
from keras_facnn.evaluation import evaluate
from keras_facnn.model import FACNN
from keras_facnn.pictures.image_folder import ImageFolder
from keras_facnn.pictures.image_folder import with_digests
from keras_facnn.pictures.photo_masks import shown_mask
from keras_facnn.presets.record import RESERVED
from keras_facnn.presets.save import REPORT
from keras_facnn.training.cropping import clear_square
from keras_facnn.training.exchange import can_exchange
from keras_facnn.training.exchange import choose_exchanges
from keras_facnn.transfer.checkpoint import Checkpoint
from keras_facnn.transfer.exchanged_photos import add_exchanged
from keras_facnn.transfer.feature_file import FeatureFile
from keras_facnn.transfer.features import compute_features
from keras_facnn.transfer.features import versions_per_photo
from keras_facnn.transfer.linear_model import Exchanged
from keras_facnn.transfer.linear_model import fit_linear
from keras_facnn.transfer.linear_model import linear_facnn
from keras_facnn.transfer.photos import check_unseen
from keras_facnn.transfer.photos import class_weights
from keras_facnn.transfer.photos import recorded_split
from keras_facnn.transfer.photos import split_photos
from keras_facnn.transfer.record import Record
from keras_facnn.transfer.record import Settings
from keras_facnn.transfer.record import description_of
from keras_facnn.transfer.record import metadata_of
from keras_facnn.transfer.record import read_metadata
from keras_facnn.transfer.record import training_of
from keras_facnn.transfer.scores import Scores
from keras_facnn.transfer.thorough import train_backbone
from keras_facnn.transfer.work_folder import CHECKPOINT


class Run:
    """One call of `train`.

    Args:
        target: The folder of the preset.
        work: The folder of the features and checkpoints.
        settings: What the result depends on, besides the photos.
        verbose: Whether to show what is going on.
        masks: Masks of regions, or their files, by the paths of the photos.
    """

    def __init__(
        self,
        target: pathlib.Path,
        work: pathlib.Path,
        settings: Settings,
        verbose: int,
        masks: Mapping[str, str | np.ndarray],
    ) -> None:
        self.masks = masks
        self.target, self.work = target, work
        self.settings, self.verbose = settings, verbose

    def fit(self, photos: ImageFolder) -> tuple[ImageFolder, ImageFolder]:
        """Write the preset of a linear classifier, and return the split."""
        settings, count = self.settings, len(photos.paths)
        # It is of a preset that is gone, and of another split, maybe.
        (self.work / CHECKPOINT).unlink(missing_ok=True)
        base = _load_base(settings)
        backbone: Any = base.backbone
        versions = versions_per_photo(count)
        self._say(
            f"Computing the features of {count:,} photos of "
            f"{len(photos.names)} classes"
        )
        file, keys, unreadable = compute_features(
            backbone,
            photos.paths,
            self.work,
            versions,
            settings.seed,
            self.verbose,
        )
        sides = split_photos(
            photos,
            [file.digest_of.get(key, b"") for key in keys],
            unreadable,
            settings.validation_share,
            settings.seed,
        )
        check_unseen(sides[1], base)
        weights = class_weights(sides[0].labels, len(photos.names))
        row_of = {
            path: file.row_of[key]
            for path, key in zip(photos.paths, keys, strict=True)
            if key in file
        }
        rows = [np.array([row_of[path] for path in s.paths]) for s in sides]
        masks = {
            i: self.masks[path]
            for i, path in enumerate(sides[0].paths)
            if path in self.masks
        }
        if self.masks and not masks:
            raise ValueError(
                "`regions` must hold the mask of a photo that is trained on. "
                f"Received: {settings.regions!r}, of photos that are held out"
            )
        exchanged = None
        if masks and self.settings.region_weight:
            exchanged = self._exchange(file, backbone, sides[0], masks)
        self._say("Fitting the class maps")
        linear, penalty, scores = fit_linear(
            file.rows(),
            rows[0],
            sides[0].labels,
            weights,
            rows[1],
            sides[1].labels,
            exchanged,
            self.verbose,
        )
        record = Record(
            settings.to_json(),
            False,
            False,
            penalty,
            dataclasses.asdict(scores),
        )
        linear_facnn(backbone, linear).save_to_preset(
            self.target, metadata_of(record, *sides, base.preset_metadata or {})
        )
        self._say(
            f"{scores.accuracy:.1%} of the {scores.images:,} photos held out "
            "are right"
        )
        return sides

    def _exchange(
        self,
        file: FeatureFile,
        backbone: keras.Model,
        photos: ImageFolder,
        masks: dict[int, str | np.ndarray],
    ) -> Exchanged | None:
        """Exchange what must not count between photos, if there is any."""
        settings, size = self.settings, backbone.input_shape[1:3]
        usable, clear = [], []
        for i, mask in masks.items():
            shown = shown_mask(mask, photos.paths[i], size)
            wrong = 1 - shown if settings.inside else shown
            if can_exchange(wrong):
                usable.append(i)
                if clear_square(wrong) is not None:
                    clear.append(i)
        if len(usable) < len(masks):
            warnings.warn(
                f"{len(masks) - len(usable)} of {len(masks)} masks say that "
                "all of the photo as the model sees it may count, or hardly "
                "anything, and have no effect",
                stacklevel=callers_stacklevel(),
            )
        if not usable:
            return None
        exchanges, kept = choose_exchanges(
            photos.labels,
            np.array(usable),
            np.array(clear, int),
            settings.inside,
            settings.region_weight,
            settings.seed,
        )
        self._say(
            f"Computing the features of {len(exchanges.images):,} copies with "
            "an exchanged place"
        )
        rows = add_exchanged(
            file,
            backbone,
            photos.paths,
            exchanges,
            masks,
            settings.inside,
            self.verbose,
        )
        shares = np.concatenate([kept, exchanges.weights])
        return Exchanged(rows, photos.labels[exchanges.images], shares)

    def split_again(
        self, photos: ImageFolder
    ) -> tuple[ImageFolder, ImageFolder]:
        """Return the photos on both sides of the split of an earlier call."""
        self._say("Reading which photos are held out")
        metadata = read_metadata(self.target)
        return recorded_split(with_digests(photos), metadata)

    def train_thoroughly(
        self, train_photos: ImageFolder, held_out: ImageFolder
    ) -> None:
        """Train the backbone, too, and write the preset of the best round."""
        model, record, metadata = self._load()
        # Photos that are gone by now stay in the record.
        kept = {k: v for k, v in metadata.items() if k not in RESERVED}

        def save(scores: Scores) -> None:
            better = record.with_scores(scores, thorough=True)
            changed = {
                "description": description_of(better, model.num_classes),
                "training": better.to_json(),
            }
            model.save_to_preset(self.target, {**kept, **changed})

        self._say(
            "Training the backbone, too. Ctrl-C stops and keeps the best so "
            "far; the same command continues"
        )
        train_backbone(
            model,
            train_photos,
            held_out,
            Checkpoint(self.work / CHECKPOINT, training_of(metadata)),
            self.settings.seed,
            save,
            self._say,
            self.verbose,
        )
        # Also if no round was better than the start.
        model, record, metadata = self._load()
        record = dataclasses.replace(record, thorough=True, finished=False)
        model.save_to_preset(self.target, {"training": record.to_json()})

    def finish(self, held_out: ImageFolder) -> FACNN:
        """Write the report, and mark the preset as finished."""
        model, record, _ = self._load()
        record = dataclasses.replace(record, finished=True)
        model.save_to_preset(self.target, {"training": record.to_json()})
        model = FACNN.from_preset(self.target)
        masks = {p: self.masks[p] for p in held_out.paths if p in self.masks}
        has_plots = importlib.util.find_spec("matplotlib") is not None
        if not has_plots:
            warnings.warn(
                f"There is no {REPORT}, because it needs Matplotlib: "
                + how_to_install("plots"),
                stacklevel=callers_stacklevel(),
            )
        if not has_plots and not masks:
            return model
        self._say("Judging by the photos held out")
        # Examples are for the report.
        examples: dict[str, Any] = (
            {} if has_plots else {"mistakes": 0, "unsure": 0}
        )
        evaluation = evaluate(
            model,
            held_out,
            regions=masks or None,
            inside=self.settings.inside,
            on_error="skip",
            verbose=self.verbose,
            **examples,
        )
        if evaluation.exchanges:
            record = dataclasses.replace(record, exchanges=evaluation.exchanges)
            model.save_to_preset(self.target, {"training": record.to_json()})
            model = FACNN.from_preset(self.target)
        if has_plots:
            evaluation.facts["model"] = self.target.name
            evaluation.save(self.target / REPORT)
        return model

    def _load(self) -> tuple[FACNN, Record, dict[str, Any]]:
        model = FACNN.from_preset(self.target)
        metadata = model.preset_metadata or {}
        record = Record.of(metadata)
        assert record is not None
        return model, record, metadata

    def _say(self, line: str) -> None:
        say_stage(printable(line), shown=bool(self.verbose))


def _load_base(settings: Settings) -> FACNN:
    """Return the model whose backbone makes the features."""
    size = settings.image_size
    shape: dict[str, Any] = (
        {} if size is None else {"image_shape": (size, size, 3)}
    )
    base = FACNN.from_preset(settings.base, **shape)
    backbone: keras.Model | None = base.backbone
    if backbone is None:
        raise ValueError(
            "`base` must be a preset with a backbone, such as 'imagenet'. "
            f"Received: base={settings.base!r}, which takes pixels"
        )
    if None in base.image_shape:
        raise ValueError(
            "`image_size` must be given, because `base` takes images of any "
            f"size. Received: base={settings.base!r}"
        )
    return base
