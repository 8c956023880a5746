import math

import keras
from keras import ops


class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up from 0 to `peak`, then a cosine down to 0.

    `keras.optimizers.schedules.CosineDecay` branches on a tensor, at which
    torch.compile gives up on the optimizer's step; this one does not branch.

    Args:
        peak: Float, the highest learning rate.
        warmup_steps: Number of steps until the peak.
        total_steps: Number of steps until 0.
    """

    def __init__(self, peak, warmup_steps, total_steps):
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(
                "`warmup_steps` must be less than `total_steps`. Received: "
                f"warmup_steps={warmup_steps}, total_steps={total_steps}"
            )
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rise = step / max(self.warmup_steps, 1)
        fall = (step - self.warmup_steps) / (
            self.total_steps - self.warmup_steps
        )
        cosine = 0.5 + 0.5 * ops.cos(math.pi * ops.clip(fall, 0.0, 1.0))
        return self.peak * ops.where(step < self.warmup_steps, rise, cosine)

    def get_config(self):
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
        }
