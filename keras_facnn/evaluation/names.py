"""Names of classes."""

from collections.abc import Sequence


def names_of_classes(names: Sequence[str] | None, count: int) -> list[str]:
    """Return the names of the classes; numbers where they are unknown."""
    if names is None:
        return [f"class {c}" for c in range(count)]
    if len(names) != count:
        raise ValueError(
            f"`class_names` must be {count} names, one per class. "
            f"Received: {len(names)}"
        )
    return list(names)
