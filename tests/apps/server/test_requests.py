"""What a request may contain, and that each refusal is JSON and counted."""

from __future__ import annotations

import io
import json
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("fastapi", reason="needs the extra [serve]")
pytest.importorskip("httpx", reason="needs httpx")

import httpx

from associative_embedding.apps.server.limits import Limits
from support.serving import Running, photo, png, post, until

pytestmark = [pytest.mark.extra, pytest.mark.slow]


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    limits = Limits(timeout=20, max_bytes=2_000_000, memory=3_000_000, urls=True, private_urls=True)
    with Running(limits=limits) as running:
        yield running


def counted(service: Running, status: int, name: str = "ae_requests") -> float:
    lines = httpx.get(f"{service.url}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f'{name}_total{{status="{status}"}}'))


def test_a_large_json_is_not_read(service: Running) -> None:
    before = counted(service, 413)
    body = json.dumps({"url": "http://127.0.0.1/" + "x" * 100_000}).encode()
    answer = post(f"{service.url}/predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.json() == {"detail": "more than 16384 bytes"}
    deep = b'{"url":' + b"[" * 16_000
    assert post(f"{service.url}/predict", content=deep, headers={"Content-Type": "application/json"}).status_code == 422
    assert counted(service, 413) == before + 1


def test_a_length_in_the_header_is_enough(service: Running) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3000000\r\n\r\nx")
        assert connection.recv(12) == b"HTTP/1.1 413"


def test_a_form_is_never_on_the_disk(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", None)  # what a file beyond the limit of the memory would be
    data = png(photo()) + bytes(1_500_000)
    answer = httpx.post(f"{service.url}/predict", files={"file": ("a.png", io.BytesIO(data))}, timeout=60)
    assert answer.status_code == 200


def test_one_budget_for_all_bodies(service: Running) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1900000\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", service.port), timeout=30) as one,
        socket.create_connection(("127.0.0.1", service.port), timeout=30) as two,
    ):
        one.sendall(head + bytes(1_800_000))
        until(lambda: "ae_request_bytes 1.8e+06" in httpx.get(f"{service.url}/metrics").text)
        two.sendall(head + bytes(1_800_000))
        assert b"HTTP/1.1 503" in two.recv(12)
        assert b"retry-after" in two.recv(65536).lower()
        assert service.predict(photo()).status_code == 200  # a small one has room
    until(lambda: "ae_request_bytes 0.0" in httpx.get(f"{service.url}/metrics").text)


def test_errors_outside_of_predictions_are_json_and_counted(service: Running) -> None:
    for method, path, status, name in [
        ("GET", "/nothing", 404, "ae_other_requests"),
        ("POST", "/health", 405, "ae_other_requests"),
        ("GET", "/predict", 405, "ae_requests"),
        ("POST", "/predict?x=1", 422, "ae_requests"),
        ("POST", f"/predict?image={'0' * 64}", 404, "ae_requests"),
    ]:
        before = counted(service, status, name)
        answer = httpx.request(method, f"{service.url}{path}")
        assert answer.status_code == status
        assert list(answer.json()) == ["detail"]
        assert counted(service, status, name) == before + 1


@pytest.mark.parametrize("value", ["1e10", "-1e10", "inf", "nan", "1e400", "0x10", "١e", ""])
def test_numbers_beyond_all_sense(service: Running, value: str) -> None:
    answer = post(f"{service.url}/predict?threshold={value}", content=png(photo()))
    assert answer.status_code == 422
    assert "must be a number" in answer.json()["detail"]


class Silent:
    """A server that accepts connections and says nothing."""

    def __enter__(self) -> str:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.accepted: list[socket.socket] = []
        threading.Thread(target=self.accept, daemon=True).start()
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}/a.png"

    def accept(self) -> None:
        try:
            while True:
                self.accepted.append(self.socket.accept()[0])
        except OSError:
            return

    def __exit__(self, *error: object) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)  # ends accept(), which would still take a connection
        for connection in (self.socket, *self.accepted):
            connection.close()


def test_slow_addresses_delay_nobody_else(service: Running) -> None:
    with ThreadPoolExecutor(20) as pool, Silent() as url:
        slow = [pool.submit(post, f"{service.url}/predict", json={"url": url}) for _ in range(20)]
        until(lambda: threading.active_count() > 20)
        start = time.monotonic()
        for seed in range(5):
            assert service.predict(photo(seed)).status_code == 200
        assert time.monotonic() < start + 15  # each of the 20 takes 20 seconds
        assert not any(future.done() for future in slow)
    assert {future.result().status_code for future in slow} <= {422, 503}


def test_requests_that_wait_for_downloads_are_limited() -> None:
    limits = Limits(timeout=20, queue=2, urls=True, private_urls=True)
    with Running(limits=limits) as running, ThreadPoolExecutor(20) as pool, Silent() as url:
        slow = [pool.submit(post, f"{running.url}/predict", json={"url": url}) for _ in range(15)]
        until(lambda: sum(future.done() for future in slow) == 5)  # 8 are read, 2 wait
        assert {future.result().status_code for future in slow if future.done()} == {429}


def test_nothing_is_kept_beyond_a_quarter(service: Running) -> None:
    file = png(photo(9, (400, 600)))
    assert len(file) > 600_000
    first = service.predict(file)
    assert first.status_code == 200
    assert post(f"{service.url}/predict?image={first.headers['x-image']}").status_code == 200
    service.predict(png(photo(10, (400, 600))))
    assert post(f"{service.url}/predict?image={first.headers['x-image']}").status_code == 404
