"""A server on loopback that answers with any bytes, for tests of clients."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

Answer = Callable[[bytes], Iterator[bytes]]


class RawServer:
    """Reads one request a connection, sends what `answer` yields for it, and waits until the client leaves.

    Args:
        answer: head of the request -> parts of the answer; it may never end.
        host: address to listen on.
        tls: context to encrypt with, or None.

    Attributes:
        requests: the heads of the requests.
        sent: bytes that were sent, of all connections.
        open: number of connections that are not closed by both sides.
    """

    def __init__(self, answer: Answer, host: str = "127.0.0.1", tls: Any = None) -> None:
        self.answer, self.tls = answer, tls
        self.requests: list[bytes] = []
        self.sent, self.open = 0, 0
        self.changed = threading.Condition()
        self.listening = socket.create_server((host, 0))
        self.port = self.listening.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{host}:{self.port}"
        self.thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> RawServer:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.thread.join(10)

    def wait_until_left(self, seconds: float = 30) -> bool:
        """Returns whether all clients closed their connections within a time."""
        with self.changed:
            return self.changed.wait_for(lambda: self.open == 0, seconds)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            with self.changed:
                self.open += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, self.tls.wrap_socket(connection, server_side=True) if self.tls else connection as stream:
                self._answer(stream)
        except OSError:
            pass  # the client left, as it should
        finally:
            with self.changed:
                self.open -= 1
                self.changed.notify_all()

    def _answer(self, stream: socket.socket) -> None:
        head = bytearray()
        while b"\r\n\r\n" not in head:
            part = stream.recv(4096)
            if not part:
                return
            head += part
        self.requests.append(bytes(head))
        for part in self.answer(bytes(head)):
            stream.sendall(part)
            self.sent += len(part)
        stream.shutdown(socket.SHUT_WR)
        while stream.recv(4096):
            pass
