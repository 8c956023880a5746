import os
from collections.abc import Mapping

from keras_facnn._checks.arguments import check_bool
from keras_facnn._checks.arguments import check_verbose
from keras_facnn._checks.numbers import check_float
from keras_facnn._checks.numbers import check_int
from keras_facnn._checks.numbers import check_seed
from keras_facnn.model import FACNN
from keras_facnn.pictures.photo_masks import check_photo_masks
from keras_facnn.pictures.photo_masks import match_photos
from keras_facnn.pictures.photo_masks import name_of_masks
from keras_facnn.presets.save import folder_to_write
from keras_facnn.transfer.photos import check_apart
from keras_facnn.transfer.photos import list_photos
from keras_facnn.transfer.record import Settings
from keras_facnn.transfer.record import read_record
from keras_facnn.transfer.run import Run
from keras_facnn.transfer.work_folder import holding
from keras_facnn.transfer.work_folder import work_folder_of
from keras_facnn.types import SupportsArray


def train(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    thorough: bool = False,
    regions: str | os.PathLike[str] | Mapping[str, SupportsArray] | None = None,
    inside: bool = True,
    region_weight: float = 1.0,
    base: str | os.PathLike[str] = "imagenet",
    image_size: int | None = None,
    validation_share: float = 0.2,
    seed: int = 0,
    verbose: int = 1,
) -> FACNN:
    """Train a classifier of your own photographs, from a trained backbone.

    The backbone of the preset `base` computes the features of each photo once.
    They are kept on disk, so that memory does not limit the number of photos.
    Then the class maps are fitted as a linear function of the features
    (multinomial logistic regression), which takes seconds. Rare classes count
    more. With `thorough=True`, the backbone is then trained, too, on random
    parts of the photos, which takes minutes to hours and is more accurate.

    With `regions`, evidence for the class of a photo must lie inside of its
    region, or outside. The fit then also sees copies of photos that exchanged
    what must not count with photos of other classes, as `exchange_regions`
    makes them. This unlearns a cue that does not belong to a class, such as a
    price tag, where the masks show it. The backbone stays as it is.

    A part of each class is held out. It chooses the strength of the fit's
    penalty, and the best round of a thorough training. The preset has a record
    of the photos on both sides, by which `keras_facnn.evaluate` leaves out
    those that were trained on.

    If the process is stopped or killed, the same call continues: it computes no
    feature twice, and a thorough training loses at most a round. Its best model
    so far is in `output`.

    Few photos, up to 1,200, are shown in several versions. If such a folder
    got or lost photos before the features were done, the number of versions
    may differ, and then all features are computed anew. If it got photos after
    `output` was written, they are left out, which a warning says.

    Args:
        folder: Path of the photos, `folder/CLASS/*`, as `load_folder` reads
            them. Files that can't be read are left out, which a warning says.
        output: Path of the preset to write, a new folder. It also gets
            `report.html`, the evaluation on the photos that are held out, if
            Matplotlib is installed. Until the end, `output` + `.training` holds
            the features.
        thorough: Whether to train the backbone, too. If `output` was trained
            without, the training goes on from there.
        regions: Path of a folder of masks, as `load_regions` reads them. Or a
            dict from the paths of photos to PNG files, or to masks `(H, W)` of
            0 to 1 or of NaN, such as `dict(zip(photos.paths,
            audit.regions("dress 1", photos.labels, widen=True)))`; such a mask
            covers the photo as the model sees it, cropped. Masks of
            some photos are enough, but each photo that has a cue needs one.
            None means no regions.
        inside: Whether evidence must lie inside the regions. False means
            outside of them.
        region_weight: Non-negative float, the weight of the copies, as in
            `exchange_regions`. With 0, regions have no effect.
        base: The preset whose backbone to use, as in `from_preset`.
        image_size: Side of the images in pixels. None means that of `base`.
        validation_share: The share of each class to hold out, above 0 and below
            1; at least one photo.
        seed: Non-negative integer, of the split and of all that is random.
        verbose: 1 shows what is going on and how long it takes, 0 does not.

    Returns:
        The trained `FACNN`, as `from_preset(output)` loads it.

    Raises:
        ValueError: If there is only one class, or fewer than two photos of a
            class that can be read, if `base` has no backbone, or if `regions`
            come with `thorough`.
        FileExistsError: If `output` is trained already, or holds another model,
            or if `output` + `.training` holds other files.
        BlockingIOError: If another call is training `output`.
        FileNotFoundError: If there is no such folder.

    Example:

    `model = keras_facnn.train("photos", "mine")` uses the preset `imagenet`.
    Here, a small backbone with random weights stands for it:

    >>> import os
    >>> import tempfile
    >>> import keras
    >>> import keras_facnn
    >>> from PIL import Image
    >>> folder = tempfile.mkdtemp()
    >>> for color in ("red", "green"):
    ...     os.makedirs(f"{folder}/photos/{color}")
    ...     for i in range(4):
    ...         photo = Image.new("RGB", (40 + i, 30), color)
    ...         photo.save(f"{folder}/photos/{color}/{i}.png")
    >>> inputs = keras.Input((32, 32, 3))
    >>> x = keras.layers.Rescaling(1 / 255)(inputs)
    >>> x = keras.layers.Conv2D(8, 3, strides=8, padding="same")(x)
    >>> base = keras_facnn.FACNN(
    ...     2, depths=(0,), maps_per_class=(1,), backbone=keras.Model(inputs, x)
    ... )
    >>> base.save_to_preset(f"{folder}/base")
    >>> model = keras_facnn.train(
    ...     f"{folder}/photos", f"{folder}/mine", base=f"{folder}/base",
    ...     verbose=0
    ... )
    >>> model.class_names
    ['green', 'red']
    >>> sorted(os.listdir(f"{folder}/mine"))[-1]
    'report.html'
    """
    known = None if regions is None else check_photo_masks(regions)
    settings = Settings(
        base=os.fspath(base),
        image_size=None
        if image_size is None
        else check_int("image_size", image_size),
        validation_share=check_float(
            "validation_share", validation_share, above=0, below=1
        ),
        seed=check_seed(seed),
        regions=name_of_masks(known),
        inside=check_bool("inside", inside),
        region_weight=check_float("region_weight", region_weight, least=0),
    )
    thorough = check_bool("thorough", thorough)
    if thorough and regions is not None:
        raise ValueError(
            "`regions` must be None with `thorough`, which takes no masks, "
            "because it trains on random parts of the photos. "
            f"Received: thorough=True, regions={settings.regions!r}"
        )
    verbose = check_verbose(verbose)
    target = folder_to_write(output)
    work = work_folder_of(target)
    check_apart(target, work, folder)
    photos = list_photos(folder)
    masks = {} if known is None else match_photos(known, photos.paths)
    with holding(work):
        before = read_record(target, settings, photos.names, thorough)
        run = Run(target, work, settings, verbose, masks)
        if before is None:
            train_photos, held_out = run.fit(photos)
            todo = thorough
        else:
            train_photos, held_out = run.split_again(photos)
            # Only the report may be missing.
            todo = not before.finished if before.thorough else thorough
        if todo:
            run.train_thoroughly(train_photos, held_out)
        return run.finish(held_out)
