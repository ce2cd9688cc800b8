"""``ae serve``: an HTTP service with a page for the browser.

It stores no image, and a request cannot make it read a file of the machine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import cv2
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from associative_embedding import __version__
from associative_embedding.apps.server.limits import Limits
from associative_embedding.apps.server.model_thread import ModelThread, QueueFull
from associative_embedding.apps.server.page import page_router
from associative_embedding.apps.server.request_memory import RequestMemory, digest_of
from associative_embedding.apps.server.requests import (
    NotKept,
    Query,
    TooLarge,
    model_description,
    read_image_file,
    read_query,
    request_settings,
)
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import Instances, coco_dataset
from associative_embedding.io.console import one_line
from associative_embedding.io.decode_images import decode
from associative_embedding.structures.arrays import Array
from associative_embedding.tasks.task import Task


def create_app(predictor: Predictor, limits: Limits | None = None) -> FastAPI:
    """Returns the service as an ASGI application, which any ASGI server can run.

    Args:
        predictor: the model.
        limits: default: the defaults of `Limits`.
    """
    limits = limits or Limits()
    model = ModelThread(predictor, limits)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(model.run())
        yield
        await model.drain()  # after Ctrl-C: requests that were accepted get their answers
        task.cancel()

    app = FastAPI(
        title="associative-embedding",
        description="Finds people or objects in images with one model, by associative embedding.",
        version=__version__,
        lifespan=lifespan,
        redoc_url=None,
    )
    # Not the global registry of Prometheus: two services in one process would register the same names twice.
    registry = CollectorRegistry()
    counted = Counter("ae_requests", "Answers to prediction requests, by status", ["status"], registry=registry)
    seconds = Histogram("ae_request_seconds", "Seconds of an answered prediction request", registry=registry)
    Gauge("ae_waiting", "Requests in the queue", registry=registry).set_function(model.queue.qsize)
    Gauge("ae_batches", "Batches that the model has run", registry=registry).set_function(lambda: model.batches)
    add_routes(app, model, registry, lambda status: counted.labels(str(status)).inc(), seconds.observe)
    return app


def add_routes(
    app: FastAPI, model: ModelThread, registry: Any, count: Callable[[int], None], observe: Callable[[float], None]
) -> None:
    """Adds ``/predict``, ``/health``, ``/metrics`` and the page.

    Args:
        app: the application.
        model: the model and the limits.
        registry: registry of the Prometheus metrics.
        count: is called with the status of each answer to ``/predict``.
        observe: is called with the seconds that each successful answer took.
    """
    limits, predictor = model.limits, model.predictor
    memory = RequestMemory(limits.memory)

    async def answer(request: Request) -> Response:
        start = time.monotonic()
        try:
            query = read_query(request, predictor)
            data = await asyncio.wait_for(read_image_file(request, limits), limits.timeout)
            if query.image:
                data = kept_file(query.image, data, memory)
            image = await asyncio.to_thread(decode, data, "the image", max_pixels=limits.max_pixels)
            digest = digest_of(data)
            found = await model.submit(digest, image, query.settings)
        except REQUEST_ERRORS as error:
            status, text = refusal(error, limits)
            count(status)
            # 429 and 503 are states of the server that pass: a client may send the same request again.
            headers = {"Retry-After": "1"} if status in (429, 503) else None
            return JSONResponse({"detail": text}, status, headers)
        found = found[found.score >= query.min_score]
        response = await asyncio.to_thread(render, found, image, query, predictor.task)
        memory.keep(digest, data)
        response.headers[DIGEST] = digest  # a later request may send it in place of the image
        count(200)
        observe(time.monotonic() - start)
        return response

    app.post(
        "/predict",
        summary="Find people or objects in an image",
        description=f"{PREDICT_TEXT}: {', '.join(f'`{name}`' for name in request_settings(predictor))}.",
        responses={n: {"description": d} for n, d in STATUS.items()},
        openapi_extra={"requestBody": {"content": BODY}},
    )(answer)

    @app.get("/health", summary="State of the service, and its model")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "version": __version__, "waiting": model.queue.qsize(), **model_description(predictor)}

    @app.get("/metrics", summary="Metrics for Prometheus")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    app.include_router(page_router(predictor, limits, {"Content-Security-Policy": POLICY}))


# ImageError is a ValueError; MemoryError and RuntimeError come from the network.
REQUEST_ERRORS = (NotKept, TooLarge, QueueFull, ValueError, OSError, MemoryError, RuntimeError)


def refusal(error: Exception, limits: Limits) -> tuple[int, str]:
    """Returns the status and the text of the answer to a request that failed."""
    match error:
        case NotKept():
            return 404, "the server does not have this image, or has it no longer: send the image itself"
        case TooLarge():
            return 413, str(error)
        case QueueFull():
            return 429, f"{limits.queue} requests are waiting already: try again later"
        case TimeoutError():  # before OSError, which it is a kind of
            return 503, f"no answer within {limits.timeout:g} seconds"
        case ValueError() | OSError():
            return 422, one_line(error)
        case _:  # the next image may be fine, so the service goes on
            return 500, f"the model failed ({type(error).__name__})"


def kept_file(digest: str, body: bytes, memory: RequestMemory) -> bytes:
    """Returns the file that a digest stands for.

    Raises:
        ValueError: when the request has an image beside the digest.
        NotKept: when the file is not there.
    """
    if body:
        raise ValueError("send an image or the digest of one, not both")
    data = memory.find(digest)
    if data is None:
        raise NotKept
    return data


def render(found: Instances, image: Array, query: Query, task: Task) -> Response:
    """Returns the annotated image as JPEG, or a COCO dataset whose annotations also have their tags."""
    if query.picture:
        good, jpeg = cv2.imencode(".jpg", found.draw(image)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        assert good
        return Response(jpeg.tobytes(), media_type="image/jpeg")
    document = coco_dataset([found], task.categories)
    for row, tag in zip(document["annotations"], found.tag, strict=True):
        row["tag"] = [round(float(value), 4) for value in tag]
    return JSONResponse(document)


PREDICT_TEXT = (
    "Send the image file as the body, as the field `file` of a form, or, if the server accepts URLs, as json: "
    '`{"url": "https://..."}`. The answer is a COCO dataset with one image; each annotation also has a `score` in '
    "[0, 1] and a `tag`. Query parameters: `format` (`json`, or `picture` for the annotated image as JPEG), "
    "`min_score` (lowest score in the answer), `image` (the header `X-Image` of an earlier answer, in place of the "
    "body: the same image with other settings; 404 if the server no longer has it), and numbers that replace decode "
    "settings of the model"
)
# The page loads nothing from other servers, and a browser must not let it do so.
POLICY = "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:"
DIGEST = "X-Image"
STATUS = {
    200: "The instances, as a COCO dataset or as a picture",
    404: "The server does not have the image of this digest",
    413: "The image file is too large",
    422: "The image or a setting cannot be used",
    429: "Too many requests are waiting",
    500: "The model failed",
    503: "The request took too long",
}
BINARY = {"schema": {"type": "string", "format": "binary"}}
BODY = {
    "image/*": BINARY,
    "multipart/form-data": {"schema": {"type": "object", "properties": {"file": BINARY["schema"]}}},
    "application/json": {"schema": {"type": "object", "properties": {"url": {"type": "string"}}}},
}


def serve(predictor: Predictor, limits: Limits, host: str, port: int) -> None:
    """Runs the service until Ctrl-C or SIGTERM; requests in the queue are answered before it ends.

    Args:
        predictor: the model.
        limits: limits of the service.
        host: address to listen on.
        port: port to listen on.
    """
    app = create_app(predictor, limits)
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=int(limits.timeout) + 1)
