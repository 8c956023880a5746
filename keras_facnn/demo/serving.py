"""Serves the page on this computer, and keeps what it takes small."""

import importlib
import os
import pathlib
import socket
import tempfile
import typing
import warnings

from keras_facnn.demo.gate import Gate
from keras_facnn.demo.looking import MAX_BYTES
from keras_facnn.demo.page import page
from keras_facnn.installing import how_to_install

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Visits whose photograph is kept.
_VISITS = 16


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
    with listener, tempfile.TemporaryDirectory() as folder:
        # Where uploads lie until they are read.
        os.environ["GRADIO_TEMP_DIR"] = folder
        blocks = page(model, preset, sample_paths(preset), here)
        # Or Gradio takes any file's path for that of an upload.
        blocks.has_launched = True
        # Of each visit, about 5 MB are kept: of the latest ones only.
        blocks.state_session_capacity = _VISITS
        app = gr.mount_gradio_app(
            fastapi.FastAPI(openapi_url=None),
            blocks,
            path="/",
            server_name=host,
            server_port=listener.getsockname()[1],
            footer_links=[],
            run_history=False,
            max_file_size=MAX_BYTES,
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
        name = f"[{host}]" if ":" in host else host
        url = f"http://{name}:{listener.getsockname()[1]}"
        print(f"The page is at {url} (Ctrl-C ends it)", flush=True)
        if not here:
            print("Whoever reaches this address can use it", flush=True)
        server = uvicorn.Server(
            uvicorn.Config(
                # With room for what wraps the bytes of a file.
                Gate(app, host, MAX_BYTES + 2**16),
                log_level="critical",
                timeout_graceful_shutdown=1,
            )
        )
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            pass
        print("The page is closed", flush=True)


def check_installed() -> None:
    """Raises an ImportError that says what to install, if Gradio is missing."""
    try:
        importlib.import_module("gradio")
    except ImportError as e:
        raise ImportError(
            f"The page needs Gradio ({e}): {how_to_install('demo')}"
        ) from e
