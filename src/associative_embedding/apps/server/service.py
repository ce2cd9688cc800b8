"""``ae serve``: an HTTP service and a page for the browser. It stores no image and reads no file of the machine."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any

import cv2
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from associative_embedding import __version__
from associative_embedding.apps.server.limits import Limits
from associative_embedding.apps.server.model_thread import Busy, ModelThread
from associative_embedding.apps.server.requests import Query, TooLarge, about, image_bytes, live_settings, read_query
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import Instances, coco_dataset
from associative_embedding.io.console import one_line
from associative_embedding.io.decode_images import ImageError, decode
from associative_embedding.structures.arrays import Array


def create_app(predictor: Predictor, limits: Limits | None = None) -> FastAPI:
    """Returns the service, an ASGI application."""
    limits = limits or Limits()
    model = ModelThread(predictor, limits)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(model.run())
        yield
        await model.drain()
        task.cancel()

    app = FastAPI(
        title="associative-embedding", version=__version__, lifespan=lifespan, docs_url="/docs", redoc_url=None
    )
    registry = CollectorRegistry()
    counted = Counter("ae_requests", "Answers by status", ["status"], registry=registry)
    seconds = Histogram("ae_request_seconds", "Time of a prediction request", registry=registry)
    Gauge("ae_waiting", "Requests in the queue", registry=registry).set_function(model.queue.qsize)
    Gauge("ae_batches", "Batches that the model ran", registry=registry).set_function(lambda: model.batches)
    add_routes(app, model, registry, lambda status: counted.labels(str(status)).inc(), seconds.observe)
    return app


def add_routes(
    app: FastAPI, model: ModelThread, registry: Any, count: Callable[[int], None], observe: Callable[[float], None]
) -> None:
    """Adds ``/predict``, ``/health``, ``/metrics`` and the page.

    Args:
        registry: of the Prometheus metrics.
        count: gets the status of each answer to ``/predict``.
        observe: gets the seconds that a successful answer took.
    """
    limits, task = model.limits, model.predictor.task

    def refuse(status: int, text: str) -> Response:
        count(status)
        headers = {"Retry-After": "1"} if status in (429, 503) else None
        return JSONResponse({"detail": text}, status, headers)

    async def answer(request: Request) -> Response:
        start = time.monotonic()
        try:
            query = read_query(request, model.predictor)
            data = await asyncio.wait_for(image_bytes(request, limits), limits.timeout)
            image = await asyncio.to_thread(decode, data, "the image", max_pixels=limits.max_pixels)
            found = await model.submit(hashlib.sha256(data).hexdigest(), image, query.settings)
        except TooLarge as error:
            return refuse(413, str(error))
        except Busy:
            return refuse(429, f"{limits.queue} requests wait already: try again later")
        except TimeoutError:
            return refuse(503, f"no answer within {limits.timeout:g} seconds")
        except (ImageError, ValueError, OSError) as error:
            return refuse(422, one_line(error))
        except (MemoryError, RuntimeError) as error:  # of the network; the next image may be fine
            return refuse(500, f"the model failed ({type(error).__name__})")
        found = found[found.score >= query.min_score]
        response = await asyncio.to_thread(render, found, image, query)
        count(200)
        observe(time.monotonic() - start)
        return response

    def render(found: Instances, image: Array, query: Query) -> Response:
        if query.picture:
            good, jpeg = cv2.imencode(".jpg", found.draw(image)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
            assert good
            return Response(jpeg.tobytes(), media_type="image/jpeg")
        document = coco_dataset([found], task.categories)
        for row, tag in zip(document["annotations"], found.tag, strict=True):
            row["tag"] = [round(float(value), 4) for value in tag]
        return JSONResponse(document)

    app.post(
        "/predict",
        summary="People or objects in an image",
        description="The body is the image, a form with the field `file`, or json with its `url` where allowed. "
        f"Query: `format` json (COCO) or picture, `min_score`, and {', '.join(live_settings(model.predictor))}.",
        responses={n: {"description": d} for n, d in STATUS.items()},
        openapi_extra={"requestBody": {"content": BODY}},
    )(answer)

    @app.get("/health", summary="Whether the service works, and with which model")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "version": __version__, "waiting": model.queue.qsize(), **about(model.predictor)}

    @app.get("/metrics", summary="Numbers for Prometheus")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def page() -> HTMLResponse:
        text = resources.files("associative_embedding.apps.server").joinpath("page.html").read_text(encoding="utf-8")
        return HTMLResponse(text, headers={"Content-Security-Policy": POLICY})


POLICY = "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src 'self' blob: data:"
STATUS = {
    413: "The image is too large",
    422: "The image or a setting cannot be used",
    429: "Too many wait already",
    503: "It took too long",
}
BINARY = {"schema": {"type": "string", "format": "binary"}}
BODY = {
    "image/*": BINARY,
    "multipart/form-data": {"schema": {"type": "object", "properties": {"file": BINARY["schema"]}}},
    "application/json": {"schema": {"type": "object", "properties": {"url": {"type": "string"}}}},
}


def serve(predictor: Predictor, limits: Limits, host: str, port: int) -> None:
    """Serves until Ctrl-C or SIGTERM; requests in the queue are answered first."""
    app = create_app(predictor, limits)
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=int(limits.timeout) + 1)
