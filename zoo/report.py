"""What `zoo.compare` writes of a comparison: tables, figures, and a page."""

from __future__ import annotations

import base64
import csv
import html
import os
from collections.abc import Mapping
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from zoo import figures
from zoo import inputs
from zoo import methods
from zoo import replicate
from zoo.training import record

if TYPE_CHECKING:
    from zoo.comparison import Comparison

Row = dict[str, Any]
PAGE = "report.html"

# Which way is better, and what the numbers are.
COLUMNS = {
    "accuracy AUC": (
        "↓",
        "Area under the accuracy as pixels are removed, most relevant first, "
        "with its 95 % interval over images. A map that finds the pixels that "
        "matter takes the accuracy down fast.",
    ),
    "accuracy AUC of the right": (
        "↓",
        "The same area, of the images whose class is predicted right. Maps are "
        "of the predicted class, which has no pixels that matter for another "
        "label. --explain labels makes maps of the labels.",
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
STYLE = (
    "body{font:15px sans-serif;margin:2em auto;padding:0 1em;max-width:75em}"
    "td,th{padding:.2em .8em;text-align:right;vertical-align:bottom}"
    "th{border-bottom:1px solid #888}td{white-space:nowrap}"
    "tr:nth-child(odd) td{background:#f4f4f4}table{border-collapse:collapse}"
    ".word{text-align:left}.wide{overflow-x:auto}"
    "img{max-width:100%}pre{white-space:pre-wrap}"
)
CONTROLS = {
    "other_image": "another image's map",
    "shuffled_weights": "shuffled weights",
}


def write(
    folder: str, comparison: Comparison, formats: Sequence[str]
) -> list[Row]:
    """Write all tables, all figures, and the page.

    Args:
        folder: Path of the folder to write into.
        comparison: What was measured, at least one method.
        formats: Formats of the figures besides PNG.

    Returns:
        The rows of the table.
    """
    rows = write_table(folder, comparison)
    pairs = pairs_of_methods(comparison)
    if pairs:
        _write_csv(folder, "pairs", pairs)
    _write_images(folder, comparison)
    if comparison.similarity is not None:
        path = os.path.join(folder, "similarity_by_layer.csv")
        with record.replacing(path) as file:
            table = comparison.similarity.summary()
            table.to_csv(file, index_label="layer")
    drawn = figures.draw(comparison)
    figures.save(drawn, folder, formats)
    with record.replacing(os.path.join(folder, PAGE)) as file:
        file.write(page(folder, comparison, rows, pairs, drawn))
    return rows


def write_table(folder: str, comparison: Comparison) -> list[Row]:
    """Write `table.csv` and `table.md`, and return the rows."""
    rows = table_rows(comparison)
    _write_csv(folder, "table", rows)
    with record.replacing(os.path.join(folder, "table.md")) as file:
        file.write(f"`{comparison.command}`\n\n{markdown(rows)}")
    return rows


def table_rows(comparison: Comparison) -> list[Row]:
    """Return a row per layer and method, in the order of the settings."""
    rows = []
    for layer in comparison.layers:
        for one in comparison.at(layer):
            row = {"layer": layer, "method": methods.title(one.method)}
            if one.curve is not None:
                row |= {
                    "accuracy AUC": f"{one.curve.accuracy_auc:.4f}",
                    "interval": interval(one.curve),
                    "accuracy AUC of the right": _of_the_right(
                        one.curve, comparison
                    ),
                    "probability AUC": f"{one.curve.probability_auc:.4f}",
                    "ties": f"{one.curve.ties:.4f}",
                }
            rows.append({**row, **one.columns})
    return rows


def pairs_of_methods(comparison: Comparison) -> list[Row]:
    """Compare the curves of all methods at each layer, in pairs."""
    from keras_facnn import metrics

    rows = []
    for layer in comparison.layers:
        curves = comparison.curves_at(layer)
        if len(curves) < 2:
            continue
        for row in metrics.compare(curves).rows:
            numbers = {
                name: f"{value:.2g}" if name.startswith("p") else f"{value:.4f}"
                for name, value in row.items()
                if isinstance(value, float)
            }
            rows.append({"layer": layer, **row, **numbers})
    return rows


def interval(result: Any) -> str:
    """Return the 95 % interval of a result's mean."""
    low, high = result.interval
    return f"{low:.4f} to {high:.4f}"


def _of_the_right(curve: Any, comparison: Comparison) -> str:
    """Return the area of the images that are predicted right, if any."""
    right = comparison.predictions == comparison.labels
    values = curve.per_image[right]
    if np.isnan(values).all():
        return ""
    return f"{np.nanmean(values):.4f}"


def _write_csv(folder: str, name: str, rows: Sequence[Row]) -> None:
    with record.replacing(os.path.join(folder, f"{name}.csv")) as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write_images(folder: str, comparison: Comparison) -> None:
    """Write `images.csv`: the area under the accuracy, by image and method."""
    columns = {
        one.title.replace("\n", ", "): one.curve.values
        for layer in comparison.layers
        for one in comparison.at(layer)
        if one.curve is not None
    }
    names = comparison.class_names
    with record.replacing(os.path.join(folder, "images.csv")) as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "prediction", *columns])
        writer.writerows(
            zip(
                range(len(comparison.labels)),
                [names[c] for c in comparison.labels],
                [names[c] for c in comparison.predictions],
                *columns.values(),
                strict=True,
            )
        )


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
    folder: str,
    comparison: Comparison,
    rows: Sequence[Row],
    pairs: Sequence[Row],
    drawn: Mapping[str, figures.Drawn],
) -> str:
    """Return an HTML page that needs no other file.

    Args:
        folder: Path of the folder of the figures.
        comparison: What was measured.
        rows: What `table_rows` returns, at least one row.
        pairs: What `pairs_of_methods` returns.
        drawn: What `zoo.figures.draw` returns.
    """
    count = len(comparison.labels)
    terms = "".join(
        f"<dt>{_shown(heading(name))}</dt><dd>{_shown(meaning)}</dd>"
        for name, (_, meaning) in COLUMNS.items()
        if name in rows[0]
    )
    by_layer = by_pair = replicated = holes = ""
    if "accuracy AUC" in rows[0]:
        is_road = comparison.settings["--baseline"] == "road"
        holes = f"<p>{_shown(BASELINES['road' if is_road else 'other'])}</p>"
    if comparison.similarity is not None:
        table = _table(similarity_rows(comparison.similarity))
        by_layer = f"<h2>Raw maps against Grad-CAM in numbers</h2>{table}"
    if pairs:
        by_pair = f"<h2>Pairs of methods</h2>{_table(pairs)}<p>{PAIRS}</p>"
    if comparison.replicates:
        replicated = (
            "<h2>The paper&#x27;s measurements</h2>"
            f"{_table(replicate.rows(comparison))}<p>{replicate.NOTE}</p>"
        )
    images = "".join(
        _image(os.path.join(folder, f"{name}.png"), one)
        for name, one in drawn.items()
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        "<title>keras_facnn: comparison</title>"
        f"<style>{STYLE}</style>"
        f"<h1>Ways to make a map</h1><p>Measured on {count} images by</p>"
        f"<pre><code>{_shown(comparison.command)}</code></pre>{replicated}"
        "<h2>Methods: what they are worth, and what they cost</h2>"
        f"{_table(rows)}<p>↓ less is better, ↑ more is better.</p>"
        f"<dl>{terms}</dl>{holes}{images}{by_pair}{by_layer}</html>"
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
    def cell(tag: str, text: object, value: object) -> str:
        # Words start at the left, and numbers end at the right.
        side = " class=word" if str(value)[:1].isalpha() else ""
        return f"<{tag}{side}>{_shown(text)}</{tag}>"

    heads = "".join(cell("th", heading(k), v) for k, v in rows[0].items())
    body = "".join(
        f"<tr>{''.join(cell('td', v, v) for v in row.values())}</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><tr>{heads}</tr>{body}</table></div>'


def _image(path: str, drawn: figures.Drawn) -> str:
    with open(path, "rb") as file:
        data = base64.b64encode(file.read()).decode()
    heading = _shown(drawn.heading)
    return (
        f'<h2>{heading}</h2><img alt="{heading}" '
        f'src="data:image/png;base64,{data}"><p>{_shown(drawn.caption)}</p>'
    )
