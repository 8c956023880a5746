"""`POST /explain`: a picture in, JSON or a PNG out."""

from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.responses import Response

from keras_facnn.serving import bodies
from keras_facnn.serving.errors import RequestError
from keras_facnn.serving.service import Service
from keras_facnn.serving.service import row_to_json
from keras_facnn.serving.service import service_of


async def explain(request: Request) -> Response:
    """Explain the picture in the body or in a form.

    `class`, in the address or in the form, is the name or the number of the
    class to explain. `format` is json or png.
    """
    service = service_of(request)
    with service.batcher.coming():
        image, class_, is_png = await _read(service, request)
    answer = await service.within_time(_answer(service, image, class_, is_png))
    assert isinstance(answer, Response)
    return answer


async def _read(
    service: Service, request: Request
) -> tuple[np.ndarray, Any, bool]:
    """Return the pixels of a picture, its class, and whether a PNG is asked."""
    fields = dict(request.query_params)
    content_type = request.headers.get("content-type", "").lower()
    async with service.bodies.read(request) as picture:
        if content_type.startswith("multipart/form-data"):
            picture, form = await bodies.read_form(request, picture)
            fields |= form
        is_png = _is_png_wanted(request, fields)
        class_ = _class(service, fields)
        (image,) = await service.within_time(service.decode([picture]))
    return image, class_, is_png


async def _answer(
    service: Service, image: np.ndarray, class_: Any, is_png: bool
) -> Response:
    (row,) = await service.explain([image], class_, maps=True)
    if not is_png:
        return JSONResponse(row_to_json(row, maps=True, probabilities=False))
    png = await service.in_pool(service.explainer.overlay, image, row["maps"])
    return Response(png, media_type="image/png")


def _is_png_wanted(request: Request, fields: dict[str, str]) -> bool:
    asked = fields.get("format")
    if asked is None:
        return "image/png" in request.headers.get("accept", "").lower()
    if asked not in ("json", "png"):
        raise RequestError(
            400, f"`format` must be json or png. Received: {asked!r}"
        )
    return asked == "png"


def _class(service: Service, fields: dict[str, str]) -> Any:
    """Return the class to explain: a name, a number, or None."""
    text = fields.get("class")
    if text == "all":
        raise RequestError(400, "`class` must be one class")
    names = service.explainer.class_names or ()
    # The name of a class may be a number.
    if text is not None and text.isdecimal() and text not in names:
        if len(text) > 9:
            raise RequestError(400, "`class` must be the number of a class")
        return int(text)
    return text
