"""Share presets on the Hugging Face Hub."""

import os
import pathlib

import keras

from keras_facnn._checks.arguments import check_bool
from keras_facnn.presets.config import CLASS_NAME
from keras_facnn.presets.hub import Repository


def upload_preset(
    handle: str, directory: str | os.PathLike, private: bool = False
) -> str:
    """Upload a preset to the Hugging Face Hub, for `FACNN.from_preset`.

    The preset is loaded first, so that a damaged one is not uploaded. The
    three files of its folder go into one commit, with a model card made from
    its metadata unless the repository has a `README.md` already. The repository
    is created if it does not exist. This needs `pip install
    'keras-facnn[hub]'` and a token with write access, from `HF_TOKEN` or `hf
    auth login`.

    Args:
        handle: `hf://user/repo`, or `hf://user/repo@branch` for a branch that
            exists.
        directory: Folder that `save_to_preset` wrote. `~` is the home folder.
        private: Whether a repository that is created is private.

    Returns:
        The URL of the commit.

    Raises:
        ValueError: If `handle` has another form, if the preset is damaged, or
            if the Hub refuses the upload.
        FileNotFoundError: If a file of the preset is missing in `directory`.
        ConnectionError: If the Hub cannot be reached.
        ImportError: If the Hub's library is not installed.

    Example:

    >>> import tempfile
    >>> import keras_facnn
    >>> folder = tempfile.mkdtemp()
    >>> model = keras_facnn.FACNN(10, depths=(2,), maps_per_class=(1,))
    >>> model.save_to_preset(folder)
    >>> url = keras_facnn.upload_preset(
    ...     "hf://user/my_model", folder
    ... )  # doctest: +SKIP
    """
    if not isinstance(handle, str) or not handle.startswith("hf://"):
        raise ValueError(
            "`handle` must be `hf://user/repo` or `hf://user/repo@branch`. "
            f"Received: handle={handle!r}"
        )
    repository = Repository(handle)
    private = check_bool("private", private)
    if not isinstance(directory, (str, os.PathLike)):
        raise ValueError(
            "`directory` must be the path of a preset's folder. "
            f"Received: directory={directory!r}"
        )
    folder = pathlib.Path(os.path.abspath(os.path.expanduser(directory)))
    model = keras.saving.get_registered_object(CLASS_NAME).from_preset(folder)
    return repository.upload(folder, model.preset_metadata, private)
