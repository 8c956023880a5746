"""The ASGI application of a server."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keras_facnn.runtime import Explainer
from keras_facnn.serving import errors
from keras_facnn.serving import plain
from keras_facnn.serving import v1
from keras_facnn.serving import v2
from keras_facnn.serving.gate import Gate
from keras_facnn.serving.service import Service
from keras_facnn.serving.service import service_of
from keras_facnn.serving.settings import Settings


def make_app(settings: Settings, explainer: Any = None) -> Starlette:
    """Return the ASGI application of a server.

    Args:
        settings: What to serve.
        explainer: An `Explainer`. None opens the model of the settings.
    """
    if explainer is None:
        explainer = Explainer(
            settings.model, engine=settings.engine, threads=settings.threads
        )
    service = Service(explainer, settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = Starlette(
        routes=[
            _post("/explain", plain.explain),
            _post("/v1/models/{name}:predict", v1.predict),
            _post("/v1/models/{name}:explain", v1.explain),
            Route("/v1/models", v1.list_models),
            Route("/v1/models/{name}", v1.model_status),
            Route("/v2", v2.server_metadata),
            Route("/v2/health/live", v2.live),
            Route("/v2/health/ready", v2.ready),
            Route("/v2/models/{name}", v2.model_metadata),
            Route("/v2/models/{name}/ready", v2.model_ready),
            _post("/v2/models/{name}/infer", v2.infer),
            Route("/metrics", metrics),
        ],
        middleware=[Middleware(Gate, service=service)],
        exception_handlers={
            errors.RequestError: errors.answer_request_error,
            HTTPException: errors.answer_http_error,
            Exception: errors.answer_failure,
        },
        lifespan=lifespan,
    )
    app.state.service = service
    return app


async def metrics(request: Request) -> Response:
    """Answer the metrics of all workers, for Prometheus."""
    service = service_of(request)
    text, content_type = await service.in_pool(service.metrics.text)
    return Response(text, headers={"Content-Type": content_type})


def _post(path: str, endpoint: Any) -> Route:
    return Route(path, endpoint, methods=["POST"])
