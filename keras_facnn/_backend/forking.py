"""Refuse to compute in a forked process, where a backend would hang."""

import os

import keras


def check_not_forked() -> None:
    """Raise in a forked child process where any computation would hang.

    Raises:
        RuntimeError: If the process was forked after JAX or TensorFlow started
            their threads.
    """
    if _computes_no_more:
        backend = {"jax": "JAX", "tensorflow": "TensorFlow"}[
            keras.backend.backend()
        ]
        raise RuntimeError(
            f"{backend} does not work in a forked process, since its threads "
            "stay in the parent. Start workers by "
            '`multiprocessing.get_context("spawn")`, or import keras_facnn '
            "only in the child."
        )


def _breaks_in_fork() -> bool:
    """Return whether a process that is forked from this one cannot compute.

    JAX and TensorFlow have threads, which stay in the parent, so that a child
    process waits forever. TensorFlow starts its threads at the first
    computation.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        return True
    if backend != "tensorflow":
        return False
    from tensorflow.config import threading

    # The number of threads can be changed until they start.
    before = threading.get_inter_op_parallelism_threads()
    try:
        threading.set_inter_op_parallelism_threads(before + 1)
    except RuntimeError:
        return True
    threading.set_inter_op_parallelism_threads(before)
    return False


def _note_fork() -> None:
    global _computes_no_more
    _computes_no_more = _breaks_in_fork()


# Whether this process was forked from one in which the backend computed.
_computes_no_more = False
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
