"""Serves the page on this computer, and keeps what it takes small."""

import contextlib
import importlib
import io
import pathlib
import socket
import tempfile
import typing
import warnings

from keras_facnn._checks.packages import how_to_install
from keras_facnn.demo.gate import Gate
from keras_facnn.demo.looking import MAX_BYTES
from keras_facnn.demo.page import page
from keras_facnn.demo.visits import Visits
from keras_facnn.demo.visits import largest_body

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Visits whose latest photo is kept, which takes about 3 MB.
_VISITS = 32
_CONNECTIONS = 200


def sample_paths(preset: str) -> list[pathlib.Path]:
    """The pictures that the package has for a bundled preset.

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
    model: typing.Any,
    preset: str,
    host: str = "127.0.0.1",
    port: int = 7860,
) -> None:
    """Serves the page until Ctrl-C.

    Args:
        model: A `FACNN` of images of 1 or 3 channels, of one size.
        preset: Name of the model, to show.
        host: Address to listen at.
        port: Port to listen at; 0 is any free one.

    Raises:
        ImportError: If Gradio is missing.
        OSError: If the port cannot be had.
    """
    check_installed()
    import fastapi
    import gradio as gr
    import uvicorn

    here = host in _LOOPBACK
    # Pillow's, of what the reader refuses.
    warnings.filterwarnings("ignore", "Image size .* exceeds limit")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as e:
        raise OSError(
            f"The page cannot be served at {host}, port {port} "
            f"({e.strerror or e}). Name another by --host or --port"
        ) from e
    with listener:
        photos: dict[str, bytes] = {}
        with tempfile.TemporaryDirectory() as folder:
            # Where Gradio makes an empty folder that the page has no use for.
            gr.routes.DEFAULT_TEMP_DIR = folder
            # Of a folder, visitors see the name only.
            shown = pathlib.Path(preset).name
            blocks = page(model, shown, sample_paths(preset), here, photos)
            # Or Gradio takes any file's path for that of an upload.
            blocks.has_launched = True
            blocks.state_session_capacity = _VISITS
            app = gr.mount_gradio_app(
                fastapi.FastAPI(openapi_url=None),
                blocks,
                path="/",
                server_name=host,
                server_port=listener.getsockname()[1],
                footer_links=[],
                run_history=False,
                show_error=False,
                ssr_mode=False,
                enable_monitoring=False,
                pwa=False,
                mcp_server=False,
                # Fonts of the system: the default theme's would come from afar.
                theme=gr.themes.Base(
                    primary_hue="orange",
                    font=("system-ui", "sans-serif"),
                    font_mono=("ui-monospace", "monospace"),
                ).set(
                    # As dark as other small print, to be read.
                    block_info_text_color="*neutral_500",
                    block_info_text_color_dark="*neutral_400",
                ),
                css_paths=pathlib.Path(__file__).with_name("page.css"),
            )

        def forget(session: str) -> None:
            blocks.state_holder.session_data.pop(session, None)

        local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        name = f"[{local}]" if ":" in local else local
        url = f"http://{name}:{listener.getsockname()[1]}"
        print(f"The page is at {url} (Ctrl-C ends it)", flush=True)
        if local != host:
            print(
                "All who reach this computer can use it: by its IP address, "
                "not by its name",
                flush=True,
            )
        elif not here:
            print("All who reach this address can use it", flush=True)
        with contextlib.ExitStack() as ending:

            class Server(uvicorn.Server):
                def handle_exit(self, sig: int, frame: typing.Any) -> None:
                    # Gradio prints a traceback of each answer that is cut off.
                    ending.enter_context(
                        contextlib.redirect_stderr(io.StringIO())
                    )
                    super().handle_exit(sig, frame)

            server = Server(
                uvicorn.Config(
                    Gate(
                        Visits(app, photos, forget),
                        host,
                        largest_body(MAX_BYTES),
                    ),
                    log_level="critical",
                    # Each takes one of the files that a process may open.
                    limit_concurrency=_CONNECTIONS,
                    timeout_graceful_shutdown=1,
                )
            )
            with contextlib.suppress(KeyboardInterrupt):
                server.run(sockets=[listener])
        print("The page is closed", flush=True)


def check_installed() -> None:
    """Raises an ImportError that says what to install, if Gradio is missing."""
    try:
        importlib.import_module("gradio")
    except ImportError as e:
        raise ImportError(
            f"The page needs Gradio ({e}): {how_to_install('demo')}"
        ) from e
