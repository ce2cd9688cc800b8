"""``ae serve``: an HTTP service with a page for the browser.

It stores no image, and a request cannot make it read a file of the machine.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from associative_embedding import __version__
from associative_embedding.apps.server.browsers import HEADERS, AllowedHosts, BrowserGuard, allowed_hosts
from associative_embedding.apps.server.connections import BACKLOG, MOST_HEADER_BYTES, bounded_protocol
from associative_embedding.apps.server.interface_page import add_interface_page
from associative_embedding.apps.server.limits import Limits
from associative_embedding.apps.server.listen import listening, url_of
from associative_embedding.apps.server.metrics import CountAnswers, Metrics
from associative_embedding.apps.server.model_process import ModelProcess
from associative_embedding.apps.server.model_queue import ModelQueue, QueueFull, Stopping
from associative_embedding.apps.server.page import page_router
from associative_embedding.apps.server.request_memory import MemoryFull, RequestMemory
from associative_embedding.apps.server.requests import (
    NotKept,
    RequestReader,
    TooLarge,
    model_description,
    request_settings,
)
from associative_embedding.io.console import one_line, say, say_error

if TYPE_CHECKING:  # not PyTorch, which only the process of the model needs
    from associative_embedding.inference.predictor import Predictor

T = TypeVar("T")

log = logging.getLogger("associative_embedding.server")


def create_app(
    load: Callable[[], Predictor], limits: Limits | None = None, hosts: AllowedHosts | None = None
) -> FastAPI:
    """Returns the service as an ASGI application, which any ASGI server can run.

    The model runs in a process of its own, which is started here and ends with the application or with this process. A
    script must call this function under ``if __name__ == "__main__"``: the new process imports the script.

    Args:
        load: returns the model; picklable, for example ``functools.partial(associative_embedding.load, "person")``.
        limits: default: the defaults of `Limits`.
        hosts: names by which browsers may call the service; default: localhost and 127.0.0.1.

    Raises:
        ValueError: when the model cannot be loaded.
    """
    limits = limits or Limits()
    process = ModelProcess(load, limits)
    model = process.start()
    queue, memory = ModelQueue(process, model, limits), RequestMemory(limits.memory)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(queue.run())
        yield
        queue.stop()  # the server has waited for the answers of all requests, as long as it waits at all
        await task

    app = FastAPI(
        title="associative-embedding",
        description="Finds people or objects in images with one model, by associative embedding.",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # its answer would repeat the header Host
    )
    app.state.queue, app.state.metrics = queue, Metrics(queue, memory)
    add_routes(app, RequestReader(model, memory, limits), queue, app.state.metrics)
    app.include_router(page_router(model, limits))
    add_interface_page(app)
    app.exception_handler(Exception)(answer_bug)
    app.add_middleware(BrowserGuard, hosts=hosts or allowed_hosts())
    app.add_middleware(CountAnswers, metrics=app.state.metrics)
    return app


async def answer_bug(request: Request, error: Exception) -> Response:
    """Returns the answer to a request at which the service itself fails."""
    # Starlette sends it outside of the middleware, which adds the headers to other answers.
    return JSONResponse({"detail": f"the service failed ({type(error).__name__})"}, 500, HEADERS)


def add_routes(app: FastAPI, reader: RequestReader, queue: ModelQueue, metrics: Metrics) -> None:
    """Adds ``/predict``, ``/health`` and ``/metrics``.

    Args:
        app: the application.
        reader: reads the requests.
        queue: answers them.
        metrics: of the service.
    """
    limits, memory, model = reader.limits, reader.memory, reader.model

    async def predict(request: Request) -> Response:
        start = time.monotonic()
        try:
            async with asyncio.timeout(limits.timeout):
                with memory.lease() as lease:
                    job = await reader.read(request, lease)
                    answer = await while_connected(request, queue.submit(job))
        except ClientDisconnect:
            log.debug("a client left before its answer")
            return Response(status_code=499)  # nobody gets it; it is counted
        except Exception as error:
            return refuse(*refusal(error, limits))
        if answer.status != 200:
            return refuse(answer.status, answer.body.decode())
        memory.keep(job.digest, job.data)
        metrics.seconds.observe(time.monotonic() - start)
        # A later request may send the digest in place of the image.
        return Response(answer.body, media_type=answer.media_type, headers={DIGEST: job.digest})

    app.post(
        "/predict",
        summary="Find people or objects in an image",
        description=f"{PREDICT_TEXT}: {', '.join(f'`{name}`' for name in request_settings(model))}.",
        responses={n: {"description": d} for n, d in STATUS.items()},
        openapi_extra={"requestBody": {"content": BODY}},
    )(predict)

    @app.get("/health", summary="State of the service, and its model")
    async def health() -> JSONResponse:
        state = {"version": __version__, "waiting": len(queue.waiting), **model_description(model)}
        if queue.alive:
            return JSONResponse({"status": "ok", **state})
        return JSONResponse({"status": "the model is being started", **state}, 503, {"Retry-After": "5"})

    @app.get("/metrics", summary="Metrics for Prometheus")
    async def show_metrics() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")


async def while_connected(request: Request, answer: Awaitable[T]) -> T:
    """Waits for an answer as long as the client does.

    Args:
        request: its body has been read.
        answer: is cancelled when the client leaves.

    Raises:
        ClientDisconnect: when the client leaves before the answer.
    """

    async def leave() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    tasks: tuple[asyncio.Future[T], asyncio.Future[None]] = (
        asyncio.ensure_future(answer),
        asyncio.ensure_future(leave()),
    )
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            return tasks[0].result()
        raise ClientDisconnect
    finally:
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError, Exception):  # its job leaves the queue before the bytes are given back
            await tasks[0]


def refuse(status: int, text: str) -> Response:
    """Returns the answer to a request that failed."""
    # 429 and 503 are states of the server that pass: a client may send the same request again.
    return JSONResponse({"detail": text}, status, {"Retry-After": "1"} if status in (429, 503) else None)


def refusal(error: Exception, limits: Limits) -> tuple[int, str]:
    """Returns the status and the text of the answer to a request that failed before the model."""
    match error:
        case NotKept():
            return 404, "the server does not have this image, or has it no longer: send the image itself"
        case TooLarge():
            return 413, str(error)
        case QueueFull():
            return 429, f"{limits.queue} requests are waiting already: try again later"
        case MemoryFull():
            return 503, f"the requests of all clients have {limits.memory} bytes already: try again later"
        case Stopping():
            return 503, "the service ends"
        case TimeoutError():  # before OSError, which it is a kind of
            return 503, f"no answer within {limits.timeout:g} seconds"
        case ValueError() | OSError():
            return 422, one_line(error)
        case _:
            say_error(error)
            return 500, f"the service failed ({type(error).__name__})"


PREDICT_TEXT = (
    "Send the image file as the body, as the field `file` of a form, or, if the server accepts URLs, as json: "
    '`{"url": "https://..."}`. The answer is a COCO dataset with one image; each annotation also has a `score` in '
    "[0, 1] and a `tag`. Query parameters: `format` (`json`, or `picture` for the annotated image as JPEG), "
    "`min_score` (lowest score in the answer), `image` (the header `X-Image` of an earlier answer, in place of the "
    "body: the same image with other settings; 404 if the server no longer has it), and numbers that replace decode "
    "settings of the model"
)
DIGEST = "X-Image"
STATUS = {
    200: "The instances, as a COCO dataset or as a picture",
    404: "The server does not have the image of this digest",
    413: "The image file is too large, or the model would need too long for the image",
    422: "The image or a setting cannot be used",
    429: "Too many requests are waiting",
    499: "The client left before the answer",
    500: "The model failed",
    503: "The request took too long, or the service has no memory for it",
}
BINARY = {"schema": {"type": "string", "format": "binary"}}
BODY = {
    "image/*": BINARY,
    "multipart/form-data": {"schema": {"type": "object", "properties": {"file": BINARY["schema"]}}},
    "application/json": {"schema": {"type": "object", "properties": {"url": {"type": "string"}}}},
}


STOP_SECONDS = 8.0  # from SIGTERM on, for the answers to waiting requests; Docker kills after 10


class Server(uvicorn.Server):
    """Ends within `STOP_SECONDS` of SIGTERM, whatever the model does: uvicorn waits for every answer."""

    async def shutdown(self, sockets: Any = None) -> None:
        asyncio.get_running_loop().call_later(STOP_SECONDS, self.config.app.state.queue.stop)  # type: ignore[union-attr]
        await super().shutdown(sockets)


def serve(load: Callable[[], Predictor], limits: Limits, host: str, port: int, allow_host: Sequence[str] = ()) -> None:
    """Runs the service until Ctrl-C or SIGTERM; waiting requests then have `STOP_SECONDS` to be answered.

    Args:
        load: returns the model, see `create_app`.
        limits: limits of the service.
        host: address to listen on.
        port: port to listen on; 0 = a free one.
        allow_host: further names by which browsers may call the service, see `allowed_hosts`.

    Raises:
        OSError: when it cannot listen there.
        ValueError: for a name or port that is none, when the model cannot be loaded, or the system does not allow so
            many connections.
    """
    allow_open_files(limits.connections)
    hosts = allowed_hosts(host, allow_host)
    with listening(host, port) as sockets:
        app = create_app(load, limits, hosts)
        config = uvicorn.Config(
            app,
            http=bounded_protocol(limits, app.state.metrics.malformed),
            ws="none",
            proxy_headers=False,  # nothing here depends on the client's address
            server_header=False,
            # Warnings are lines that strangers can cause without end; what they report is counted in /metrics.
            log_level="error",
            access_log=False,
            backlog=BACKLOG,
            h11_max_incomplete_event_size=MOST_HEADER_BYTES,
            timeout_graceful_shutdown=int(STOP_SECONDS) + 1,
        )
        say(f"ae: {url_of(host, sockets)} (stop it with Ctrl-C)", file=sys.stderr)
        Server(config).run(sockets)


def allow_open_files(connections: int) -> None:
    """Raises the limit of open files, if it has no room for so many connections.

    Raises:
        ValueError: when the system does not allow it. Without room Python would try to accept the next connection again
            and again, and print a traceback each time.
    """
    if sys.platform != "win32":
        import resource

        needed = connections + 2 * BACKLOG + 128
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < needed:
            if hard != resource.RLIM_INFINITY and hard < needed:
                raise ValueError(f"{connections} connections need {needed} open files, and the system allows {hard}")
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
