import math

import keras
from keras import ops


class ConvMuon(keras.optimizers.Muon):
    """Muon for convolution kernels, which `keras.optimizers.Muon` leaves out.

    A kernel `(h, w, in, out)` is orthogonalised as a matrix
    `(h * w * in, out)`, as its authors do for convolutional networks
    (https://github.com/KellerJordan/Muon). Vectors and scalars use Adam.
    """

    def _should_use_adamw(self, variable):
        return len(variable.shape) < 2

    def zeropower_via_newtonschulz5(self, x, steps):
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        matrix = super().zeropower_via_newtonschulz5(matrix, steps)
        return ops.reshape(matrix, x.shape)

    def lr_adjust(self, x):
        out = x.shape[-1]
        side = max(math.prod(x.shape) // out, out)
        return x * (math.sqrt(side) * self.rms_rate)
