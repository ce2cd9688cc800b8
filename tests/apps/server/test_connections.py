"""Connections that send nothing, too slowly, no HTTP, or leave: none closes the service to others."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

pytest.importorskip("fastapi", reason="needs the extra [serve]")
pytest.importorskip("httpx", reason="needs httpx")

import httpx

from associative_embedding.apps.server import connections
from associative_embedding.apps.server.limits import Limits
from support.serving import Running, photo, png, until

pytestmark = [pytest.mark.extra, pytest.mark.slow]

HEAD = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n\r\n"


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with Running(limits=Limits(timeout=4, connections=20)) as running:
        yield running


@pytest.fixture
def opened(service: Running) -> Iterator[ExitStack]:
    """Closes its sockets at the end; then the service has no connection left."""
    with ExitStack() as stack:
        yield stack
    until(lambda: not service.server.server_state.connections)


def connect(service: Running, opened: ExitStack, data: bytes = b"") -> socket.socket:
    connection = opened.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=30))
    connection.sendall(data)
    return connection


def is_closed(connection: socket.socket) -> bool:
    """Waits for the other side's next byte, or its end."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def answers(service: Running) -> bool:
    return service.predict(photo()).status_code == 200


def test_idle_connections_make_room_for_new_ones(service: Running, opened: ExitStack) -> None:
    idle = [connect(service, opened, b"POST /pre") for _ in range(60)]
    assert answers(service)
    until(lambda: len(service.server.server_state.connections) <= 20)
    assert is_closed(idle[0])  # the oldest, long before its time is over
    idle[-1].sendall(b"dict HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert idle[-1].recv(12) == b"HTTP/1.1 422"


def test_an_answer_is_not_held_back(service: Running, opened: ExitStack) -> None:
    """Nagle's algorithm keeps its second part for 40 ms; asyncio leaves it on for a socket that it did not make."""
    connect(service, opened, b"GET /health HT")
    until(lambda: len(service.server.server_state.connections) == 1)
    (connection,) = service.server.server_state.connections
    accepted = connection.transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_slow_uploads_make_room_for_new_ones(service: Running, opened: ExitStack) -> None:
    for _ in range(30):
        connect(service, opened, HEAD + b"x")
    assert answers(service)


def test_headers_have_a_time(service: Running, opened: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    silent, partial = connect(service, opened), connect(service, opened, b"GET /health HT")
    assert is_closed(silent)
    assert is_closed(partial)
    later = connect(service, opened, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    while b'"input_size":64' not in later.recv(65536):
        pass
    later.sendall(b"GET /health HT")  # the headers of a second request
    assert is_closed(later)


def test_a_body_has_a_time_however_often_bytes_arrive(service: Running, opened: ExitStack) -> None:
    slow = connect(service, opened, HEAD)
    start = time.monotonic()
    answer = b""
    slow.settimeout(0.1)
    while not answer and time.monotonic() < start + 60:
        try:
            slow.sendall(b"x")
            answer = slow.recv(12)
        except TimeoutError:
            continue
        except ConnectionError:
            break
    assert answer in (b"HTTP/1.1 503", b"")
    assert time.monotonic() < start + 30


def test_a_body_that_nobody_reads_has_a_time(service: Running, opened: ExitStack) -> None:
    connection = connect(service, opened, HEAD.replace(b"predict", b"predict?x=1"))
    assert connection.recv(12) == b"HTTP/1.1 422"  # before its body
    while connection.recv(65536):
        pass


def test_tiny_chunks_do_not_occupy_the_service(service: Running, opened: ExitStack) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection = connect(service, opened, head)
    with suppress(ConnectionError):
        for _ in range(1000):  # 6 MB that hold 1 MB
            connection.sendall(b"1\r\nx\r\n" * 1000)
    assert is_closed(connection)
    body = png(photo(5, (600, 800)))  # in chunks of some size it is welcome
    parts = [body[i : i + 4096] for i in range(0, len(body), 4096)]
    other = connect(service, opened, head)
    for part in [*parts, b""]:
        other.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
    assert other.recv(12) == b"HTTP/1.1 200"


def test_an_answer_that_nobody_reads_has_a_time(service: Running, opened: ExitStack) -> None:
    requests = b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 2000
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    opened.enter_context(connection).connect(("127.0.0.1", service.port))
    connection.settimeout(0.5)
    with suppress(TimeoutError, ConnectionError):  # the service reads no further
        connection.sendall(requests)
    until(lambda: not service.server.server_state.connections)


def test_what_is_no_http_gets_json_and_is_counted(service: Running, opened: ExitStack) -> None:
    connection = connect(service, opened, b"\x16\x03\x01 nonsense\r\n\r\n")
    answer = b""
    while part := connection.recv(65536):
        answer += part
    assert answer.startswith(b"HTTP/1.1 400")
    assert b'{"detail": "Invalid HTTP request received."}' in answer
    assert 'ae_other_requests_total{status="400"}' in httpx.get(f"{service.url}/metrics").text


def test_broken_chunks_behind_an_answer_print_nothing(
    service: Running, opened: ExitStack, capfd: pytest.CaptureFixture[str]
) -> None:
    head = b"POST /predict?x=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    answered = connect(service, opened, head)
    assert answered.recv(12) == b"HTTP/1.1 422"
    answered.sendall(b"no chunk\r\n")
    while answered.recv(65536):
        pass
    waiting = connect(service, opened, head.replace(b"?x=1", b""))
    waiting.sendall(b"no chunk\r\n")
    assert waiting.recv(12) == b"HTTP/1.1 400"
    assert "Traceback" not in capfd.readouterr().err


def test_an_aborted_upload_is_a_debug_line_and_leaves_nothing(
    service: Running,
    opened: ExitStack,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "associative_embedding.server")
    uploads = [connect(service, opened, HEAD + bytes(2000)) for _ in range(5)]
    until(lambda: "ae_request_bytes 10000.0" in httpx.get(f"{service.url}/metrics").text)
    for upload in uploads:
        upload.close()
    until(lambda: "ae_request_bytes 0.0" in httpx.get(f"{service.url}/metrics").text)
    assert 'ae_requests_total{status="499"}' in httpx.get(f"{service.url}/metrics").text
    assert "a client left" in caplog.text
    assert not capfd.readouterr().err


def test_who_leaves_while_the_model_works_leaves_the_queue(service: Running, opened: ExitStack) -> None:
    body = png(photo(3))
    head = HEAD.replace(b"5000", str(len(body)).encode())
    for _ in range(10):
        connect(service, opened, head + body).close()
    until(lambda: not service.app.state.queue.waiting)
    assert answers(service)
