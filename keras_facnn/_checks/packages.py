"""What to say where a package is missing."""


def how_to_install(*extras: str) -> str:
    """The command that brings some of this package's extras.

    The project may be a checkout, or installed by its name.

    Args:
        *extras: Names from `project.optional-dependencies`.
    """
    listed = ",".join(extras)
    return (
        f"pip install 'keras-facnn[{listed}]' (in a checkout: pip install "
        f"'.[{listed}]')"
    )
