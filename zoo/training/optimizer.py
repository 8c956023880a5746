"""How weights are updated: Muon for kernels, and the rate over the steps."""

import math
from typing import Any

import keras
from keras import ops

from zoo.recipe import Stage

# Of any backend.
Tensor = Any


def build_optimizer(stage: Stage, steps: int) -> keras.Optimizer:
    """Return the optimizer of a stage of `steps` steps per epoch."""
    schedule = WarmupCosine(
        stage.learning_rate,
        int(steps * stage.warmup_epochs),
        steps * stage.epochs,
    )
    cls = {"adamw": keras.optimizers.AdamW, "muon": ConvMuon}
    optimizer = cls[stage.optimizer](
        schedule,
        weight_decay=stage.weight_decay,
        global_clipnorm=stage.clip_norm,
        use_ema=bool(stage.ema),
        ema_momentum=stage.ema or 0.99,
    )
    optimizer.exclude_from_weight_decay(
        var_names=["beta", "gamma", "log_scale"]
    )
    return optimizer


class ConvMuon(keras.optimizers.Muon):
    """Muon for convolution kernels, which `keras.optimizers.Muon` leaves out.

    A kernel `(h, w, in, out)` is orthogonalized as a matrix
    `(h * w * in, out)`, as its authors do for convolutional networks
    (https://github.com/KellerJordan/Muon). Vectors and scalars use Adam.
    """

    def _should_use_adamw(self, variable: keras.Variable) -> bool:
        return len(variable.shape) < 2

    def zeropower_via_newtonschulz5(self, x: Tensor, steps: int) -> Tensor:
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        matrix = super().zeropower_via_newtonschulz5(matrix, steps)
        return ops.reshape(matrix, x.shape)

    def lr_adjust(self, x: Tensor) -> Tensor:
        out = x.shape[-1]
        side = max(math.prod(x.shape) // out, out)
        return x * (math.sqrt(side) * self.rms_rate)


class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up from 0 to `peak`, then a cosine down to 0.

    `keras.optimizers.schedules.CosineDecay` branches on a tensor, so that
    torch.compile can't compile the optimizer's step. This one does not branch.

    Args:
        peak: Float, the highest learning rate.
        warmup_steps: Number of steps until the peak.
        total_steps: Number of steps until 0.
    """

    def __init__(
        self, peak: float, warmup_steps: int, total_steps: int
    ) -> None:
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(
                "`warmup_steps` must be less than `total_steps`. Received: "
                f"warmup_steps={warmup_steps}, total_steps={total_steps}"
            )
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps

    def __call__(self, step: Tensor) -> Tensor:
        step = ops.cast(step, "float32")
        rise = step / max(self.warmup_steps, 1)
        fall = (step - self.warmup_steps) / (
            self.total_steps - self.warmup_steps
        )
        cosine = 0.5 + 0.5 * ops.cos(math.pi * ops.clip(fall, 0.0, 1.0))
        return self.peak * ops.where(step < self.warmup_steps, rise, cosine)

    def get_config(self) -> dict[str, Any]:
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
        }
