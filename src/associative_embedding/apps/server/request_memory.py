"""Counts the bytes of requests: one budget for bodies in arrival, files in the queue, and files that are kept.

Files are kept as they came, not as pixels. When a slider of the page moves, the page sends the digest of its photo
instead of the photo.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

KEPT_SHARE = 4  # kept files take at most this part of the budget: one in four bytes


class MemoryFull(Exception):
    """The budget has no room for more bytes of requests."""


class RequestMemory:
    """The budget of one service. It counts; the bytes themselves lie with the requests.

    Args:
        limit: bytes of all requests and kept files together.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0  # bytes of requests, without the kept files
        self.kept_bytes = 0
        self.kept: OrderedDict[str, bytes] = OrderedDict()  # digest -> file, the last used one at the end

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """Counts the bytes of one request, until the end of the block."""
        lease = Lease(self)
        try:
            yield lease
        finally:
            self.used -= lease.bytes

    def make_room(self, count: int) -> None:
        """Drops kept files, the least recently used first, until `count` more bytes fit.

        Raises:
            MemoryFull: when they do not fit without any kept file.
        """
        if self.used + count > self.limit:
            raise MemoryFull
        while self.used + self.kept_bytes + count > self.limit:
            self._drop_oldest()

    def keep(self, digest: str, data: bytes) -> None:
        """Keeps a file for later requests, at the expense of those used longest ago.

        Args:
            digest: of the file, see `digest_of`.
            data: the file; it is not kept if it is larger than all kept files may be.
        """
        most = self.limit // KEPT_SHARE
        if digest in self.kept:
            self.kept.move_to_end(digest)
            return
        if len(data) > most or self.used + len(data) > self.limit:
            return
        while self.kept and self.kept_bytes + len(data) > most:
            self._drop_oldest()
        self.make_room(len(data))
        self.kept[digest] = data
        self.kept_bytes += len(data)

    def find(self, digest: str) -> bytes | None:
        """Returns a kept file, or None."""
        if digest in self.kept:
            self.kept.move_to_end(digest)
        return self.kept.get(digest)

    def _drop_oldest(self) -> None:
        _, data = self.kept.popitem(last=False)
        self.kept_bytes -= len(data)


class Lease:
    """The bytes of one request."""

    def __init__(self, memory: RequestMemory) -> None:
        self.memory, self.bytes = memory, 0

    def add(self, count: int) -> None:
        """Counts more bytes.

        Raises:
            MemoryFull: when the budget has no room for them.
        """
        self.memory.make_room(count)
        self.memory.used += count
        self.bytes += count


def digest_of(data: bytes) -> str:
    """Returns the SHA-256 of a file, 64 hexadecimal digits. Without the file nobody can guess it."""
    return hashlib.sha256(data).hexdigest()
