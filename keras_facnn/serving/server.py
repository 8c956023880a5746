"""Run a server until SIGTERM or Ctrl-C."""

import contextlib
import functools
import importlib
import math
import os
import signal
import socket
import tempfile
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from keras_facnn._checks.packages import how_to_install
from keras_facnn.runtime import Explainer
from keras_facnn.serving.settings import Settings

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette

# Besides the requests that wait, probes and idle connections. Each takes one
# of the files that a process may open.
_MORE_CONNECTIONS = 256
# What a server needs beyond the runtime.
_PACKAGES = ("starlette", "uvicorn", "prometheus_client", "python_multipart")


def serve(settings: Settings) -> None:
    """Serve a model until SIGTERM or Ctrl-C, and answer what has begun.

    Args:
        settings: What to serve.

    Raises:
        ImportError: If a package is missing.
        OSError: If the server cannot listen at the port.
        ValueError: If the model cannot be served.
    """
    check_installed()
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    # A bad file is an error here, not in each worker.
    explainer = Explainer(
        settings.model, engine=settings.engine, threads=settings.threads
    )
    if settings.watch is not None:
        from keras_facnn.serving.drift import Drift
        from keras_facnn.serving.metrics import Metrics

        Drift(settings.watch, explainer, Metrics())
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(_listen(settings.host, settings.port))
        if settings.workers > 1:
            stack.enter_context(_shared_metrics())
        config = uvicorn.Config(
            functools.partial(_make_app, settings),
            factory=True,
            workers=settings.workers,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            limit_concurrency=settings.queue + _MORE_CONNECTIONS,
            timeout_graceful_shutdown=math.ceil(settings.grace),
            # Starting means opening the model, which may take long.
            timeout_worker_healthcheck=60,
        )
        _print_address(settings, listener.getsockname()[1])
        if settings.workers > 1:
            Multiprocess(config, [listener]).run()
        else:
            _run(uvicorn.Server(config), listener)
    print("The server has ended", flush=True)


def check_installed() -> None:
    """Raise an ImportError that says what to install, if a package lacks."""
    for name in _PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as e:
            raise ImportError(
                f"The server needs {name} ({e}): {how_to_install('serve')}"
            ) from e


def _make_app(settings: Settings) -> "Starlette":
    from keras_facnn.serving.app import make_app

    # Nobody reads them here: pictures that are too large are refused, and dark
    # ones are read as they are.
    warnings.simplefilter("ignore")
    return make_app(settings)


def _run(server: "uvicorn.Server", listener: socket.socket) -> None:
    """Run one process."""
    # Uvicorn raises SIGTERM again after its end; this is no failure.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    finally:
        signal.signal(signal.SIGTERM, before)


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as e:
        raise OSError(
            f"The model cannot be served at {host}, port {port} "
            f"({e.strerror or e}). Choose another by --host or --port"
        ) from e


@contextlib.contextmanager
def _shared_metrics() -> Iterator[None]:
    """Let workers share their metrics in a folder, which is then removed."""
    from keras_facnn.serving.metrics import SHARED_FOLDER

    with tempfile.TemporaryDirectory(prefix="keras_facnn_metrics") as folder:
        os.environ[SHARED_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[SHARED_FOLDER]


def _print_address(settings: Settings, port: int) -> None:
    """Print where the server is, and who can use it."""
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(
        settings.host, settings.host
    )
    name = f"[{local}]" if ":" in local else local
    print(f"Serving at http://{name}:{port} (Ctrl-C ends it)", flush=True)
    if not settings.is_local and settings.token is None:
        print("All who reach this address can use it: no token", flush=True)
