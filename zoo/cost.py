"""What a recipe costs: multiply-adds, FLOP of a step, memory of a device.

    python -m zoo.cost --config imagenet100_224 --devices 8

The memory is an estimate from above: float32 weights, gradients and optimizer,
and every layer's output for the backward pass, before a compiler fuses any.
"""

import math

from absl import app
from absl import flags

from zoo import inputs

FLAGS = flags.FLAGS


def define_flags():
    inputs.define_config_flag()
    # Or `--help` leaves it out.
    flags.adopt_module_key_flags(inputs)
    flags.DEFINE_integer("devices", 1, "Devices that share a batch.", 1)


def multiply_adds(model):
    """Multiply-adds of one image's forward pass, of what has kernels.

    Args:
        model: Functional `keras.Model` of known image size, whose kernels
            belong to `Conv2D`, `DepthwiseConv2D` and `Dense` layers, its own
            or those of models within.
    """
    import keras

    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            total += multiply_adds(layer)
        elif isinstance(
            layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
        ):
            places = math.prod(layer.output.shape[1:3])
            total += places * math.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            total += math.prod(layer.kernel.shape)
    return total


def activations(model):
    """Numbers that all layers put out for one image."""
    return sum(math.prod(layer.output.shape[1:]) for layer in model.layers)


def main():
    config = inputs.read_config(FLAGS.config)
    batch = config.batch_size
    if batch % FLAGS.devices:
        raise app.UsageError(
            f"--devices must divide the {batch} images of a step. Received: "
            f"--devices {FLAGS.devices}"
        )
    from zoo import networks

    model = networks.facnn(config.model.arguments(), pretrained=False)
    mine = batch / FLAGS.devices
    # Weight, gradient, and Muon's one or AdamW's two moments.
    copies = {"muon": 3, "adamw": 4}[config.optimizer]
    copies += bool(config.ema)
    memory = 4 * copies * model.count_params() + 2 * mine * activations(model)
    print(f"{model.count_params() / 1e6:.2f} M parameters")
    print(f"{multiply_adds(model) / 1e6:.0f} M multiply-adds an image, forward")
    # Backward costs twice the forward pass; a multiply-add is two FLOP.
    print(f"{6e-12 * batch * multiply_adds(model):.2f} TFLOP a step of {batch}")
    print(
        f"{memory / 2**30:.1f} GiB on each of {FLAGS.devices} devices, "
        f"{mine:g} images each, bfloat16"
    )


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
