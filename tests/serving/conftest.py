import contextlib
import importlib.util
import io

import numpy as np
import pytest
from PIL import Image

from keras_facnn.serving import Settings

_NEEDED = (
    "httpx2",
    "onnx",
    "onnxruntime",
    "prometheus_client",
    "python_multipart",
    "starlette",
    "uvicorn",
)


def pytest_collection_modifyitems(items):
    missing = [n for n in _NEEDED if importlib.util.find_spec(n) is None]
    for item in items:
        if missing and "tests/serving" in item.path.as_posix():
            item.add_marker(pytest.mark.skip(reason=f"needs {missing}"))


@pytest.fixture(scope="session")
def model_path(tmp_path_factory):
    from tests.serving import tiny_model

    path = tmp_path_factory.mktemp("served") / "tiny.onnx"
    tiny_model.write(path)
    return path


@pytest.fixture(scope="session")
def explainer(model_path):
    from keras_facnn.runtime import Explainer

    return Explainer(model_path)


@pytest.fixture(scope="session")
def connect(model_path, explainer):
    """Return a function that returns a client of a server with settings."""
    from starlette.testclient import TestClient

    from keras_facnn.serving import make_app

    with contextlib.ExitStack() as stack:

        def connect(explainer=explainer, **settings):
            settings = {"model": str(model_path), "name": "tiny", **settings}
            app = make_app(Settings(**settings), explainer)
            return stack.enter_context(
                TestClient(
                    app,
                    base_url="http://127.0.0.1",
                    raise_server_exceptions=False,
                )
            )

        yield connect


@pytest.fixture(scope="session")
def client(connect):
    return connect()


@pytest.fixture(scope="session")
def pictures():
    """The bytes of three PNG files, of other sizes than the model's."""
    rng = np.random.default_rng(1)
    files = []
    for size in ((8, 8), (20, 12), (9, 30)):
        file = io.BytesIO()
        pixels = rng.integers(0, 256, (*size, 3), "uint8")
        Image.fromarray(pixels).save(file, "PNG")
        files.append(file.getvalue())
    return files
