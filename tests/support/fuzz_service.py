"""Requests to the service that are fuzzed."""

from __future__ import annotations

import atexit
import functools
import socket
from typing import Any

from support.fuzz_images import pictures


@functools.cache
def service() -> Any:
    """A running service with a small model; it ends with this process."""
    from associative_embedding.apps.server.limits import Limits
    from support.serving import Running, tiny_pose

    running = Running(tiny_pose, Limits(max_bytes=200_000, max_pixels=40_000, timeout=15))
    atexit.register(running.__exit__)
    return running.__enter__()


def request(data: bytes) -> None:
    """Sends the bytes of a connection: the answer is no 5xx but 503, and the service lives."""
    running = service()
    with socket.create_connection(("127.0.0.1", running.port), timeout=15) as connection:
        connection.settimeout(15)
        answer = b""
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                answer += part
        except ConnectionError:  # the service may close it before all has arrived
            pass
    lines = [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    for line in lines:
        assert line[9:12] < b"500" or line[9:12] == b"503", line
    import httpx

    assert httpx.get(f"{running.url}/health", timeout=15).status_code == 200


def requests() -> list[bytes]:
    picture = pictures()[0]
    head = b"POST /predict%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: %s\r\n%s\r\n%s"
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + picture + b"\r\n--b--\r\n"

    def post(query: bytes, kind: bytes, body: bytes) -> bytes:
        return head % (query, kind, b"Content-Length: %d\r\n" % len(body), body)

    chunked = head % (
        b"",
        b"image/png",
        b"Transfer-Encoding: chunked\r\n",
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(picture), picture),
    )
    settings = b"?min_score=0.1&threshold=0.2&tag_threshold=0.5&picture=true&top_k=5"
    get = b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return [
        post(b"", b"image/png", picture),
        post(settings, b"multipart/form-data; boundary=b", form),
        post(b"", b"application/json", b'{"url": "http://127.0.0.1:1/a.png"}'),
        chunked,
        *(get % path for path in (b"/", b"/health", b"/metrics", b"/model", b"/docs", b"/openapi.json")),
    ]
