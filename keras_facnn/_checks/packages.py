"""Say how to install what is missing."""


def how_to_install(*extras: str) -> str:
    """Return the command that installs some of this package's extras.

    It names both ways: from an index, and from a checkout.

    Args:
        *extras: Names from `project.optional-dependencies`.
    """
    listed = ",".join(extras)
    return (
        f"pip install 'keras-facnn[{listed}]' (in a checkout: pip install "
        f"'.[{listed}]')"
    )
