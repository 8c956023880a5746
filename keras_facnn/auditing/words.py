"""Say in words why a reason is suspicious."""

import typing

if typing.TYPE_CHECKING:
    from keras_facnn.auditing.reason import Reason


def grounds(reason: "Reason") -> str:
    """Return why a reason is suspicious, or what it is."""
    share, name = f"{reason.share:.0%}", reason.class_name
    if reason.kind == "looks":
        return (
            f"places that look alike, {reason.place}, in {share} of the images "
            f"called {name}, with {reason.evidence:.0%} of the evidence for it"
        )
    what = (
        f"the same thing {reason.place}"
        if reason.kind == "place"
        else "the same sharpness or compression"
    )
    return (
        f"{what} in {share} of the images called {name}, and nothing as alike "
        "in other classes"
    )
