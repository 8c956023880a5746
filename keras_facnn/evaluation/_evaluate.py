import typing
from typing import Any

import numpy as np

from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.arguments import check_option
from keras_facnn._checks.models import is_fa_model
from keras_facnn._checks.numbers import check_int
from keras_facnn._graph.probabilities import ends_in_probabilities
from keras_facnn._graph.probabilities import has_several_labels
from keras_facnn.evaluation.evaluation import Evaluation
from keras_facnn.evaluation.examples import explain_mistakes
from keras_facnn.evaluation.examples import explain_unsure
from keras_facnn.evaluation.exchanges import exchange_rows
from keras_facnn.evaluation.outputs import read_outputs
from keras_facnn.evaluation.photos import Photos
from keras_facnn.evaluation.photos import find_photos
from keras_facnn.evaluation.scores import Scores
from keras_facnn.evaluation.scores import join
from keras_facnn.evaluation.scores import score
from keras_facnn.evaluation.summary import FA_CNN
from keras_facnn.evaluation.unseen import leave_out_trained
from keras_facnn.types import Fit
from keras_facnn.types import OnError


def evaluate(
    model: Any,
    photos: Any,
    *,
    regions: Any = None,
    inside: bool = True,
    image_size: int | tuple[int, int] | None = None,
    fit: Fit = "crop",
    include_training_photos: bool = False,
    mistakes: int = 30,
    unsure: int = 12,
    on_error: OnError = "raise",
    batch_size: int = 32,
    verbose: int = 0,
) -> Evaluation:
    """Measure how good a classifier is on photos, and show where it fails.

    The photos are read and classified batch by batch, so their number is not
    limited by memory. Only a few numbers are kept of each. The few that are
    shown as mistakes, or as photos of which the model is unsure, are read once
    more and explained.

    Photos that the model was trained on would make it look better than it is.
    If the model's preset has a record of them, as `keras-facnn train` and
    `ImageFolder.metadata` write it, they are left out, also if they were moved
    or renamed. If no other photo is left, an error is raised.

    Args:
        model: A `FACNN`, or another Keras image classifier that takes images in
            0..255. Only a `FACNN` explains its mistakes by maps.
        photos: Path of a folder with a folder for each class, an `ImageFolder`,
            which need not be read, or a pair `(images, labels)`. If the model
            has names of its classes, the folders must have these names, but not
            every class needs a folder.
        regions: Where evidence must lie, or must not, as in `train`: the path
            of a folder of masks, or a dict from the paths of photos to masks;
            for arrays, masks `(N, h, w)`, NaN for images without one. Then
            `Evaluation.exchanges` says how good the model is if photos exchange
            what must not count. Masks of some photos are enough.
        inside: Whether evidence must lie inside the regions. False means
            outside of them, such as those of a cue.
        image_size: As in `load_images`.
        fit: As in `load_images`.
        include_training_photos: Whether to score photos that the model was
            trained on, too.
        mistakes: Non-negative integer, how many mistakes to explain: the
            surest, and the surest of each class.
        unsure: Non-negative integer, how many photos to explain of which the
            model is unsure.
        on_error: `"raise"` an error at the first photo that can't be read, or
            `"skip"` such photos, which a warning names.
        batch_size: Positive integer, images per forward pass.
        verbose: 1 shows a progress bar, 0 does not.

    Returns:
        An `Evaluation`.

    Raises:
        ValueError: If a class folder has no name of a class, if the model was
            trained on all photos, if a photo can't be read, or if no photo to
            judge by has a mask in `regions`.
        FileNotFoundError: If there is no such folder.

    Example:

    >>> import numpy as np
    >>> import keras_facnn
    >>> model = keras_facnn.FACNN(3, depths=(2,), maps_per_class=(1,))
    >>> images = np.random.default_rng(0).uniform(0, 255, (6, 32, 32, 3))
    >>> evaluation = keras_facnn.evaluate(model, (images, [0, 1, 2, 0, 1, 2]))
    >>> len(evaluation.classes), evaluation.images
    (3, 6)
    """
    shown = [check_int("mistakes", mistakes, 0), check_int("unsure", unsure, 0)]
    include = check_bool("include_training_photos", include_training_photos)
    check_option("on_error", on_error, typing.get_args(OnError))
    inside = check_bool("inside", inside)
    found, folder = find_photos(model, photos, image_size, fit)
    if regions is not None:
        found = found.with_masks(regions)
    found, notes = leave_out_trained(model, found, folder, include)
    if regions is not None and not found.has_masks:
        raise ValueError(
            "`regions` must hold the mask of a photo to judge by. Received: "
            "only masks of photos that the model was trained on"
        )
    several = has_several_labels(model)
    scores, kept = _score_all(
        model, found, several, on_error, batch_size, verbose
    )
    unreadable = len(found) - len(kept)
    if unreadable:
        notes.append(
            f"{unreadable:,} of {len(found):,} photos can't be read, and are "
            "not counted."
        )
    found = found.select(kept)
    exchanges = []
    if found.has_masks:
        exchanges = exchange_rows(
            model, found, scores.predicted, inside, batch_size, verbose
        )
        if not exchanges:
            notes.append(
                "Nothing was exchanged between the photos, because no mask "
                "leaves a part of a photo and bans another, or because all "
                "photos are of one class."
            )
    return Evaluation(
        scores=scores,
        class_names=found.class_names,
        paths=found.paths,
        mistakes=explain_mistakes(model, found, scores, shown[0]),
        unsure=explain_unsure(model, found, scores, shown[1]),
        several_labels=several,
        exchanges=exchanges,
        facts={
            "model": model.name,
            "kind_of_model": FA_CNN if is_fa_model(model) else "classifier",
            "folder": photos if isinstance(photos, str) else None,
            "image_shape": list(found.image_shape),
            "fit": found.fit if found.paths is not None else None,
            "unreadable": unreadable,
        },
        notes=notes,
    )


def _score_all(
    model: Any,
    photos: Photos,
    several_labels: bool,
    on_error: OnError,
    batch_size: int,
    verbose: int,
) -> tuple[Scores, np.ndarray]:
    """Return the scores of all photos, and which could be read."""
    batches: list[Scores] = []
    kept: list[int] = []
    from_logits: bool | None = None
    for outputs, index in read_outputs(
        model, photos, on_error, batch_size, verbose
    ):
        if from_logits is None:
            from_logits = not ends_in_probabilities(model, outputs)
        labels = photos.labels[index]
        batches.append(score(outputs, labels, several_labels, from_logits))
        kept += index
    return join(batches), np.array(kept)
