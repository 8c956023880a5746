"""Notice when evidence moves, from what an exported file says. No Keras."""

from keras_facnn.watching.watch import Alarm
from keras_facnn.watching.watch import Watch

__all__ = ["Alarm", "Watch"]
