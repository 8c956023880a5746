"""The methods that load an FA-CNN from a preset, and save it as one."""

import functools
import os
from typing import Any
from typing import Self

from keras_facnn._checks.arguments import check_argument_names
from keras_facnn._checks.arguments import check_bool
from keras_facnn._files import folders
from keras_facnn.presets import files
from keras_facnn.presets import record as records
from keras_facnn.presets.config import arguments
from keras_facnn.presets.keras_file import is_keras_file
from keras_facnn.presets.keras_file import read_keras_file
from keras_facnn.presets.load import BundledPresets
from keras_facnn.presets.load import find_source
from keras_facnn.presets.load import read_preset
from keras_facnn.presets.provenance import Provenance
from keras_facnn.presets.save import copy_to_save
from keras_facnn.presets.save import folder_to_write
from keras_facnn.presets.save import write_files
from keras_facnn.types import WeightsDtype


class Presets:
    """The methods that load a `FACNN` from a preset, and save it as one.

    `provenance` describes where the weights came from. The constructor sets
    it.
    """

    num_classes: int
    provenance: Provenance

    presets = BundledPresets()

    @property
    def preset_metadata(self) -> dict[str, Any] | None:
        """Metadata of the preset that the weights came from, or None.

        It is a dict. Its `"class_names"`, if the preset has them, name the
        logits. Copies of the model, by `save`, `pickle` or `copy.deepcopy`,
        keep all of it except its `"metrics"`. It can be set to a dict that JSON
        can hold. Class names must be unique strings, one per class.
        """
        return self.provenance.metadata

    @preset_metadata.setter
    def preset_metadata(self, metadata: dict[str, Any] | None) -> None:
        self.provenance.metadata = records.check_metadata(
            metadata, self.num_classes
        )

    @property
    def class_names(self) -> list[str] | None:
        """The names of the classes, a list of C strings, or None."""
        return (self.preset_metadata or {}).get("class_names")

    @classmethod
    def from_preset(
        cls,
        handle: str | os.PathLike,
        load_weights: bool = True,
        **overrides: Any,
    ) -> Self:
        """Build a model from a preset, with its trained weights.

        The weights are checked against the SHA-256 in the preset's metadata,
        and all of them must fit: trained weights are never replaced by random
        ones. Config and metadata are checked, too. No code from a preset is
        run. Files from a web server are cached in the folder `keras_facnn`
        under `KERAS_HOME` (`~/.keras` by default), and files from the Hugging
        Face Hub in the cache of its library.

        Args:
            handle: The preset to load: the name of a bundled preset (see
                `FACNN.presets`), a local folder (`~` is the home folder),
                `hf://user/repo` or `hf://user/repo@revision` on the Hugging
                Face Hub (this needs `pip install 'keras-facnn[hub]'`, and
                respects `HF_TOKEN`, `HF_HOME` and `HF_HUB_OFFLINE`),
                `https://...`, the URL of a folder, or a `.keras` file of an
                FA-CNN or of a classifier, which `from_classifier` converts. It
                may hold only Keras' own layers.
            load_weights: Whether to load the weights. Without them, any
                argument can be overridden.
            **overrides: Arguments of `FACNN` to change. With weights, only
                those that do not change what the weights mean: `image_shape`
                (an FA-CNN reads any size), `deep_alignment`,
                `stochastic_depth`, `synchronized_batch_norm`, `dtype`, `name`,
                and `num_classes` for transfer learning. With `num_classes`, the
                width of each stage stays as close to the preset's as the number
                of classes allows, and every weight that fits is kept. A warning
                says how many values were cut or added. The preset's record,
                including its class names, moves to
                `preset_metadata["transferred_from"]`, even if the number of
                classes is the same. To keep the preset's classes, leave
                `num_classes` out.

        Returns:
            A `FACNN`, not compiled. Its `preset_metadata` says what it was
            trained on and names its classes.

        Raises:
            TypeError: If `overrides` has a name that is not an argument.
            ValueError: If the preset is unknown, damaged or not an FA-CNN.
            FileNotFoundError: If a file is missing in a local folder.
            ConnectionError: If a remote preset cannot be reached.
            ImportError: If the library for `hf://` is not installed.

        Example:

        >>> import tempfile
        >>> import keras_facnn
        >>> folder = tempfile.mkdtemp()
        >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
        >>> model.save_to_preset(folder)
        >>> keras_facnn.FACNN.from_preset(folder, num_classes=5).output.shape
        (None, 5)
        """
        load_weights = check_bool("load_weights", load_weights)
        check_argument_names(
            f"{cls.__name__}.from_preset", overrides, arguments(cls)
        )
        if is_keras_file(handle):
            return read_keras_file(cls, handle, load_weights, overrides)
        source = find_source(handle)
        read = functools.partial(
            read_preset, cls, source, handle, load_weights, overrides
        )
        # Another process may replace a local folder while it is read.
        if isinstance(source, files.Folder):
            return folders.reading(source.path, read)
        return read()

    def save_to_preset(
        self,
        directory: str | os.PathLike,
        metadata: dict | None = None,
        weights_dtype: WeightsDtype = "float32",
    ) -> None:
        """Write the model as a preset, a folder that `from_preset` reads.

        The folder appears only when it is complete. If the process is killed,
        the old preset is still there. It holds `config.json`,
        `model.weights.h5` (which `load_weights` reads, too) and
        `metadata.json`, to which the versions, the number of parameters, the
        input and the SHA-256 of all three files are added. `metadata.json` also
        keeps the metadata of the preset that the model came from. Its `metrics`
        are kept only if the weights are still the same. After more training,
        its `description`, `dataset` and `training` move to `transferred_from`.

        Args:
            directory: Path of a new or empty folder, or of a preset to
                replace. `~` is the home folder. If the path is a link, its
                target is replaced.
            metadata: Optional dict that JSON can hold, including scalars and
                arrays of NumPy: what users of the preset should know, such as
                `description`, `class_names` (unique strings, one per class),
                `dataset`, `license`, `metrics`. It overrides metadata that is
                kept.
            weights_dtype: `"float32"`, which keeps every bit, or `"float16"`,
                which halves the file.

        Raises:
            ValueError: If `directory` holds other files or is the name of a
                bundled preset, if JSON cannot hold `metadata`, or if weights
                are not finite in `weights_dtype`.

        Example:

        >>> import tempfile
        >>> import keras_facnn
        >>> folder = tempfile.mkdtemp()
        >>> model = keras_facnn.FACNN(2, depths=(2,), maps_per_class=(1,))
        >>> model.save_to_preset(folder, {"class_names": ["ant", "bee"]})
        >>> model = keras_facnn.FACNN.from_preset(folder)
        >>> model.preset_metadata["class_names"]
        ['ant', 'bee']
        """
        if weights_dtype not in ("float32", "float16"):
            raise ValueError(
                '`weights_dtype` must be "float32" or "float16". '
                f"Received: weights_dtype={weights_dtype!r}"
            )
        target = folder_to_write(directory)
        given = records.described(metadata, self.preset_metadata)
        copy = copy_to_save(self, weights_dtype)
        metadata = {**self.provenance.metadata_to_save(self, copy), **given}
        if metadata.get("class_names") is not None:
            records.check_class_names(
                metadata["class_names"], self.num_classes, "`metadata`"
            )
        with folders.replacing(target) as folder:
            write_files(folder, self, copy, metadata, weights_dtype)
