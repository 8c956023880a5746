"""Time metrics beside those of Quantus, in one process, in turns.

    KERAS_BACKEND=torch python -m zoo.peers

The model is the preset `cifar10` for gray images, because Quantus counts the
channels of a pixel as pixels of their own. Quantus gets it as a module with the
channels first. Both sides run the model as often, with batches of at most the
same size. Times are CPU seconds, which other programs change least. A ratio is
the median over the turns. It needs `pip install quantus`.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

from absl import app
from absl import flags

from zoo import inputs

FLAGS = flags.FLAGS
SIDE = 32
# The side of a square that is replaced, for infidelity.
_SQUARE = 4
_SQUARES = (SIDE // _SQUARE) ** 2
# Maps of metrics that run no model.
_MAPS = 1000
_CLASS = 3
_BATCH = 64


def define_flags() -> None:
    flags.DEFINE_integer("images", 16, "Images per call.", 1)
    flags.DEFINE_integer(
        "passes", 128, f"Altered images of each, a divisor of {SIDE**2}.", 8
    )
    flags.DEFINE_integer("turns", 5, "How often both are timed.", 1)


@dataclasses.dataclass(frozen=True)
class Pair:
    """The same metric here and in Quantus, as functions without arguments."""

    ours: Callable[[], Any]
    theirs: Callable[[], Any]


def main() -> None:
    if SIDE**2 % FLAGS.passes:
        raise app.UsageError(
            f"--passes must divide {SIDE**2}. Received: {FLAGS.passes}"
        )
    import keras

    if keras.backend.backend() != "torch":
        raise app.UsageError(
            "This needs KERAS_BACKEND=torch. Received: KERAS_BACKEND="
            f"{keras.backend.backend()}"
        )
    print("metric, CPU seconds here, in Quantus, ratio")
    for name, pair in pairs().items():
        ours, theirs = [], []
        for turn in range(FLAGS.turns + 1):
            for function, times in (pair.ours, ours), (pair.theirs, theirs):
                start = time.process_time()
                function()
                # The first turn compiles.
                if turn:
                    times.append(time.process_time() - start)
        ratio = statistics.median(
            b / a for a, b in zip(ours, theirs, strict=True)
        )
        print(
            f"{name}, {statistics.median(ours):.4f}, "
            f"{statistics.median(theirs):.4f}, {ratio:.1f}",
            flush=True,
        )


def pairs() -> dict[str, Pair]:
    """Return the metrics that are timed, by name."""
    import numpy as np
    import quantus

    import keras_facnn
    from keras_facnn import attribution
    from keras_facnn import metrics

    rng = np.random.default_rng(0)
    model = gray_model(keras_facnn.FACNN.from_preset("cifar10"))
    theirs = channels_first(model)
    shape = (FLAGS.images, SIDE, SIDE, 1)
    images = rng.uniform(0, 255, shape).astype("float32")
    images_first = np.moveaxis(images, -1, 1)
    labels = np.full(len(images), _CLASS)
    maps = rng.normal(size=shape[:3])
    many = rng.uniform(size=(_MAPS, SIDE, SIDE))
    boxes = np.tile([4, 6, 20, 24], (_MAPS, 1))
    masks = keras_facnn.boxes_to_masks(boxes, (SIDE, SIDE))[:, None]
    squares = max(1, FLAGS.passes // _SQUARES)
    copies = FLAGS.passes // 8
    common = {"disable_warnings": True}

    def ours(metric: Any, **kwargs: Any) -> Callable[[], Any]:
        return lambda: metric(
            model, images, labels, maps, batch_size=_BATCH, **kwargs
        )

    def peer(metric: Any) -> Callable[[], Any]:
        return lambda: metric(
            model=theirs,
            x_batch=images_first,
            y_batch=labels,
            a_batch=maps[:, None],
            channel_first=True,
            softmax=False,
            batch_size=_BATCH,
        )

    def explain(*_: Any, inputs: Any, targets: Any, **__: Any) -> Any:
        return attribution.saliency(
            model, np.reshape(inputs, shape), np.asarray(targets)
        )[:, None]

    def robust(metric: Any) -> Callable[[], Any]:
        return lambda: metric(
            model,
            images,
            attribution.saliency,
            labels,
            samples=copies,
        )

    def peer_of_noise(metric: Any) -> Callable[[], Any]:
        return lambda: metric(
            model=theirs,
            x_batch=images_first,
            y_batch=labels,
            channel_first=True,
            explain_func=explain,
            batch_size=_BATCH,
        )

    def of_maps(metric: Any) -> Callable[[], Any]:
        return lambda: metric(normalise=False, **common)(
            model=None,
            x_batch=np.zeros((_MAPS, 1, SIDE, SIDE)),
            y_batch=np.zeros(_MAPS, int),
            a_batch=many[:, None],
            s_batch=masks.astype(int),
            channel_first=True,
        )

    step = SIDE**2 // FLAGS.passes
    black = {"perturb_baseline": 0.0, "normalise": False, **common}
    noisy = {"nr_samples": copies, "normalise": False, **common}
    size = (SIDE, SIDE)
    return {
        "deletion": Pair(
            ours(
                metrics.deletion,
                fractions=np.linspace(0, 1, FLAGS.passes + 1).tolist(),
            ),
            peer(quantus.PixelFlipping(features_in_step=step, **black)),
        ),
        "faithfulness_correlation": Pair(
            ours(metrics.faithfulness_correlation, sets=FLAGS.passes),
            peer(
                quantus.FaithfulnessCorrelation(
                    nr_runs=FLAGS.passes, subset_size=SIDE**2 // 10, **black
                )
            ),
        ),
        "faithfulness_estimate": Pair(
            ours(metrics.faithfulness_estimate, sets=FLAGS.passes),
            peer(quantus.FaithfulnessEstimate(features_in_step=step, **black)),
        ),
        "infidelity": Pair(
            ours(metrics.infidelity, squares=squares * _SQUARES, size=_SQUARE),
            peer(
                quantus.Infidelity(
                    perturb_patch_sizes=[_SQUARE],
                    n_perturb_samples=squares,
                    **black,
                )
            ),
        ),
        "max_sensitivity": Pair(
            robust(metrics.max_sensitivity),
            peer_of_noise(quantus.MaxSensitivity(**noisy)),
        ),
        "local_lipschitz": Pair(
            robust(metrics.local_lipschitz),
            peer_of_noise(quantus.LocalLipschitzEstimate(**noisy)),
        ),
        "pointing_game": Pair(
            lambda: metrics.pointing_game(many, boxes, size),
            of_maps(quantus.PointingGame),
        ),
        "energy_pointing_game": Pair(
            lambda: metrics.energy_pointing_game(many, boxes, size),
            of_maps(quantus.RelevanceMassAccuracy),
        ),
        "relevance_rank_accuracy": Pair(
            lambda: metrics.relevance_rank_accuracy(many, boxes, size),
            of_maps(quantus.RelevanceRankAccuracy),
        ),
        "sparseness": Pair(
            lambda: metrics.sparseness(many), of_maps(quantus.Sparseness)
        ),
        "complexity": Pair(
            lambda: metrics.complexity(many), of_maps(quantus.Complexity)
        ),
    }


def gray_model(model: Any) -> Any:
    """Return a model of gray images, whose three colors are equal."""
    import keras

    gray = keras.Input((*model.input_shape[1:3], 1))
    color = keras.layers.Concatenate()([gray, gray, gray])
    return keras.Model(gray, model(color))


def channels_first(model: Any) -> Any:
    """Return a Keras model on PyTorch as a module with the channels first."""
    import torch

    class ChannelsFirst(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Any) -> Any:
            return self.model(x.permute(0, 2, 3, 1), training=False)

    return ChannelsFirst().eval()


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
