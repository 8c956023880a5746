"""The protocol of TensorFlow Serving and KServe, version 1."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from keras_facnn.serving import bodies
from keras_facnn.serving.errors import RequestError
from keras_facnn.serving.service import Service
from keras_facnn.serving.service import row_to_json
from keras_facnn.serving.service import service_of


async def list_models(request: Request) -> JSONResponse:
    """Name the model."""
    return JSONResponse({"models": [service_of(request).settings.name]})


async def model_status(request: Request) -> JSONResponse:
    """Tell whether the model is ready."""
    service = service_of(request)
    service.check_name(request)
    return JSONResponse(
        {"name": service.settings.name, "ready": service.batcher.is_running}
    )


async def predict(request: Request) -> JSONResponse:
    """Answer the class and the probabilities of each instance."""
    return await _answer(request, "predictions", maps=False)


async def explain(request: Request) -> JSONResponse:
    """Answer the class and its map for each instance."""
    return await _answer(request, "explanations", maps=True)


async def _answer(request: Request, name: str, maps: bool) -> JSONResponse:
    service = service_of(request)
    service.check_name(request)
    with service.batcher.coming():
        images, classes = await _read(service, request)
    rows = await service.within_time(service.explain(images, classes, maps))

    def response() -> JSONResponse:
        return JSONResponse(
            {name: [row_to_json(row, maps, not maps) for row in rows]}
        )

    # In a thread, because many maps take long to write.
    return await service.in_pool(response)


async def _read(service: Service, request: Request) -> tuple[Any, Any]:
    """Return the images of a request, and the classes that it asks for."""
    async with service.bodies.read(request) as body:
        return await service.within_time(_parse(service, body))


async def _parse(service: Service, body: bytes) -> tuple[Any, Any]:
    values = await service.in_pool(bodies.parse_json, body)
    instances = values.get("instances")
    if not isinstance(instances, list) or not instances:
        raise RequestError(400, "`instances` must be a list, and not empty")
    service.check_count(len(instances))
    parameters = values.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise RequestError(400, "`parameters` must be an object")
    classes = parameters.get("classes")
    files = [_base64_of(one) for one in instances]
    if all(file is None for file in files):
        images: Any = await service.in_pool(
            bodies.check_pixels, instances, service.explainer, "instances"
        )
        return list(images), classes
    if any(file is None for file in files):
        raise RequestError(
            400, "`instances` must be all pictures or all arrays of pixels"
        )
    return await service.decode(list(map(bodies.decode_base64, files))), classes


def _base64_of(instance: Any) -> Any:
    """Return the base64 text of a picture, or None for an array of pixels.

    Clients write {"b64": text}, or the same under the name of an input.
    """
    if not isinstance(instance, dict):
        return None
    if "b64" in instance:
        return instance["b64"]
    inner = list(instance.values())
    if len(inner) == 1 and isinstance(inner[0], dict) and "b64" in inner[0]:
        return inner[0]["b64"]
    raise RequestError(
        400, 'An instance must be {"b64": "..."} or an array of pixels'
    )
