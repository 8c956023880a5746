"""Answer errors as JSON, without paths or tracebacks."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.responses import Response

from keras_facnn._checks.text import printable

# Longer messages would repeat what the client has sent.
_LONGEST = 500


class RequestError(Exception):
    """A request that cannot be answered.

    Args:
        status: HTTP status.
        message: What is wrong, for the client.
        headers: Headers of the answer.
    """

    def __init__(
        self, status: int, message: str, headers: dict[str, str] | None = None
    ):
        super().__init__(message)
        self.status = status
        self.message = printable(message[:_LONGEST])[:_LONGEST]
        self.headers = headers or {}

    def response(self) -> Response:
        """Return the answer to the client."""
        return JSONResponse(
            {"error": self.message}, self.status, headers=self.headers
        )


def busy(message: str) -> RequestError:
    """Return the error for a client that should try again a little later."""
    return RequestError(503, message, {"Retry-After": "1"})


async def answer_request_error(request: Request, error: Exception) -> Response:
    """Answer a `RequestError`."""
    assert isinstance(error, RequestError)
    return error.response()


async def answer_http_error(request: Request, error: Exception) -> Response:
    """Answer what Starlette refuses, such as an unknown address."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    return RequestError(error.status_code, error.detail, headers).response()


async def answer_failure(request: Request, error: Exception) -> Response:
    """Answer an error of the server. Its log has the traceback."""
    return RequestError(500, "The server failed; its log says why").response()
