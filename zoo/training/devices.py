"""One device or many, of one machine or several, by each backend's means."""

import contextlib
import dataclasses
import os
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from absl import flags
from absl import logging

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_enum(
        "strategy",
        "auto",
        ["auto", "one_device", "mirrored", "data_parallel"],
        "How to use many devices: mirrored is TensorFlow's MirroredStrategy, "
        "data_parallel is keras.distribution.DataParallel on JAX; auto is the "
        "backend's own over all visible GPUs.",
    )
    flags.DEFINE_integer(
        "cpu_devices",
        1,
        "Split the CPU into this many devices, to try a strategy without GPUs.",
        1,
    )


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices that share each batch.

    Attributes:
        replicas: How many there are.
        process: Number of this process, from 0.
        processes: How many processes there are, of one or several machines.
        strategy: TensorFlow's distribution strategy, or None.
    """

    replicas: int = 1
    process: int = 0
    processes: int = 1
    strategy: Any = None

    @property
    def writes(self) -> bool:
        """Whether this process writes files: one does for all of them."""
        return self.process == 0

    @property
    def share(self) -> tuple[int, int]:
        """This process' share of each batch, `(process, processes)`."""
        return self.process, self.processes

    def scope(self) -> AbstractContextManager:
        """Return the context to build a model in."""
        if self.strategy is None:
            return contextlib.nullcontext()
        return self.strategy.scope()

    def wait_for_all(self) -> None:
        """Wait until every process is here."""
        if self.processes > 1:
            from jax.experimental import multihost_utils

            multihost_utils.sync_global_devices("wait_for_all")


def set_up(batch_sizes: Iterable[int]) -> Devices:
    """Set up the devices that the flags ask for.

    Args:
        batch_sizes: Images per step over all devices, of each stage.

    Returns:
        The `Devices`.
    """
    import keras

    backend = keras.backend.backend()
    if FLAGS.cpu_devices > 1:
        _split_cpu(backend)
    process, processes = _join_processes(backend)
    own = {"tensorflow": "mirrored", "jax": "data_parallel"}.get(backend)
    names = _devices(backend)
    if backend == "torch":
        import torch

        if torch.cuda.device_count() > 1:
            logging.warning(
                "One of the %d GPUs is used. KERAS_BACKEND=jax or tensorflow "
                "uses them all.",
                torch.cuda.device_count(),
            )
    strategy = FLAGS.strategy
    if strategy == "auto":
        strategy = own if own and len(names) > 1 else "one_device"
    if strategy == "one_device" and processes == 1:
        return Devices()
    if strategy != own:
        raise ValueError(
            f"`--strategy` must be {own or 'one_device'} or auto with "
            f"KERAS_BACKEND={backend}. Received: --strategy {strategy}"
        )
    replicas = len(names)
    for batch_size in dict.fromkeys(batch_sizes):
        if batch_size % replicas:
            raise ValueError(
                f"`batch_size` must be a multiple of the {replicas} devices: "
                f"{', '.join(names)}. Received: batch_size={batch_size}"
            )
        logging.info(
            "%d images per step on each of %s", batch_size // replicas, names
        )
    if strategy == "data_parallel":
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(
                devices=names, auto_shard_dataset=False
            )
        )
        return Devices(replicas, process, processes)
    import tensorflow as tf

    return Devices(replicas, strategy=tf.distribute.MirroredStrategy(names))


def _join_processes(backend: str) -> tuple[int, int]:
    """Join the processes of a run on several machines, if it is one.

    `keras.distribution.initialize` reads the environment, see its docstring.

    Returns:
        The number of this process, and how many there are.
    """
    if "KERAS_DISTRIBUTION_JOB_ADDRESSES" not in os.environ:
        return 0, 1
    if backend != "jax":
        raise ValueError(
            "KERAS_DISTRIBUTION_JOB_ADDRESSES asks for several processes, "
            f"which needs KERAS_BACKEND=jax. Received: KERAS_BACKEND={backend}"
        )
    import jax
    import keras

    keras.distribution.initialize()
    return jax.process_index(), jax.process_count()


@contextlib.contextmanager
def without_others() -> Iterator[None]:
    """Let one process do something without the others.

    Keras makes variables when it saves. Under a distribution, each process
    would wait for those of the others.
    """
    import keras

    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def _split_cpu(backend: str) -> None:
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * FLAGS.cpu_devices,
        )
    elif backend == "jax":
        import jax

        jax.config.update("jax_num_cpu_devices", FLAGS.cpu_devices)
    else:
        raise ValueError(
            "`--cpu_devices` needs KERAS_BACKEND=tensorflow or jax. "
            f"Received: KERAS_BACKEND={backend}"
        )


def _devices(backend: str) -> list[str]:
    """Return the names of all GPUs, or else of all CPUs; PyTorch uses one."""
    if backend == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_logical_devices
        return [d.name for d in devices("GPU") or devices("CPU")]
    if backend == "jax":
        import keras

        return keras.distribution.list_devices()
    return ["one"]
