"""Print the cost of a stage: multiply-adds, FLOP per step, memory per device.

    python -m zoo.cost --recipe imagenet100_224 --devices 8

The stage is that of `--stage`, or else the recipe's last one. The memory is an
upper estimate. It counts weights, gradients and optimizer in float32, and the
outputs of all layers for the backward pass. A compiler that fuses layers needs
less.
"""

from absl import app
from absl import flags

from zoo import inputs

FLAGS = flags.FLAGS


def define_flags() -> None:
    inputs.define_recipe_flags()
    # Or `--help` leaves it out.
    flags.adopt_module_key_flags(inputs)
    flags.DEFINE_integer("devices", 1, "Devices that share a batch.", 1)


def main() -> None:
    stage = inputs.read_stage()
    batch = stage.batch_size
    if batch % FLAGS.devices:
        raise app.UsageError(
            f"--devices must divide the {batch} images of a step. Received: "
            f"--devices {FLAGS.devices}"
        )
    from zoo import networks
    from zoo.counts import activations
    from zoo.counts import multiply_adds

    model = networks.build(stage.kind, stage.model.arguments(), None, False)
    mine = batch / FLAGS.devices
    # Weight and gradient, and Muon's one or AdamW's two moments.
    copies = {"muon": 3, "adamw": 4}[stage.optimizer]
    copies += bool(stage.ema)
    memory = 4 * copies * model.count_params() + 2 * mine * activations(model)
    print(f"{model.count_params() / 1e6:.2f} M parameters")
    print(
        f"{multiply_adds(model) / 1e6:.0f} M multiply-adds per image, forward"
    )
    # Backward costs twice the forward pass; a multiply-add is two FLOP.
    print(
        f"{6e-12 * batch * multiply_adds(model):.2f} TFLOP per step of {batch}"
    )
    print(
        f"{memory / 2**30:.1f} GiB on each of {FLAGS.devices} devices, "
        f"{mine:g} images each, bfloat16"
    )


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
