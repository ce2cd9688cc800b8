"""Connections within a budget of time and bytes, for the HTTP client httpcore2.

The client's own timeouts start again with each byte, and it limits no sizes.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import httpcore2

from associative_embedding.io.addresses import DownloadError, Place, Stop, is_public, look_up

CHUNK = 2**16  # bytes that are read at once
MAX_PLACES = 8  # addresses of a host that are tried


class Budget:
    """What one download may still use, over all its connections.

    Args:
        seconds: time from now.
        overhead: bytes that may arrive beside the file: headers, lengths of chunks, TLS.
        stop: ends the download early.
    """

    def __init__(self, seconds: float, overhead: int, stop: Stop | None = None) -> None:
        self.end = time.monotonic() + seconds
        self.overhead, self.bytes = overhead, overhead
        self.stop = stop or Stop()

    def seconds(self) -> float:
        """Returns the time that is left.

        Raises:
            TimeoutError: when none is.
            DownloadError: when the download is to stop.
        """
        self.stop.check()
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def arrived(self, count: int) -> None:
        """Counts bytes that arrived.

        Raises:
            DownloadError: when they are too many.
        """
        self.bytes -= count
        if self.bytes < 0:
            raise DownloadError(f"the server sends more than {self.overhead} bytes beside the file")

    def was_file(self, count: int) -> None:
        """Gives back the bytes that were part of the file, and an eighth: chunks and TLS add to every part."""
        self.bytes += count + count // 8


class Stream(httpcore2.NetworkStream):
    """A connected socket within a budget."""

    def __init__(self, connection: socket.socket, budget: Budget) -> None:
        self.connection, self.budget = connection, budget
        budget.stop.connection = connection

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.connection.settimeout(self.budget.seconds())
        data = self.connection.recv(min(max_bytes, CHUNK))
        self.budget.stop.check()  # which looks like the end of the file
        self.budget.arrived(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.connection.settimeout(self.budget.seconds())
        self.connection.sendall(buffer)

    def close(self) -> None:
        self.connection.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return TlsStream(self, ssl_context, server_hostname)


class TlsStream(httpcore2.NetworkStream):
    """TLS over another stream, which so counts every byte; a TLS socket would count only those of its content."""

    def __init__(self, below: httpcore2.NetworkStream, context: ssl.SSLContext, host: str | None) -> None:
        self.below = below
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        # Certificates name hosts without the brackets of IPv6 and without a dot at the end.
        name = host.strip("[]").rstrip(".") if host else None
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        try:
            self._run(self.tls.do_handshake)
        except BaseException:
            self.close()
            raise

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return bytes(self._run(self.tls.read, max_bytes))
        except ssl.SSLEOFError:  # many servers end so; HTTP itself knows whether the file is complete
            return b""

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        while buffer:
            buffer = buffer[self._run(self.tls.write, buffer) :]

    def close(self) -> None:
        self.below.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return TlsStream(self, ssl_context, server_hostname)  # through a proxy that is reached by TLS itself

    def get_extra_info(self, info: str) -> Any:
        return self.tls if info == "ssl_object" else None

    def _run(self, step: Callable[..., Any], *arguments: Any) -> Any:
        """Repeats a step of TLS until the bytes that it needs have arrived."""
        while True:
            try:
                result = step(*arguments)
            except ssl.SSLWantReadError:
                self._send()
                data = self.below.read(CHUNK)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()
            else:
                self._send()
                return result

    def _send(self) -> None:
        if self.outgoing.pending:
            self.below.write(self.outgoing.read())


class Backend(httpcore2.NetworkBackend):
    """Connects within a budget.

    Args:
        budget: of the download.
        public_only: refuse addresses that are not public.
    """

    def __init__(self, budget: Budget, *, public_only: bool) -> None:
        self.budget, self.public_only = budget, public_only

    def connect_tcp(self, host: str, port: int, *unused: Any, **also_unused: Any) -> httpcore2.NetworkStream:
        """Connects to the address that was checked itself: a second look-up could return another one."""
        places = look_up(host.strip("[]"), port, self.budget.seconds())
        if self.public_only and not all(is_public(place.number) for place in places):
            raise DownloadError("is at an address that is not public")
        connection = self._connect_first(places[:MAX_PLACES])
        # The machine's own public address can reach services of this machine that are closed to everyone else.
        if self.public_only and connection.getsockname()[0] == connection.getpeername()[0]:
            connection.close()
            raise DownloadError("is at an address of this machine")
        return Stream(connection, self.budget)

    def _connect_first(self, places: list[Place]) -> socket.socket:
        """Returns a connection to the first address that answers; each has its share of the time."""
        for number, place in enumerate(places):
            connection = socket.socket(place.family, socket.SOCK_STREAM)
            try:
                connection.settimeout(self.budget.seconds() / (len(places) - number))
                connection.connect(place.address)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connection
            except BaseException as error:
                connection.close()
                if place is places[-1] or not isinstance(error, OSError):
                    raise
        raise AssertionError("a host has at least one address")
