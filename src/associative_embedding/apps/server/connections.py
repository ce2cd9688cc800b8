"""Bounds what uvicorn does not: connections that send nothing, and the time that a request or an answer may take.

uvicorn's own `limit_concurrency` counts a connection but closes none: it answers 503 to those whose headers have come.
Here a new connection beyond the limit takes the place of the one that has kept the service waiting longest for a
request, so idle connections cannot close the service, however many come.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from typing import Any, Literal

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from associative_embedding.apps.server.browsers import HEADERS
from associative_embedding.apps.server.limits import Limits

HEADER_SECONDS = 10.0  # from the start of a connection, or the first byte of a later request, to the end of its headers
MOST_HEADER_BYTES = 16 * 1024
# Seconds of computation. A body in chunks of one byte takes a microsecond for each byte that is sent, an ordinary one a
# hundredth of that; meanwhile no other connection is served.
CPU_OF_REQUEST, CPU_PER_BYTE = 0.2, 1e-7
BACKLOG = 128  # connections that wait to be accepted; Python accepts as many at once, before it closes one

Stage = Literal["headers", "body", "answer"]


class BoundedProtocol(H11Protocol):
    """A connection whose client must go on: each stage of a request has a deadline.

    Attributes:
        limits: of time and of the number of connections; a class attribute, see `bounded_protocol`.
        stage: what the service waits for.
        since: the moment when the stage began.
        cpu: seconds that its bytes have taken in this stage, beyond `CPU_PER_BYTE`.
        deadline, unread: close the connection when the stage takes too long, or an answer is not read.
    """

    limits: Limits
    stage: Stage = "headers"
    since = 0.0
    cpu = 0.0
    deadline: asyncio.TimerHandle | None = None
    unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio does this only for listening sockets that it made itself. Without it, the body of an answer waits for
        # the client to confirm the headers, 40 ms.
        if (connection := transport.get_extra_info("socket")) is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.since = time.monotonic()
        self._set_deadline(HEADER_SECONDS)
        if len(self.connections) > self.limits.connections:
            waiting = [c for c in self.connections if isinstance(c, BoundedProtocol) and c.stage != "answer"]
            min(waiting, key=lambda connection: connection.since).drop()

    def data_received(self, data: bytes) -> None:
        start = time.thread_time()
        super().data_received(data)
        self.cpu += time.thread_time() - start - len(data) * CPU_PER_BYTE
        self._follow()
        if self.cpu > CPU_OF_REQUEST:
            self.drop()
        if self.stage == "headers" and self.deadline is None:  # the first bytes of a later request
            self._set_deadline(HEADER_SECONDS)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._follow()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.unread = self.loop.call_later(self.limits.timeout, self.drop)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._forget_unread()

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_deadline(None)
        self._forget_unread()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Is called when the server ends: who has not sent a whole request will get no answer."""
        if self.stage == "body":
            self.drop()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        self.malformed()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # a part of an answer has been sent
            self.drop()
            return
        body = json.dumps({"detail": msg}).encode()
        own = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
        headers = list({**own, **HEADERS}.items())
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    @staticmethod
    def malformed() -> None:
        """Is called for a request that is not HTTP; the service replaces it."""

    def drop(self) -> None:
        """Closes the connection at once."""
        self._set_deadline(None)
        self.connections.discard(self)
        self.transport.abort()

    def _follow(self) -> None:
        """Derives the stage from the state of HTTP; a new stage has a new deadline."""
        state = self.conn.their_state
        stage: Stage = "headers" if state is h11.IDLE else "body" if state is h11.SEND_BODY else "answer"
        if stage == self.stage:
            return
        self.stage, self.since, self.cpu = stage, time.monotonic(), 0.0
        # The service limits the time to an answer, and uvicorn closes a connection that stays idle behind it.
        self._set_deadline(self.limits.timeout if stage == "body" else None)

    def _set_deadline(self, seconds: float | None) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
        self.deadline = None if seconds is None else self.loop.call_later(seconds, self.drop)

    def _forget_unread(self) -> None:
        if self.unread is not None:
            self.unread.cancel()
        self.unread = None


def bounded_protocol(limits: Limits, malformed: Any) -> type[BoundedProtocol]:
    """Returns the class of the connections of one service.

    Args:
        limits: of the service.
        malformed: is called for each request that is not HTTP.
    """
    return type("ServiceProtocol", (BoundedProtocol,), {"limits": limits, "malformed": staticmethod(malformed)})
