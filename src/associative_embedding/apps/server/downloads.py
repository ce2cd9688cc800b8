"""Downloads images for requests, in threads of their own: a slow server must not delay other requests."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

from associative_embedding.apps.server.limits import Limits
from associative_embedding.apps.server.model_queue import QueueFull
from associative_embedding.io.addresses import Stop
from associative_embedding.io.download import download

MOST = 8  # downloads at the same time; others wait. Their bytes are beyond the budget for requests


class Downloads:
    """The downloads of one service.

    Args:
        limits: of bytes, time and addresses.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.free, self.waiting = asyncio.Semaphore(MOST), 0

    async def fetch(self, url: str) -> bytes:
        """Returns the file at a URL.

        Raises:
            QueueFull: when as many requests wait for a download as the limit allows.
            OSError: when it cannot or must not be read.
        """
        if self.waiting >= self.limits.queue:  # requests that wait keep their connections
            raise QueueFull
        loop = asyncio.get_running_loop()
        result: asyncio.Future[bytes] = loop.create_future()
        # Public addresses only, unless allowed: otherwise a stranger could read pages of the network behind the server.
        stop = Stop()
        get = partial(
            download,
            url,
            timeout=self.limits.timeout,
            max_bytes=self.limits.max_bytes,
            public_only=not self.limits.private_urls,
            stop=stop,
        )

        def finish(data: bytes | None, error: Exception | None) -> None:
            self.free.release()
            if not result.done():
                result.set_exception(error) if error else result.set_result(data or b"")

        def work() -> None:
            data = error = None
            try:
                data = get()
            except Exception as problem:
                error = problem
            if not loop.is_closed():
                loop.call_soon_threadsafe(finish, data, error)

        self.waiting += 1
        try:
            await self.free.acquire()
        finally:
            self.waiting -= 1
        # Not by an executor, whose threads Python waits for at its end.
        threading.Thread(target=work, daemon=True, name="download").start()
        try:
            return await result
        finally:
            stop.now()  # the client left, or its time is over
