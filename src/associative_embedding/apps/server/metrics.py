"""Counts the answers of the service, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from associative_embedding.apps.server.model_queue import ModelQueue
from associative_embedding.apps.server.request_memory import RequestMemory

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Metrics:
    """The metrics of one service.

    Not in the global registry of Prometheus: two services in one process would register the same names twice.

    Args:
        queue: of the requests.
        memory: of the requests.
    """

    def __init__(self, queue: ModelQueue, memory: RequestMemory) -> None:
        self.registry = registry = CollectorRegistry()
        text = "Answers to prediction requests, by status; 499 = the client left before"
        self.predictions = Counter("ae_requests", text, ["status"], registry=registry)
        text = "Other answers, by status; 400 also for what is not HTTP"
        self.others = Counter("ae_other_requests", text, ["status"], registry=registry)
        self.seconds = Histogram("ae_request_seconds", "Seconds of an answered prediction request", registry=registry)
        values = {
            "ae_waiting": ("Requests in the queue", lambda: len(queue.waiting)),
            "ae_batches": ("Batches that the model has run", lambda: queue.batches),
            "ae_restarts": ("Times that the process of the model was started again", lambda: queue.restarts),
            "ae_request_bytes": ("Bytes of requests in arrival and in the queue", lambda: memory.used),
            "ae_kept_bytes": ("Bytes of image files that are kept", lambda: memory.kept_bytes),
        }
        for name, (text, value) in values.items():
            Gauge(name, text, registry=registry).set_function(value)

    def text(self) -> bytes:
        """Returns all metrics in the format of Prometheus."""
        return generate_latest(self.registry)

    def count(self, path: str, status: int) -> None:
        """Counts an answer."""
        (self.predictions if path == "/predict" else self.others).labels(str(status)).inc()

    def malformed(self) -> None:
        """Counts a request that is not HTTP."""
        self.count("", 400)


class CountAnswers:
    """ASGI middleware that counts every answer, also those of other middleware. Added last, it is the outermost.

    Args:
        app: the application.
        metrics: of the service.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500  # of an error that no handler has caught: Starlette answers it further outside

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, counted)
        finally:
            self.metrics.count(path_of(scope), status)


def path_of(scope: Any) -> str:
    """Returns the path of a request below the root path of the application."""
    return str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
