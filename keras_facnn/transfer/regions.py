"""Read where evidence for photographs may lie, for a linear fit."""

import pathlib

import keras
import numpy as np
from keras import ops

from keras_facnn.pictures.image_folder import ImageFolder
from keras_facnn.pictures.mask_folder import match_masks
from keras_facnn.pictures.mask_folder import read_mask
from keras_facnn.training.region_penalty import RegionPenalty
from keras_facnn.transfer.features import compute_cells
from keras_facnn.transfer.misplaced_evidence import MisplacedEvidence
from keras_facnn.transfer.record import Settings


def masks_of(
    settings: Settings, train: ImageFolder, held_out: ImageFolder
) -> dict[int, str]:
    """Return the masks of the photos to train on, by the photo's number.

    Raises:
        ValueError: If none of these photos has a mask.
    """
    if settings.regions is None:
        return {}
    # Those of photos that are held out belong to a photo, too.
    found = match_masks(settings.regions, [*train.paths, *held_out.paths])
    masks = {
        i: path
        for i, path in enumerate(found[: len(train.paths)])
        if path is not None
    }
    if not masks:
        raise ValueError(
            "`regions` must hold the mask of a photo that is trained on. "
            f"Received: regions={settings.regions!r}, with masks only of "
            "photos that are held out"
        )
    return masks


def read_misplaced(
    backbone: keras.Model,
    photos: ImageFolder,
    masks: dict[int, str],
    settings: Settings,
    weights: np.ndarray,
    work: pathlib.Path,
    verbose: int,
) -> MisplacedEvidence:
    """Return the evidence of photos in wrong places, as a function to minimize.

    Args:
        backbone: The model of the features.
        photos: The photos to train on.
        masks: The result of `masks_of`.
        settings: The settings of the training, with regions.
        weights: Float array `(C,)`, the weight of each class.
        work: The folder of the features.
        verbose: 1 shows a progress bar, 0 does not.
    """
    paths = [photos.paths[i] for i in masks]
    file, keys, unreadable = compute_cells(backbone, paths, work, verbose)
    if unreadable:
        raise OSError(
            "Photos could not be read any more: "
            f"{paths[next(iter(unreadable))]!r}"
        )
    loss = RegionPenalty(
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        settings.region_weight,
        settings.inside,
    )
    size, cells = backbone.input_shape[1:3], file.rows()
    wrong = []
    for path, mask in zip(paths, masks.values(), strict=True):
        one, _ = loss.wrong_cells(
            read_mask(mask, path, size)[None], cells.shape[1:3]
        )
        wrong.append(ops.convert_to_numpy(one))
    labels = photos.labels[list(masks)]
    return MisplacedEvidence(
        cells,
        np.array([file.row_of[key] for key in keys]),
        labels,
        np.concatenate(wrong),
        loss.weight * weights[labels],
    )
