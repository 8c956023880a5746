"""An audit as numbers, for other programs."""

import typing
from collections.abc import Sequence
from typing import Any

if typing.TYPE_CHECKING:
    from keras_facnn.auditing.result import Audit


def as_dict(audit: "Audit") -> dict[str, Any]:
    """Return all numbers as a dict that JSON can hold."""
    return {
        **audit.facts,
        "images": audit.images,
        "grid": list(audit.statistics.grid.shape),
        "areas": audit.areas,
        "classes": audit.classes,
        "confusions": [
            {**c, "evidence": c["evidence"].tolist()} for c in audit.confusions
        ],
        "reasons": [
            {**r.to_dict(), "covered": audit.coverings.get(r.name)}
            for r in audit.reasons
        ],
        "unlike": audit.unlike,
        "notes": audit.notes,
    }


def as_dataframe(audit: "Audit", table: str) -> Any:
    """Return a table, as `Audit.to_dataframe` does."""
    import pandas

    if table != "reasons":
        return pandas.DataFrame(getattr(audit, table))
    rows: Sequence[dict[str, Any]] = [r.to_dict() for r in audit.reasons]
    for row in rows:
        taken = row.pop("taken")
        for name in ("members", "rest", "usual_cells"):
            row.pop(name)
        row |= {f"without_{name}": value for name, value in taken.items()}
    return pandas.DataFrame(rows)
