"""Recognize files that operating systems add to a user's folders."""

_NAMES = {
    ".ds_store",
    "@eadir",
    "__macosx",
    "desktop.ini",
    "lost+found",
    "thumbs.db",
}


def is_of_system(name: str) -> bool:
    """Return whether macOS, Windows or a NAS created a file of this name.

    Example:

    >>> from keras_facnn._files.system_files import is_of_system
    >>> is_of_system("Thumbs.db")
    True
    """
    # macOS stores in `._x` what a file system can't store of `x`.
    return name.casefold() in _NAMES or name.startswith("._")
