"""Serve the page, and limit the resources that it takes."""

import contextlib
import importlib
import io
import pathlib
import socket
import tempfile
import warnings
from typing import Any

from keras_facnn._checks.packages import how_to_install
from keras_facnn.demo.gate import Application
from keras_facnn.demo.gate import Gate
from keras_facnn.demo.page import make_page
from keras_facnn.demo.upload_limits import MAX_BYTES
from keras_facnn.demo.visits import Visits
from keras_facnn.demo.visits import largest_body

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
# How many visits keep their latest photo; each takes about 3 MB.
_VISITS = 32
_CONNECTIONS = 200


def sample_paths(preset: str) -> list[pathlib.Path]:
    """Return the sample pictures of a bundled preset, or none.

    Example:

    >>> import keras_facnn
    >>> paths = keras_facnn.demo.serving.sample_paths("cifar10")
    >>> "cat_face" in [path.stem for path in paths]
    True
    """
    if not preset.isidentifier():
        return []
    folder = pathlib.Path(__file__).parents[1] / "samples" / preset
    return sorted(folder.glob("*.jpg"))


def serve(
    model: Any, preset: str, host: str = "127.0.0.1", port: int = 7860
) -> None:
    """Serve the page until Ctrl-C.

    Args:
        model: A `FACNN` of images of 1 or 3 channels, of one size.
        preset: Name of the model, to show.
        host: Address to listen at.
        port: Port to listen at; 0 is any free port.

    Raises:
        ImportError: If Gradio is not installed.
        OSError: If the page cannot listen at the port.
    """
    check_installed()
    # Pillow warns of large images, which `read_picture` refuses itself.
    warnings.filterwarnings("ignore", "Image size .* exceeds limit")
    with _listen(host, port) as listener:
        port = listener.getsockname()[1]
        photos: dict[str, bytes] = {}
        # Visitors see only the name of a folder.
        name = pathlib.Path(preset).name
        with tempfile.TemporaryDirectory() as folder:
            # Gradio creates an empty folder there, which the page never uses.
            _set_temporary_folder(folder)
            is_local = host in _LOOPBACK
            page = make_page(
                model, name, sample_paths(preset), is_local, photos
            )
            # Otherwise Gradio takes the path of any file for an upload.
            page.has_launched = True
            page.state_session_capacity = _VISITS
            app = _mount(page, host, port)

        def forget(visit: str) -> None:
            page.state_holder.session_data.pop(visit, None)

        _print_address(host, port)
        _run(
            Gate(Visits(app, photos, forget), host, largest_body(MAX_BYTES)),
            listener,
        )
        print("The page is closed", flush=True)


def check_installed() -> None:
    """Raise an ImportError that says what to install, if Gradio is missing."""
    try:
        importlib.import_module("gradio")
    except ImportError as e:
        raise ImportError(
            f"The page needs Gradio ({e}): {how_to_install('demo')}"
        ) from e


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as e:
        raise OSError(
            f"The page cannot be served at {host}, port {port} "
            f"({e.strerror or e}). Choose another by --host or --port"
        ) from e


def _set_temporary_folder(folder: str) -> None:
    import gradio as gr

    gr.routes.DEFAULT_TEMP_DIR = folder


def _mount(page: Any, host: str, port: int) -> Any:
    """Return an ASGI application of the page, without what it does not use."""
    import fastapi
    import gradio as gr

    return gr.mount_gradio_app(
        fastapi.FastAPI(openapi_url=None),
        page,
        path="/",
        server_name=host,
        server_port=port,
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        # Fonts of the system: the default theme loads its fonts from the web.
        theme=gr.themes.Base(
            primary_hue="orange",
            font=("system-ui", "sans-serif"),
            font_mono=("ui-monospace", "monospace"),
        ).set(
            # As dark as other small print, so that it can be read.
            block_info_text_color="*neutral_500",
            block_info_text_color_dark="*neutral_400",
        ),
        css_paths=pathlib.Path(__file__).with_name("page.css"),
    )


def _print_address(host: str, port: int) -> None:
    """Print where the page is, and who can use it."""
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    name = f"[{local}]" if ":" in local else local
    print(f"The page is at http://{name}:{port} (Ctrl-C ends it)", flush=True)
    if local != host:
        print(
            "All who reach this computer can use it: by its IP address, "
            "not by its name",
            flush=True,
        )
    elif host not in _LOOPBACK:
        print("All who reach this address can use it", flush=True)


def _run(app: Application, listener: socket.socket) -> None:
    """Answer requests until Ctrl-C."""
    import uvicorn

    with contextlib.ExitStack() as ending:

        class Server(uvicorn.Server):
            def handle_exit(self, sig: int, frame: Any) -> None:
                # Gradio prints a traceback of each answer that is cut off.
                ending.enter_context(contextlib.redirect_stderr(io.StringIO()))
                super().handle_exit(sig, frame)

        config = uvicorn.Config(
            app,
            log_level="critical",
            # Each takes one of the files that a process may open.
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
        with contextlib.suppress(KeyboardInterrupt):
            Server(config).run(sockets=[listener])
