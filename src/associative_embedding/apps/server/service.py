"""``ae serve``: an HTTP service and a page for the browser. It keeps no image and reaches no file of the machine.

One thread owns the model. Requests wait in a bounded queue; what waits together is looked at together, as one batch.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

import cv2
import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.formparsers import MultiPartException, MultiPartParser

from associative_embedding import __version__
from associative_embedding.inference.predictor import Predictor, Seen
from associative_embedding.instances import Instances, coco_dataset
from associative_embedding.io.download import download
from associative_embedding.io.images import ImageError, decode
from associative_embedding.structures.arrays import Array

KEPT = 8  # images whose maps are kept, so that moving a threshold in the page does not run the network again
LIVE = ("threshold", "tag_threshold", "fill_threshold", "min_size", "min_weight", "bandwidth")  # settings of a request


@dataclass(frozen=True)
class Limits:
    """Attributes:
    queue: requests that wait at most; the next one gets status 429.
    batch: images that are looked at together at most.
    max_bytes: of an image file.
    max_pixels: of an image.
    timeout: seconds that a request may take, waiting included.
    urls: images may be named by their URL.
    private_urls: also at addresses that only this machine or its network can reach.
    """

    queue: int = 64
    batch: int = 8
    max_bytes: int = 20 * 2**20
    max_pixels: int = 40_000_000
    timeout: float = 30.0
    urls: bool = False
    private_urls: bool = False

    def __post_init__(self) -> None:
        for name in ("queue", "batch", "max_bytes", "max_pixels", "timeout"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")


class Busy(Exception):
    """The queue is full."""


@dataclass(frozen=True, eq=False)
class Job:
    """An image that waits, the decode settings that it wants, and where its result goes."""

    key: str
    image: Array
    settings: dict[str, Any]
    result: asyncio.Future[Instances]


class Worker:
    """The one that runs the model, in a thread of its own.

    Args:
        predictor: the model.
        limits: see there.
    """

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self.predictor, self.limits = predictor, limits
        self.queue: asyncio.Queue[Job] = asyncio.Queue(limits.queue)
        self.seen: OrderedDict[str, Seen] = OrderedDict()
        self.batches = 0

    async def submit(self, key: str, image: Array, settings: dict[str, Any]) -> Instances:
        """
        Raises:
            Busy: when too many wait already.
            TimeoutError: when it took too long.
            ValueError: for settings that do not exist, or output that is not finite.
        """
        job = Job(key, image, settings, asyncio.get_running_loop().create_future())
        try:
            self.queue.put_nowait(job)
        except asyncio.QueueFull:
            raise Busy from None
        return await asyncio.wait_for(job.result, self.limits.timeout)

    async def run(self) -> None:
        """Work until cancelled; what waits then is answered first (`drain`)."""
        while True:
            jobs = [await self.queue.get()]
            while len(jobs) < self.limits.batch and not self.queue.empty():
                jobs.append(self.queue.get_nowait())
            jobs = [job for job in jobs if not job.result.done()]  # who waited too long is gone
            answers = await asyncio.to_thread(self.look, jobs)
            for job, answer in zip(jobs, answers, strict=True):
                if job.result.done():
                    continue
                if isinstance(answer, Exception):
                    job.result.set_exception(answer)
                else:
                    job.result.set_result(answer)

    async def drain(self) -> None:
        """Wait until nobody waits, at most as long as a request may take."""
        end = time.monotonic() + self.limits.timeout
        while not self.queue.empty() and time.monotonic() < end:
            await asyncio.sleep(0.01)

    def look(self, jobs: list[Job]) -> list[Instances | Exception]:
        """The results of a batch, in its order; a fault is one image's own."""
        self.batches += 1
        new = {job.key: job.image for job in jobs if job.key not in self.seen}
        faults: dict[str, Exception] = {}
        try:
            self.seen.update(zip(new, self.predictor.look_at_all(list(new.values())), strict=True))
        except Exception:  # too little memory for all at once, or a fault of one
            for key, image in new.items():
                try:
                    self.seen[key] = self.predictor.look_at_all([image])[0]
                except Exception as error:
                    faults[key] = error
        answers: list[Instances | Exception] = []
        for job in jobs:
            if job.key in faults:
                answers.append(faults[job.key])
                continue
            try:
                predictor = self.predictor.with_decode(**job.settings) if job.settings else self.predictor
                answers.append(predictor.find(job.image, self.seen[job.key]))
            except Exception as error:
                answers.append(error)
        for job in jobs:
            if job.key in self.seen:
                self.seen.move_to_end(job.key)
        while len(self.seen) > KEPT:
            self.seen.popitem(last=False)
        return answers


def create_app(predictor: Predictor, limits: Limits | None = None) -> FastAPI:
    """The service, an ASGI application.

    Args:
        predictor: the model.
        limits: see there.
    """
    limits = limits or Limits()
    worker = Worker(predictor, limits)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(worker.run())
        yield
        await worker.drain()
        task.cancel()

    app = FastAPI(
        title="associative-embedding", version=__version__, lifespan=lifespan, docs_url="/docs", redoc_url=None
    )
    registry = CollectorRegistry()
    counted = Counter("ae_requests", "Answers by status", ["status"], registry=registry)
    seconds = Histogram("ae_request_seconds", "Time of a prediction request", registry=registry)
    Gauge("ae_waiting", "Requests in the queue", registry=registry).set_function(worker.queue.qsize)
    Gauge("ae_batches", "Batches looked at", registry=registry).set_function(lambda: worker.batches)
    add_routes(app, worker, registry, lambda status: counted.labels(str(status)).inc(), seconds.observe)
    return app


def add_routes(
    app: FastAPI, worker: Worker, registry: Any, count: Callable[[int], None], observe: Callable[[float], None]
) -> None:
    from fastapi import Response
    from fastapi.responses import HTMLResponse

    limits, task = worker.limits, worker.predictor.task

    def refuse(status: int, text: str) -> Response:
        count(status)
        headers = {"Retry-After": "1"} if status in (429, 503) else None
        return JSONResponse({"detail": text}, status, headers)

    async def answer(request: Request) -> Response:
        start = time.monotonic()
        try:
            query = read_query(request, worker.predictor)
            data = await asyncio.wait_for(image_bytes(request, limits), limits.timeout)
            image = await asyncio.to_thread(decode, data, "the image", max_pixels=limits.max_pixels)
            found = await worker.submit(hashlib.sha256(data).hexdigest(), image, query.settings)
        except TooLarge as error:
            return refuse(413, str(error))
        except Busy:
            return refuse(429, f"{limits.queue} requests wait already: try again later")
        except TimeoutError:
            return refuse(503, f"no answer within {limits.timeout:g} seconds")
        except (ImageError, ValueError, OSError) as error:
            return refuse(422, " ".join(str(error).split()))
        except (MemoryError, RuntimeError) as error:  # of the network: the service lives on
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
        f"Query: `format` json (COCO) or picture, `min_score`, and {', '.join(live_settings(worker.predictor))}.",
        responses={n: {"description": d} for n, d in STATUS.items()},
        openapi_extra={"requestBody": {"content": BODY}},
    )(answer)

    @app.get("/health", summary="Whether the service works, and with which model")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "version": __version__, "waiting": worker.queue.qsize(), **about(worker.predictor)}

    @app.get("/metrics", summary="Numbers for Prometheus")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def page() -> HTMLResponse:
        text = resources.files("associative_embedding").joinpath("apps/server/page.html").read_text(encoding="utf-8")
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


@dataclass(frozen=True)
class Query:
    """What a request asks for beside its image."""

    settings: dict[str, Any]
    min_score: float
    picture: bool


class TooLarge(Exception):
    """More bytes than allowed."""


def live_settings(predictor: Predictor) -> dict[str, Any]:
    """The decode settings that a request may change, with the model's values."""
    return {name: value for name, value in asdict(predictor.task.decode_config).items() if name in LIVE}


def about(predictor: Predictor) -> dict[str, Any]:
    """What the page and health checks say of a model."""
    task = predictor.task
    return {
        "task": task.name,
        "categories": task.categories,
        "min_score": task.shown_score,
        "settings": live_settings(predictor),
        "input_size": predictor.input_size,
    }


def read_query(request: Request, predictor: Predictor) -> Query:
    """
    Raises:
        ValueError: for a name that is not known or a value that is none.
    """
    known = live_settings(predictor)
    settings: dict[str, Any] = {}
    min_score, form = predictor.task.shown_score, "json"
    for name, text in request.query_params.items():
        if name == "format" and text in ("json", "picture"):
            form = text
        elif name == "min_score":
            min_score = number(name, text)
        elif name in known:
            settings[name] = type(known[name])(number(name, text))
        else:
            raise ValueError(f"unknown setting {name}={text!r:.40}; known are format, min_score, {', '.join(known)}")
    return Query(settings, min_score, form == "picture")


def number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise ValueError(f"{name} must be a number, not {text!r:.40}")
    return value


async def image_bytes(request: Request, limits: Limits) -> bytes:
    """The image of a request: its body, the file of its form, or what its URL leads to.

    Raises:
        TooLarge: as soon as more than the limit has come, whatever the header says.
        ValueError: when there is none.
        OSError: for a URL that cannot or must not be read.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limits.max_bytes + 2**16:  # a form has a little more than its file
            raise TooLarge(f"more than {limits.max_bytes} bytes")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await form_file(request, bytes(body))
    if kind == "application/json":
        return await url_file(bytes(body), limits)
    if not body:
        raise ValueError("the request holds no image")
    return bytes(body)


async def form_file(request: Request, body: bytes) -> bytes:
    async def once() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        parser = MultiPartParser(request.headers, once(), max_files=1, max_fields=4)
        form = await parser.parse()
        try:
            file = form.get("file")
            if file is None or isinstance(file, str):
                raise ValueError("the form has no file in its field 'file'")
            return bytes(await file.read())
        finally:
            await form.close()
    except (MultiPartException, KeyError) as error:
        raise ValueError(f"the form cannot be read ({error})") from None


async def url_file(body: bytes, limits: Limits) -> bytes:
    if not limits.urls:
        raise ValueError("images by URL are not allowed here; send the image itself")
    try:
        url = json.loads(body)["url"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError('the json must be {"url": "https://..."}') from None
    if not isinstance(url, str):
        raise ValueError("the url must be a text")
    return await asyncio.to_thread(
        download, url, timeout=limits.timeout, max_bytes=limits.max_bytes, public_only=not limits.private_urls
    )


def serve(predictor: Predictor, limits: Limits, host: str, port: int) -> None:
    """Serve until Ctrl-C or SIGTERM; requests that were taken are answered first."""
    app = create_app(predictor, limits)
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=int(limits.timeout) + 1)
