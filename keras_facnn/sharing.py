"""Presets, shared with others."""

import os
import pathlib

from keras_facnn._checks.arguments import check_bool
from keras_facnn.model import FACNN
from keras_facnn.presets import Repository


def upload_preset(
    handle: str, directory: str | os.PathLike, private: bool = False
) -> str:
    """Uploads a preset to the Hugging Face Hub, for `FACNN.from_preset`.

    The preset is loaded first, so that a damaged one stays here. Of its folder,
    its three files go into one commit; the repository is made if there is none.
    Needs `pip install 'keras-facnn[hub]'` and a token that may write, in
    `HF_TOKEN` or by `hf auth login`.

    Args:
        handle: `hf://user/repo`, or `hf://user/repo@branch` of a branch that
            exists.
        directory: Folder that `save_to_preset` wrote. `~` is home.
        private: Whether a repository that is made is for its owner alone.

    Returns:
        The URL of the commit.

    Raises:
        ValueError: If `handle` is no such handle, if the preset is damaged, or
            if the Hub refuses.
        FileNotFoundError: If `directory` lacks a file of a preset.
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
    FACNN.from_preset(folder)
    return repository.upload(folder, private)
