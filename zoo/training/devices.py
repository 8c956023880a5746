"""One device or many, of one machine or several, by each backend's means."""

import contextlib
import os

from absl import flags
from absl import logging

FLAGS = flags.FLAGS


def define_flags():
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


def replicate(batch_size):
    """Sets up the devices that the flags ask for.

    Args:
        batch_size: Images a step, over all devices.

    Returns:
        The scope to build the model in, the number of replicas, and this
        process' share of each batch, `(number of this process, processes)`.
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
        return contextlib.nullcontext(), 1, (0, 1)
    if strategy != own:
        raise ValueError(
            f"`--strategy` must be {own or 'one_device'} or auto with "
            f"KERAS_BACKEND={backend}. Received: --strategy {strategy}"
        )
    replicas = len(names)
    if batch_size % replicas:
        raise ValueError(
            f"`--batch_size` must be a multiple of the {replicas} devices: "
            f"{', '.join(names)}. Received: --batch_size {batch_size}"
        )
    logging.info(
        "%d images a step on each of %s", batch_size // replicas, names
    )
    if strategy == "data_parallel":
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(
                devices=names, auto_shard_dataset=False
            )
        )
        return contextlib.nullcontext(), replicas, (process, processes)
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(names).scope(), replicas, (0, 1)


def _join_processes(backend):
    """Joins the processes of a run on several machines, where it is one.

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


def wait_for_all(share):
    """Waits until every process is here."""
    if share[1] > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices("wait_for_all")


@contextlib.contextmanager
def alone():
    """For what one process does without the others.

    Keras makes variables when it saves, of which each process of a distribution
    would wait for the others'.
    """
    import keras

    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def _split_cpu(backend):
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


def _devices(backend):
    """The names of all GPUs, or else of all CPUs; PyTorch uses one."""
    if backend == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_logical_devices
        return [d.name for d in devices("GPU") or devices("CPU")]
    if backend == "jax":
        import keras

        return keras.distribution.list_devices()
    return ["one"]
