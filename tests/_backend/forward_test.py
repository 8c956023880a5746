"""Reading a model never harms it, and compiles once."""

import concurrent.futures
import copy
import functools
import gc
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import weakref

import keras
import numpy as np
import pytest

from keras_facnn import FACNN
from keras_facnn import attribution
from keras_facnn._backend import cache
from keras_facnn._backend import forward

BACKEND = keras.backend.backend()
ROOT = pathlib.Path(__file__).parents[2]
READS = {
    "class_maps": lambda m, x: m.class_maps(x),
    "layer_evidence": lambda m, x: m.layer_evidence(x),
    "grad_cam": lambda m, x: attribution.grad_cam(m, x, 1, layer=2),
    "saliency": lambda m, x: attribution.saliency(m, x, 1),
    "rise": lambda m, x: attribution.rise(m, x, 1, masks=4),
    "disagreement": lambda m, x: attribution.disagreement(m, x, 1),
}


def every_read(test):
    return pytest.mark.parametrize("read", READS.values(), ids=READS)(test)


def test_nothing_in_the_package_predicts_by_keras():
    """On JAX, Keras' `predict` takes the variables out while it runs.

    What a user calls by that name hands itself on, in one place.
    """
    for path in (ROOT / "keras_facnn").rglob("*.py"):
        code = re.sub(r'""".*?"""', "", path.read_text("utf-8"), flags=re.S)
        own = code.count("super().predict(")
        assert code.count(".predict(") == own, path
        assert own == (path.name == "deep_alignment.py"), path
        assert ".predict_on_batch(" not in code, path


@every_read
def test_eight_threads_get_what_one_gets(small_model, images, read):
    expected = read(small_model, images)
    fresh = FACNN.from_config(small_model.get_config())
    fresh.set_weights(small_model.get_weights())
    for model in (fresh, small_model):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            received = list(pool.map(read, [model] * 24, [images] * 24))
        for one in received:
            np.testing.assert_allclose(one, expected, rtol=1e-5, atol=1e-6)
    for a, b in zip(
        fresh.get_weights(), small_model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
@every_read
def test_an_error_half_way_leaves_the_model_whole(
    small_model, images, read, error, monkeypatch, tmp_path
):
    before = small_model.get_weights()
    expected = read(small_model, images)
    to_numpy = forward._to_numpy
    calls = []

    def breaks(tensor):
        calls.append(tensor)
        if len(calls) > 1:
            raise error
        return to_numpy(tensor)

    with monkeypatch.context() as patch:
        patch.setattr(forward, "_to_numpy", breaks)
        try:
            read(small_model, np.repeat(images, 8, axis=0))
        except error:
            pass
    for a, b in zip(before, small_model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(read(small_model, images), expected)
    small_model.save_to_preset(tmp_path / "preset")


def test_an_error_while_compiling_leaves_the_model_whole(small_model, images):
    def make():
        def breaks(x):
            small_model(x, training=False)
            raise ValueError("while tracing")

        return breaks

    function = cache.cached_function(small_model, "breaks", make)
    with pytest.raises(Exception, match="while tracing"):
        forward.run_in_batches(function, images)
    assert np.isfinite(small_model.class_maps(images)).all()
    assert len(small_model.get_weights()) == len(small_model.weights)


@every_read
def test_answers_are_of_the_weights_as_they_are(
    small_model, images, read, tmp_path
):
    first = read(small_model, images)
    before = small_model.get_weights()
    uncompiled = FACNN.from_config(small_model.get_config())
    uncompiled.set_weights(before)
    uncompiled.save(tmp_path / "first.keras")
    small_model.compile(
        keras.optimizers.SGD(0.5),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    small_model.fit(images, np.arange(5) % 4, verbose=0)
    trained = read(small_model, images)
    assert not np.allclose(trained, first, rtol=1e-3)
    twin = FACNN.from_config(small_model.get_config())
    twin.set_weights(small_model.get_weights())
    np.testing.assert_allclose(read(twin, images), trained, rtol=1e-4)
    small_model.set_weights(before)
    np.testing.assert_allclose(read(small_model, images), first, rtol=1e-5)
    loaded = keras.saving.load_model(tmp_path / "first.keras")
    np.testing.assert_allclose(read(loaded, images), first, rtol=1e-5)
    twin.save_weights(tmp_path / "twin.weights.h5")
    loaded.load_weights(tmp_path / "twin.weights.h5")
    np.testing.assert_allclose(read(loaded, images), trained, rtol=1e-4)


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch compiles nothing")
def test_a_last_smaller_batch_compiles_nothing_new(small_model, images):
    traces = []

    def make():
        def traced(x):
            traces.append(x.shape)
            return small_model(x, training=False)

        return traced

    function = cache.cached_function(small_model, "traced", make)
    received = forward.run_in_batches(function, images, batch_size=2)
    assert len(traces) == 1
    forward.run_in_batches(function, images, batch_size=2)
    again = cache.cached_function(small_model, "traced", make)
    forward.run_in_batches(again, images[:4], batch_size=2)
    assert len(traces) == 1
    np.testing.assert_allclose(
        received, small_model.predict(images, verbose=0), rtol=1e-5
    )


def test_an_explanation_compiles_one_function(small_model, images, monkeypatch):
    made = []
    compiled = cache.compiled_function

    def counted(*args):
        made.append(1)
        return compiled(*args)

    monkeypatch.setattr(cache, "compiled_function", counted)
    for _ in range(2):
        small_model.explain(images)
    assert len(made) == 1


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch compiles nothing")
def test_cams_are_compiled_once(small_model, images, monkeypatch):
    calls = []
    call = small_model.get_layer("conv_1").call

    def counted(*args, **kwargs):
        calls.append(1)
        return call(*args, **kwargs)

    monkeypatch.setattr(small_model.get_layer("conv_1"), "call", counted)
    attribution.grad_cam(small_model, images, 1, layer=2)
    assert calls
    compiled = len(calls)
    for classes in (2, [0, 1, 2, 3, 0], None):
        attribution.grad_cam(small_model, images, classes, layer=2)
    assert len(calls) == compiled


def test_what_is_kept_dies_with_the_model(images):
    alive = []
    for _ in range(12):
        model = FACNN(2, (4, 4, 3), (1,), (1,))
        model.class_maps(images[:1, :4, :4])
        attribution.grad_cam(model, images[:1, :4, :4], 1, layer=1)
        alive.append(weakref.ref(model))
        del model
    gc.collect()
    assert sum(one() is not None for one in alive) <= 1


def test_a_model_that_was_read_is_copied_and_saved(
    small_model, images, tmp_path
):
    expected = small_model.class_maps(images)
    small_model.save(tmp_path / "model.keras")
    for other in (
        copy.deepcopy(small_model),
        keras.saving.load_model(tmp_path / "model.keras"),
    ):
        np.testing.assert_allclose(other.class_maps(images), expected)


def test_calls_of_several_lengths_can_share_one_size(images):
    sizes = []

    def function(x):
        sizes.append(len(x))
        return x

    for n in (1, 5):
        received = forward.run_in_batches(
            function, images[:n], 4, one_size=True
        )
        np.testing.assert_array_equal(received, images[:n])
    assert sizes == ([1, 4, 1] if BACKEND == "torch" else [4, 4, 4])


class _Reads(keras.callbacks.Callback):
    """Reads a model in callbacks, by two names, and notes what came."""

    def __init__(self, model, reads):
        super().__init__()
        self.named, self.reads, self.came = model, reads, {}

    def note(self, where, model):
        for name, read in self.reads.items():
            try:
                self.came[where, name] = read(model)
            except Exception as e:
                self.came[where, name] = e

    def on_train_batch_end(self, batch, logs=None):
        self.note("another name", self.named)
        self.note("self.model", self.model)

    def on_epoch_end(self, epoch, logs=None):
        self.note("epoch", self.named)


def compiled(model):
    model.compile(
        keras.optimizers.SGD(0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def test_a_read_in_a_callback_is_right_or_says_why_not(small_model, images):
    functions = {
        "class_maps": READS["class_maps"],
        "grad_cam": READS["grad_cam"],
        "cam": lambda m, x: attribution.cam(m, x, 1),
        "get_weights": lambda m, x: m.get_weights()[0],
        "fuse": lambda m, x: m.fuse().get_weights()[0],
    }
    reads = {
        name: functools.partial(function, x=images)
        for name, function in functions.items()
    }
    callback = _Reads(small_model, reads)
    compiled(small_model).fit(
        images, np.arange(5) % 4, verbose=0, callbacks=[callback]
    )
    assert len(callback.came) == 3 * len(reads)
    for (where, name), came in callback.came.items():
        if BACKEND == "jax" and where == "another name":
            assert isinstance(came, RuntimeError), name
            assert "`self.model`" in str(came)
        else:
            expected = reads[name](small_model)
            np.testing.assert_allclose(came, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.skipif(BACKEND != "jax", reason="Others keep weights in the model")
def test_a_read_in_another_thread_during_fit_says_why_not(small_model, images):
    reads = [READS["class_maps"], READS["saliency"]]
    for read in reads:
        read(small_model, images)
    came, done = [], threading.Event()

    def keep_reading():
        while not done.is_set():
            for read in reads:
                try:
                    assert np.isfinite(read(small_model, images)).all()
                except Exception as e:
                    came.append(e)

    thread = threading.Thread(target=keep_reading)
    thread.start()
    x = np.repeat(images, 20, axis=0)
    compiled(small_model).fit(x, np.zeros(len(x)), batch_size=2, verbose=0)
    done.set()
    thread.join()
    assert came
    for e in came:
        assert isinstance(e, RuntimeError) and "no weights to read" in str(e)
    small_model.class_maps(images)


@pytest.mark.skipif(BACKEND != "jax", reason="Buffers are donated on JAX")
def test_values_that_a_step_used_up_say_why(small_model, images):
    small_model.class_maps(images)
    before = small_model.get_weights()
    for v in small_model.variables:
        v.value.delete()
    for read in READS.values():
        with pytest.raises(RuntimeError, match="no weights to read"):
            read(small_model, images)
    small_model.set_weights(before)
    assert small_model.class_maps(images).shape == (5, 4, 4, 4)


@pytest.mark.skipif(
    BACKEND == "torch" or not hasattr(os, "fork"), reason="Only others hang"
)
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
@pytest.mark.parametrize(
    "use",
    [
        lambda m, x: m.class_maps(x),
        lambda m, x: m.predict(x, verbose=0),
        lambda m, x: m.fit(x, np.zeros(len(x)), verbose=0),
    ],
    ids=["class_maps", "predict", "fit"],
)
def test_a_forked_child_is_refused(small_model, images, use):
    compiled(small_model)
    use(small_model, images)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            # A child that hangs ends, too, even if no Python runs in it.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(60)
            use(small_model, images)
            answer = "no error"
        except RuntimeError as e:
            answer = str(e)
        os.write(write, answer.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        assert "spawn" in file.read()
    os.waitpid(child, 0)


@pytest.mark.skipif(
    BACKEND != "tensorflow" or not hasattr(os, "fork"),
    reason="JAX starts threads at once, PyTorch none that is missed",
)
def test_a_child_of_a_process_that_only_imported_works():
    code = """
import os, signal
import numpy as np
import keras_facnn
child = os.fork()
if child == 0:
    signal.alarm(60)
    model = keras_facnn.FACNN(2, (4, 4, 3), (1,), (1,))
    for _ in range(2):
        assert model.class_maps(np.zeros((1, 4, 4, 3))).shape == (1, 4, 4, 2)
    os._exit(0)
raise SystemExit(os.waitpid(child, 0)[1])
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
