"""The Open Inference Protocol, version 2, over HTTP."""

import json
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.responses import Response

from keras_facnn.serving import bodies
from keras_facnn.serving import tensors
from keras_facnn.serving.errors import RequestError
from keras_facnn.serving.errors import busy
from keras_facnn.serving.service import Service
from keras_facnn.serving.service import service_of
from keras_facnn.version import __version__

# The input: pixels, or, with the datatype BYTES, files of pictures.
INPUT = "images"
# In the protocol, and in the answer's and the request's headers.
_JSON_LENGTH = "Inference-Header-Content-Length"


async def server_metadata(request: Request) -> JSONResponse:
    """Tell what the server is."""
    return JSONResponse(
        {
            "name": "keras_facnn",
            "version": __version__,
            "extensions": ["binary_tensor_data"],
        }
    )


async def live(request: Request) -> JSONResponse:
    """Tell that the server runs."""
    return JSONResponse({"live": True})


async def ready(request: Request) -> JSONResponse:
    """Tell that the model answers."""
    if not service_of(request).batcher.is_running:
        raise busy("The model is not ready")
    return JSONResponse({"ready": True})


async def model_ready(request: Request) -> JSONResponse:
    """Tell that the model answers."""
    service = service_of(request)
    service.check_name(request)
    if not service.batcher.is_running:
        raise busy("The model is not ready")
    return JSONResponse({"name": service.settings.name, "ready": True})


async def model_metadata(request: Request) -> JSONResponse:
    """Tell the input and the outputs of the model."""
    service = service_of(request)
    service.check_name(request)
    explainer = service.explainer
    return JSONResponse(
        {
            "name": service.settings.name,
            "platform": "keras_facnn",
            "inputs": [
                {
                    "name": INPUT,
                    "datatype": "UINT8",
                    "shape": [-1, *explainer.image_shape],
                }
            ],
            "outputs": [
                {"name": name, "datatype": datatype, "shape": shape}
                for name, (datatype, shape) in service.outputs.items()
            ],
            "parameters": {
                "sha256": explainer.sha256,
                "class_names": explainer.class_names
                and list(explainer.class_names),
            },
        }
    )


async def infer(request: Request) -> Response:
    """Answer the outputs that the request names, or all of them."""
    service = service_of(request)
    service.check_name(request)
    with service.batcher.coming():
        images, values = await _read(service, request)
    wanted = _wanted_outputs(service, values)
    maps = any("maps" in name for name in wanted)
    parameters = tensors.parameters_of(values)
    rows = await service.within_time(
        service.explain(images, parameters.get("classes"), maps)
    )
    return await service.in_pool(_response, service, values, wanted, rows)


async def _read(
    service: Service, request: Request
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Return the images of a request, and the rest of its JSON."""
    length = request.headers.get(_JSON_LENGTH)
    async with service.bodies.read(request) as body:
        return await service.within_time(_parse(service, body, length))


async def _parse(
    service: Service, body: bytes, length: str | None
) -> tuple[list[np.ndarray], dict[str, Any]]:
    values, binary = await service.in_pool(tensors.split_body, body, length)
    # They are large, and `values` stay until the answer.
    inputs = values.pop("inputs", None)
    if (
        not isinstance(inputs, list)
        or len(inputs) != 1
        or not isinstance(inputs[0], dict)
        or inputs[0].get("name") != INPUT
    ):
        raise RequestError(400, f"`inputs` must be one tensor, {INPUT!r}")
    value = await service.in_pool(tensors.read_tensor, inputs[0], binary)
    if isinstance(value, list):
        return await service.decode(value), values
    images = await service.in_pool(
        bodies.check_pixels, value, service.explainer, INPUT
    )
    return list(images), values


def _wanted_outputs(
    service: Service, values: dict[str, Any]
) -> dict[str, bool]:
    """Return the outputs to answer, and whether each one is binary."""
    default = tensors.parameters_of(values).get("binary_data_output") is True
    outputs = values.get("outputs") or [{"name": n} for n in service.outputs]
    if not isinstance(outputs, list):
        raise RequestError(400, "`outputs` must be a list")
    wanted: dict[str, bool] = {}
    for output in outputs:
        name = output.get("name") if isinstance(output, dict) else None
        if not isinstance(name, str) or name not in service.outputs:
            raise RequestError(
                400,
                f"`outputs` must be among {', '.join(service.outputs)}. "
                f"Received: {name!r}",
            )
        binary = tensors.parameters_of(output).get("binary_data", default)
        wanted[name] = binary is True
    return wanted


def _response(
    service: Service,
    values: dict[str, Any],
    wanted: dict[str, bool],
    rows: list[dict[str, Any]],
) -> Response:
    outputs, chunks = [], []
    for name, is_binary in wanted.items():
        datatype, _ = service.outputs[name]
        column = np.stack([row[name] for row in rows])
        output: dict[str, Any] = {
            "name": name,
            "shape": list(column.shape),
            "datatype": datatype,
        }
        if is_binary:
            chunks.append(tensors.to_bytes(column, datatype))
            output["parameters"] = {"binary_data_size": len(chunks[-1])}
        else:
            output["data"] = column.ravel().tolist()
        outputs.append(output)
    answer: dict[str, Any] = {
        "model_name": service.settings.name,
        "outputs": outputs,
    }
    if isinstance(values.get("id"), str):
        answer["id"] = values["id"]
    if not chunks:
        return JSONResponse(answer)
    head = json.dumps(answer, allow_nan=False).encode()
    return Response(
        b"".join([head, *chunks]),
        media_type="application/octet-stream",
        headers={_JSON_LENGTH: str(len(head))},
    )
