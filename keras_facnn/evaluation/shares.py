"""Write shares in percent."""


def percent(share: float) -> str:
    """Return a share in percent; one that is not 100 % never reads so."""
    if 0.9995 <= share < 1:
        return "> 99.9%"
    if 0 < share < 0.0005:
        return "< 0.1%"
    return f"{share:.1%}"


def span(low: float, high: float) -> str:
    """Return an interval in percent."""
    return f"{low:.1%} to {high:.1%}"
