"""Photos to show: mistakes, and those of which the model is unsure."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_facnn._checks.models import is_fa_model
from keras_facnn.evaluation.photos import Photos
from keras_facnn.evaluation.scores import Scores
from keras_facnn.maps import center_maps

# Images per forward pass that also returns the maps of all classes.
_BATCH = 16


@dataclasses.dataclass(frozen=True, eq=False)
class Example:
    """A photo of an evaluation, and why it got its class.

    Args:
        index: The photo's number in the scores.
        path: Its path, or None.
        label: The right class.
        said: The likeliest class.
        other: The class that `contrast` compares with: the right one of a
            mistake, the second likeliest of a photo where the model is unsure.
        said_probability: The probability of `said`.
        other_probability: The probability of `other`.
        photo: uint8 array `(H, W, channels)`, what the model saw.
        said_map: Array `(h, w)`, the map of `said`, or None if the model is
            not an FA-CNN. It is centered, except if a photo may have several
            labels: then what all classes share decides, too.
        contrast: Array `(h, w)`, the map of `said` minus that of `other`, or
            None. Positive values speak for `said`.
    """

    index: int
    path: str | None
    label: int
    said: int
    other: int
    said_probability: float
    other_probability: float
    photo: np.ndarray
    said_map: np.ndarray | None = None
    contrast: np.ndarray | None = None

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return the example as a dict that JSON can hold, without pixels."""
        return {
            "index": self.index,
            "path": self.path,
            "class": class_names[self.label],
            "said": class_names[self.said],
            "probability": self.said_probability,
            "other": class_names[self.other],
            "probability_of_other": self.other_probability,
            **{
                name: None if values is None else values.tolist()
                for name, values in (
                    ("map", self.said_map),
                    ("contrast", self.contrast),
                )
            },
        }


def choose_mistakes(scores: Scores, count: int) -> np.ndarray:
    """Return mistakes to show, the surest first.

    Half of them are the surest of all. The others are spread over the classes:
    the surest of each, then the second of each, and so on.
    """
    wrong = np.flatnonzero(scores.rank > 0)
    wrong = wrong[np.argsort(-scores.probability[wrong], kind="stable")]
    surest, rest = wrong[: (count + 1) // 2], wrong[(count + 1) // 2 :]
    seen: dict[int, int] = {}
    turns = []
    for i in wrong:
        label = int(scores.label[i])
        turns.append(seen.get(label, 0))
        seen[label] = turns[-1] + 1
    order = np.argsort(turns[len(surest) :], kind="stable")
    chosen = np.concatenate([surest, rest[order][: count - len(surest)]])
    return chosen[np.argsort(-scores.probability[chosen], kind="stable")]


def choose_unsure(scores: Scores, count: int) -> np.ndarray:
    """Return the photos whose two likeliest classes are closest."""
    return np.argsort(scores.margin, kind="stable")[:count]


def explain_mistakes(
    model: Any, photos: Photos, scores: Scores, count: int
) -> list[Example]:
    """Return mistakes, each with what decided against the right class.

    Args:
        model: A classifier. Only an FA-CNN gives maps.
        photos: The photos, in the order of the scores.
        scores: Their scores.
        count: The largest number of examples.
    """
    return _make_examples(
        model,
        photos,
        scores,
        choose_mistakes(scores, count),
        scores.label,
        scores.label_probability,
    )


def explain_unsure(
    model: Any, photos: Photos, scores: Scores, count: int
) -> list[Example]:
    """Return what `explain_mistakes` does, for photos of two likely classes."""
    return _make_examples(
        model,
        photos,
        scores,
        choose_unsure(scores, count),
        scores.rival,
        scores.rival_probability,
    )


def _make_examples(
    model: Any,
    photos: Photos,
    scores: Scores,
    chosen: np.ndarray,
    others: np.ndarray,
    p_others: np.ndarray,
) -> list[Example]:
    """Read some photos again, and explain them against other classes."""
    examples = []
    for start in range(0, len(chosen), _BATCH):
        index = chosen[start : start + _BATCH]
        said, other = scores.predicted[index], others[index]
        said_maps, contrasts = _maps(model, photos, index, said, other)
        examples += [
            Example(
                index=int(i),
                path=None if photos.paths is None else photos.paths[i],
                label=int(scores.label[i]),
                said=int(said[n]),
                other=int(other[n]),
                said_probability=float(scores.probability[i]),
                other_probability=float(p_others[i]),
                photo=photos.read_to_show(int(i)),
                said_map=said_maps[n],
                contrast=contrasts[n],
            )
            for n, i in enumerate(index)
        ]
    return examples


def _maps(
    model: Any,
    photos: Photos,
    index: np.ndarray,
    said: np.ndarray,
    other: np.ndarray,
) -> tuple[Sequence[Any], Sequence[Any]]:
    """Return the maps of one class, and the contrasts with another."""
    if not is_fa_model(model):
        return [None] * len(index), [None] * len(index)
    ((images, _, _),) = photos.select(index).batches(len(index), _fail)
    _, maps = model.predict_with_maps(images, batch_size=_BATCH)
    if not model.head.threshold:
        maps = center_maps(maps)
    rows = np.arange(len(index))
    of_said = maps[rows, ..., said]
    return list(of_said), list(of_said - maps[rows, ..., other])


def _fail(error: Exception) -> None:
    raise error
