"""What `zoo.compare` writes: tables, results, and a page."""

from __future__ import annotations

import base64
import csv
import html
import json
import os
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from zoo import inputs
from zoo.training import record

Row = dict[str, Any]

# Which way is better, and what the numbers are.
COLUMNS = {
    "accuracy AUC": (
        "↓",
        "Area under the accuracy as pixels are removed, most relevant first, "
        "with its 95 % interval over images. A map that finds the pixels that "
        "matter takes the accuracy down fast.",
    ),
    "probability AUC": (
        "↓",
        "The same area, of the probability of the image's class.",
    ),
    "ties": (
        "",
        "Share of successive pixels in the order of removal that have equal "
        "values, so that their locations decide which comes first.",
    ),
    "pointing game": (
        "↑",
        "How often a map's largest value is in the object's box.",
    ),
    "energy in box": (
        "↑",
        "Share of a map's positive values that is in the object's box.",
    ),
    "MaxBoxAccV2": (
        "↑",
        "How often a box around a bright part of a map fits a box of the "
        "object, at the best threshold.",
    ),
}
BASELINES = {
    "road": "Removed pixels are filled in from their neighbors, with noise "
    "(ROAD), so that the holes do no harm of their own.",
    "other": "Removed pixels leave holes, and scattered holes harm a network "
    "by themselves, more than one hole of the same area. So random order can "
    "win here; --baseline road fills the holes in.",
}
PAIRS = (
    "The accuracy AUC of the first method minus that of the second, on the "
    "same images, with its 95 % interval. p is of the Wilcoxon signed-rank "
    "test, corrected for the number of pairs by Holm&#x27;s method. Do not "
    "judge by whether the intervals of the table above overlap."
)
CONTROLS = {
    "other_image": "another image's map",
    "shuffled_weights": "shuffled weights",
}


def write_tables(
    folder: str,
    rows: Sequence[Row],
    results: dict[str, Any],
    pairs: Sequence[Row],
    similarity: Any | None,
) -> None:
    """Write `table.csv`, `table.md`, `pairs.csv` and `results.json`.

    Args:
        folder: Path of the folder to write into.
        rows: Rows of the table, at least one.
        results: Curves of pixel removal by method and layer.
        pairs: What `pairs_of_methods` returns, of `zoo.compare`.
        similarity: What `keras_facnn.metrics.similarity_by_layer` returns, or
            None.
    """
    command = record.command()
    for name, table in (("table", rows), ("pairs", pairs)):
        if table:
            with record.replacing(os.path.join(folder, f"{name}.csv")) as file:
                writer = csv.DictWriter(file, list(table[0]))
                writer.writeheader()
                writer.writerows(table)
    with record.replacing(os.path.join(folder, "table.md")) as file:
        file.write(f"`{command}`\n\n{markdown(rows)}")
    contents = {
        "command": command,
        "similarity_by_layer": similarity and json.loads(similarity.to_json()),
        "pixel_removal": results,
    }
    with record.replacing(os.path.join(folder, "results.json")) as file:
        json.dump(contents, file)


def heading(column: str) -> str:
    """Return a column's name, with an arrow to where it is better."""
    return f"{column} {COLUMNS.get(column, ('',))[0]}".strip()


def markdown(rows: Sequence[Row]) -> str:
    """Return a table in Markdown."""
    lines = [[*map(heading, rows[0])], ["---"] * len(rows[0])]
    lines += [
        [inputs.printable(str(v)).replace("|", r"\|") for v in row.values()]
        for row in rows
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page(
    rows: Sequence[Row],
    pairs: Sequence[Row],
    figures: Mapping[str, str],
    similarity: Any | None,
    command: str,
    baseline: str,
) -> str:
    """Return an HTML page that needs no other file.

    Args:
        rows: Rows of the table, at least one.
        pairs: What `pairs_of_methods` returns, of `zoo.compare`.
        figures: Paths of the figures, by what to call them.
        similarity: What `keras_facnn.metrics.similarity_by_layer` returns, or
            None.
        command: The command that made it all.
        baseline: What replaces removed pixels.
    """
    terms = "".join(
        f"<dt>{_shown(heading(name))}</dt><dd>{_shown(meaning)}</dd>"
        for name, (_, meaning) in COLUMNS.items()
        if name in rows[0]
    )
    holes = BASELINES["road" if baseline == "road" else "other"]
    by_layer = ""
    if similarity is not None:
        table = _table(similarity_rows(similarity))
        by_layer = f"<h2>Raw maps against Grad-CAM, by layer</h2>{table}"
    by_pair = ""
    if pairs:
        by_pair = f"<h2>Pairs of methods</h2>{_table(pairs)}<p>{PAIRS}</p>"
    images = "".join(_image(name, path) for name, path in figures.items())
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        "<title>keras_facnn: comparison</title>"
        "<style>body{font:15px sans-serif;margin:2em;max-width:75em}"
        "td,th{padding:.2em .8em;text-align:right}img{max-width:100%}</style>"
        f"<h1>Ways to make a map</h1><p><code>{_shown(command)}</code></p>"
        "<h2>Accuracy and probability as pixels are removed, most relevant "
        "first, and cost</h2>"
        f"{_table(rows)}<p>↓ less is better, ↑ more is better.</p>"
        f"<dl>{terms}</dl><p>{_shown(holes)}</p>{by_pair}"
        f"{images}{by_layer}</html>"
    )


def similarity_rows(similarity: Any) -> list[Row]:
    """Return a table of the likeness of maps to Grad-CAM."""
    return [
        {
            "layer": layer,
            "correlation": _mean_at(similarity, i),
            "undefined": similarity.undefined[i],
            **{
                CONTROLS[name]: _mean_at(of, i)
                for name, of in similarity.controls.items()
            },
        }
        for i, layer in enumerate(similarity.columns)
    ]


def _mean_at(result: Any, column: int) -> str:
    """Return one of the means of a result with its interval."""
    low, high = (end[column] for end in result.interval)
    return f"{result.mean[column]:.4f} ({low:.4f} to {high:.4f})"


def _shown(text: object) -> str:
    return html.escape(inputs.printable(str(text)))


def _table(rows: Sequence[Row]) -> str:
    def cells(tag: str, values: Iterable) -> str:
        return "".join(f"<{tag}>{_shown(v)}</{tag}>" for v in values)

    body = "".join(f"<tr>{cells('td', row.values())}</tr>" for row in rows)
    heads = cells("th", map(heading, rows[0]))
    return f"<table><tr>{heads}</tr>{body}</table>"


def _image(name: str, path: str) -> str:
    with open(path, "rb") as file:
        data = base64.b64encode(file.read()).decode()
    return f'<h2>{_shown(name)}</h2><img src="data:image/png;base64,{data}">'
