"""The page of an audit."""

import pathlib
import typing

from keras_facnn._checks.text import escaped
from keras_facnn.auditing.drawing import Pictures
from keras_facnn.auditing.reason import Reason
from keras_facnn.auditing.repeats import COMPARED
from keras_facnn.auditing.report_cards import image_name
from keras_facnn.auditing.report_cards import suspicious
from keras_facnn.auditing.report_classes import confusions
from keras_facnn.auditing.report_classes import looks
from keras_facnn.auditing.report_classes import where
from keras_facnn.auditing.text import caveats
from keras_facnn.auditing.text import verdict
from keras_facnn.auditing.use import HEADINGS
from keras_facnn.auditing.use import by_use
from keras_facnn.auditing.use import changed_answers
from keras_facnn.evaluation import page as html

if typing.TYPE_CHECKING:
    from keras_facnn.auditing.result import Audit

# Suspicious reasons of a group to name in the first sentences.
_FIRST = 3


def page(audit: "Audit") -> str:
    """Return the page of an audit, in HTML."""
    pictures = Pictures(audit)
    sections = [
        suspicious(audit, pictures),
        _unlike(audit, pictures),
        where(audit),
        looks(audit, pictures),
        confusions(audit),
        _terms(audit),
    ]
    notes = caveats(audit)
    if gone := len(pictures.gone):
        photos = "1 photo is" if gone == 1 else f"{gone:,} photos are"
        notes.append(
            f"{photos} no longer where the audit read them, and so not shown."
        )
    return html.page(
        f"Why does {_model_name(audit)} answer as it does?",
        [
            html.paragraph(verdict(audit)),
            _first(audit),
            *(html.paragraph(note, "note") for note in notes),
            *sections,
        ],
    )


def _model_name(audit: "Audit") -> str:
    """Return what to call the model in a sentence."""
    model = audit.facts.get("model")
    if not model or audit.facts.get("by_color"):
        return model or "the model"
    # The name of a preset may be the path of its folder.
    return f'the model "{pathlib.PurePath(model).name}"'


def _first(audit: "Audit") -> str:
    """Return what was found, whether the model uses it first."""
    groups = by_use(audit)
    if not groups:
        return html.paragraph(
            "A cue that all classes have, or that no two images show alike, is "
            "not found in this way. So look at what the model goes by, below."
        )
    return "".join(
        f"<h3><b>{escaped(HEADINGS[use])}</b></h3>\n"
        + html.listing(
            [
                *(_line(audit, reason) for reason in reasons[:_FIRST]),
                *(
                    [f"{len(reasons) - _FIRST:,} more, below"]
                    if len(reasons) > _FIRST
                    else []
                ),
            ]
        )
        for use, reasons in groups.items()
    )


def _line(audit: "Audit", reason: Reason) -> str:
    found = audit.coverings.get(reason.name)
    if found is None:
        text = f"{reason.grounds}."
    else:
        text = (
            f"if it is covered, {changed_answers(found)}. It is "
            f"{reason.grounds}."
        )
    return f"<b>{escaped(reason.name)}</b>: {escaped(text)}"


def _unlike(audit: "Audit", pictures: Pictures) -> str:
    """Return images that look like another class than their label."""
    if not audit.unlike:
        return ""
    picks = {
        (pick.path, pick.index): pick
        for c in range(audit.sample.num_classes)
        for pick in audit.sample.of_class(c)
    }
    cards = []
    for row in audit.unlike:
        pick = picks[row["path"], row["index"]]
        pixels = pictures.picture(pick)
        if pixels is None:
            continue
        name = image_name(audit, pick)
        caption = (
            f"{name}: labelled {row['class']}, called {row['said']}, looks "
            f"like {row['like']} (score {row['score']:.2f})"
        )
        drawn = html.zoomed(pixels, f"image labelled {row['class']}", caption)
        cards.append(
            f"<figure>{drawn}<figcaption>labelled <b>{escaped(row['class'])}"
            f"</b>, looks like <b>{escaped(row['like'])}</b>; "
            f"{row['score']:.2f}</figcaption></figure>"
        )
    return html.section(
        "Unlike their class",
        html.paragraph(
            "The places of evidence in these images look more like the reasons "
            "of another class than like those of their label. Is the label "
            "wrong, or are two things in the picture? The number says how much "
            "more, as a difference of cosines; the largest is first."
        ),
        f'<div class="sheet">{"".join(cards)}</div>' if cards else "",
        name="unlike",
    )


def _terms(audit: "Audit") -> str:
    """Return what each number means, and what it does not."""
    size = audit.sample.size
    facts = [
        f"{name.replace('_', ' ')}: {value}"
        for name, value in audit.facts.items()
        if value not in (None, 0) and not isinstance(value, dict)
    ]
    rows, columns = audit.statistics.grid.shape
    terms = {
        "logit": "The number that a model gives to each class, before it makes "
        "probabilities of them. One logit more makes a class 2.7 times as "
        "likely, compared with any other class.",
        "evidence": "A logit of this model is the sum of a map, so each place "
        "has an exact share of it. What all classes share decides nothing "
        "among them and is subtracted. Only positive evidence counts in "
        f"shares. Maps are summed over {rows}x{columns} cells.",
        "without it": "The evidence of these places is taken out of the sums, "
        "for all classes. For the sum, that is exact, and needs no further "
        "run of the model. It is not what the model would say if the thing "
        "were not there: places nearby see it, too (their receptive fields "
        "overlap), and evidence there is still counted. The control takes as "
        "many cells of the same image away, at random.",
        "if covered": "What the model says if these places are filled with the "
        "colors around them. The control fills equally large places elsewhere. "
        "A fall of the logit is beyond that of all classes. The colors keep a "
        "trace of what was there, so more answers may depend on a place than "
        "change; only images without the thing tell how many.",
        "how alike": "In this place, how many times nearer the images are to "
        "each other than to the nearest image of another class, by their "
        "colors, or for a texture by their sharpness.",
        "suspicious": "The same thing at the same place, or the same sharpness "
        "or compression, in several images of one class, which are more alike "
        "there than images of different classes ever are. This looks at the "
        "pictures, and not at what the model does with them. So it is no proof "
        "that the model uses it; see what changes if it is covered.",
        "goes by": "Groups of places of much evidence whose features are alike "
        "(k-means). They are described, not judged.",
        "sample": "The tables of where evidence lies are of all images. "
        f"Reasons are of a sample of up to {size:,} images per class, and what "
        f"is suspicious of up to {COMPARED} of these, as are their shares. "
        "Copies of an image count once.",
        "not found": "A cue that all classes have, one that is at another "
        "place in each image, or one in only a few images.",
    }
    listed = "".join(
        f"<dt>{escaped(term)}</dt><dd>{escaped(text)}</dd>"
        for term, text in terms.items()
    )
    return html.section(
        "What the numbers mean",
        html.listing(map(escaped, facts)),
        f"<dl>{listed}</dl>",
        name="terms",
    )
