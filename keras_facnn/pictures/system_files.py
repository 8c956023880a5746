"""The files that systems write beside a user's own."""

_NAMES = {
    ".ds_store",
    "@eadir",
    "__macosx",
    "desktop.ini",
    "lost+found",
    "thumbs.db",
}


def is_of_system(name: str) -> bool:
    """Whether a file or folder has a name that macOS, Windows or a NAS gives.

    Example:

    >>> from keras_facnn.pictures.system_files import is_of_system
    >>> is_of_system("Thumbs.db")
    True
    """
    # macOS keeps what a file system can't hold of `x` in `._x`.
    return name.casefold() in _NAMES or name.startswith("._")
