"""The settings of `make test-avx2` limit the backends to AVX2.

oneDNN, XLA and PyTorch choose their code for the processor that they find. If
they ignored these settings, the rest of that target would test nothing new.
"""

import collections
import os
import platform
import re
import subprocess
import sys

import keras
import pytest

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="x86 has AVX2"
)
PREDICT = """
import keras
import numpy as np

model = keras.Sequential(
    [keras.Input((16, 16, 8)), keras.layers.Conv2D(16, 3, activation="elu")]
)
model.compile(jit_compile={jit_compile})
model.predict(np.ones((32, 16, 16, 8), "float32"), verbose=0)
"""


def predict(jit_compile, **variables):
    """Return what a process of the backend prints, optimized as for users."""
    environment = {**os.environ, **variables}
    environment.pop("JAX_DISABLE_MOST_OPTIMIZATIONS")
    return subprocess.run(
        [sys.executable, "-c", PREDICT.format(jit_compile=jit_compile)],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@pytest.mark.only_on("tensorflow", "torch")
def test_onednn_computes_convolutions_by_avx2():
    said = predict(False, ONEDNN_VERBOSE="1")
    assert re.findall(",cpu,isa:(.*)", said) == ["Intel AVX2"]
    assert re.search(",exec,cpu,convolution,.*avx2", said)
    assert "avx512" not in said


@pytest.mark.only_on("tensorflow", "jax")
def test_xla_compiles_for_avx2(tmp_path):
    """For vectors of 16 floats, it uses vectors of 8."""
    predict(
        True,
        XLA_FLAGS=os.environ["XLA_FLAGS"]
        + f" --xla_cpu_prefer_vector_width=512 --xla_dump_to={tmp_path}",
        # Cached code would not be compiled again.
        JAX_ENABLE_COMPILATION_CACHE="false",
    )
    lengths = collections.Counter(
        length
        for path in tmp_path.glob("*.ir-with-opt.ll")
        for length in re.findall(r"<(\d+) x float>", path.read_text("utf-8"))
    )
    assert lengths["8"] > 10 * lengths["16"], lengths


@pytest.mark.only_on("torch")
def test_pytorch_uses_its_code_for_avx2():
    import torch

    assert keras.backend.backend() == "torch"
    assert torch.backends.cpu.get_cpu_capability() == "AVX2"
