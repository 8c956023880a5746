"""Photos that can't be read."""

import warnings

from keras_facnn._checks.messages import callers_stacklevel
from keras_facnn._checks.text import join_first
from keras_facnn.types import OnError


class Broken:
    """The errors of photos that can't be read.

    Args:
        on_error: `"raise"` the first error, or `"skip"` such photos.
    """

    def __init__(self, on_error: OnError) -> None:
        self._on_error = on_error
        self._errors: list[str] = []

    def __len__(self) -> int:
        return len(self._errors)

    def add(self, error: Exception) -> None:
        """Raise the error of a photo, or note it."""
        if self._on_error == "raise":
            raise ValueError(
                f'{error}. `on_error="skip"` leaves such photos out'
            ) from error
        self._errors.append(str(error))

    def warn(self, total: int) -> None:
        """Name the photos that were skipped, or raise if these are all.

        Args:
            total: How many photos there are.
        """
        errors = self._errors
        if len(errors) == total:
            raise ValueError(
                f"None of {total} photos can be read: {join_first(errors)}"
            )
        if errors:
            warnings.warn(
                f"Skipped {len(errors)} of {total} photos: "
                f"{join_first(errors, 20)}",
                stacklevel=callers_stacklevel(),
            )
