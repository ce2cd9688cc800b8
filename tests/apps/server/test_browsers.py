"""Pages of other origins and rebound names are refused, and every answer has the headers that browsers obey."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra [serve]")
pytest.importorskip("httpx", reason="needs httpx")

import httpx
from fastapi import FastAPI, Response
from fastapi.testclient import TestClient

from associative_embedding.apps.server.browsers import HEADERS, AllowedHosts, BrowserGuard, allowed_hosts
from associative_embedding.apps.server.limits import Limits
from support.serving import Running, photo, png

pytestmark = pytest.mark.extra

OWN = "http://127.0.0.1:8000"


def client(hosts: AllowedHosts | None = None) -> TestClient:
    app = FastAPI()
    app.post("/predict")(lambda: {"found": 1})
    app.get("/health")(lambda: {"status": "ok"})
    app.add_middleware(BrowserGuard, hosts=hosts or allowed_hosts())
    return TestClient(app, base_url=OWN)


def status(headers: dict[str, str], method: str = "POST", hosts: AllowedHosts | None = None) -> int:
    answer = client(hosts).request(method, "/health" if method == "GET" else "/predict", headers=headers)
    if answer.status_code == 403:
        assert "\n" not in answer.json()["detail"]
        assert len(answer.json()["detail"]) < 300
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    return answer.status_code


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8000",
        "127.0.0.2:1",
        "localhost",
        "LOCALHOST:8000",
        "localhost.:8000",
        "[::1]:8000",
        "[::1]",
    ],
)
def test_names_of_a_local_service(host: str) -> None:
    assert status({"Host": host}) == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1.nip.io"),
        *("evil", "localhost:8000@evil.example", "evil.example#localhost", "localhost,evil.example", "", ":8000", " "),
        *(
            "192.168.0.5",
            "0.0.0.0:8000",
            "[::]:8000",
            "[::ffff:127.0.0.1",
            "::1",
            "localhost:port",
            "localhost:",
            "a" * 5000,
        ),
        *("localhost\\evil", "2130706433", "0x7f.1", "127.1", "[fe80::1]"),
    ],
)
def test_other_names_are_refused(host: str) -> None:
    assert status({"Host": host}) == 403
    assert status({"Host": host}, "GET") == 403


def test_names_of_a_service_that_others_reach() -> None:
    hosts = allowed_hosts("0.0.0.0", ["pose.example.org.", "[2606:4700::1111]"])
    for host in ("pose.example.org", "POSE.example.org.:443", "192.168.0.5:8000", "[2606:4700::1111]", "localhost"):
        assert status({"Host": host}, hosts=hosts) == 200
    for host in ("evil.example", "x.pose.example.org", "pose.example.org.evil.example", ""):
        assert status({"Host": host}, hosts=hosts) == 403
    bound = allowed_hosts("pose.lan")
    assert bound.allows("pose.lan")
    assert bound.allows("10.0.0.5")
    assert not bound.allows("evil.example")
    assert not allowed_hosts("::1").numbers
    assert allowed_hosts("127.0.0.1", ["2606:4700::1111"]).allows("2606:4700::1111")
    assert allowed_hosts("[::]").numbers


@pytest.mark.parametrize("name", ["http://x", "x:80", "", "a b", "*", "x/", "a@b", "é", "[x"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="allow_host takes a name"):
        allowed_hosts("127.0.0.1", [name])


@pytest.mark.parametrize(
    "origin",
    [
        *("http://evil.example", "https://127.0.0.1:8000.evil.example", "http://127.0.0.1:8001", "http://127.0.0.1"),
        *(
            "http://localhost:8000",
            "null",
            "",
            "file://",
            "chrome-extension://abc",
            "http://127.0.0.1:8000@evil.example",
        ),
        *("http://evil.example/http://127.0.0.1:8000", "127.0.0.1:8000", "http://127.0.0.1:8000, http://evil.example"),
    ],
)
def test_pages_of_other_origins_are_refused(origin: str) -> None:
    assert status({"Origin": origin}) == 403
    assert status({"Origin": origin}, "GET") == 403
    assert status({"Origin": origin}, "OPTIONS") == 403  # so no browser asks further


def test_its_own_page_is_not_refused() -> None:
    assert status({"Origin": OWN}) == 200
    assert status({"Origin": OWN, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}) == 200
    assert status({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, "GET") == 200
    hosts = allowed_hosts("127.0.0.1", ["pose.example.org"])
    for origin, host in (
        ("https://pose.example.org", "pose.example.org"),  # a proxy ends TLS
        ("https://pose.example.org", "pose.example.org:443"),
        ("https://pose.example.org:8443", "pose.example.org:8443"),
        ("http://Pose.example.org:80", "pose.example.org"),
    ):
        assert status({"Origin": origin, "Host": host}, hosts=hosts) == 200
    assert status({"Origin": "https://pose.example.org", "Host": "127.0.0.1:8000"}, hosts=hosts) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_images_and_scripts_of_other_pages_are_refused(site: str) -> None:
    for mode in ("no-cors", "cors", "websocket"):
        assert status({"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}, "GET") == 403
    assert status({"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}, "POST") == 403
    assert status({"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}, "GET") == 200  # a link


def test_requests_of_http_1_0_need_no_name() -> None:
    """Health checks of some load balancers; browsers always send a name."""
    answers: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        answers.append(message)

    scope = {"type": "http", "method": "GET", "path": "/health", "headers": []}
    coroutine = BrowserGuard(app, allowed_hosts())(scope, None, send)  # type: ignore[arg-type]
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert answers[0]["status"] == 200
    assert (b"x-content-type-options", b"nosniff") in answers[0]["headers"]


def test_an_answer_keeps_its_own_policy() -> None:
    app = FastAPI()
    app.get("/own")(lambda: Response(headers={"Content-Security-Policy": "default-src 'self'"}))
    app.add_middleware(BrowserGuard, hosts=allowed_hosts())
    with TestClient(app, base_url=OWN) as own:
        assert own.get("/own").headers.get_list("Content-Security-Policy") == ["default-src 'self'"]
        assert own.get("/nowhere").headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]


# ---- the service itself


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with Running(limits=Limits(max_bytes=200_000)) as running:
        yield running


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *(("GET", "/", 200), ("GET", "/docs", 200), ("GET", "/page/page.js", 200), ("GET", "/health", 200)),
        *(("GET", "/metrics", 200), ("GET", "/openapi.json", 200), ("GET", "/page/model.json", 200)),
        *(("GET", "/nowhere", 404), ("GET", "/docs/", 404), ("GET", "/redoc", 404), ("DELETE", "/health", 405)),
        *(("POST", "/predict", 422), ("POST", "/predict?image=" + "0" * 64, 404), ("PUT", "/predict", 405)),
    ],
)
def test_every_answer_has_the_headers(service: Running, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, service.url + path, timeout=60)
    assert answer.status_code == status
    check_headers(answer.headers)
    refused = httpx.request(method, service.url + path, timeout=60, headers={"Host": "evil.example"})
    assert refused.status_code == 403
    check_headers(refused.headers)


def check_headers(headers: httpx.Headers) -> None:
    for name, value in HEADERS.items():
        assert len(headers.get_list(name)) == 1
        assert headers[name] == value or name == "Content-Security-Policy"
    policy = headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'self'" in policy or "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "Access-Control-Allow-Origin" not in headers
    assert "Server" not in headers or headers["Server"] == "uvicorn"


def test_answers_of_predict_and_of_no_http_have_them_too(service: Running) -> None:
    for body, status in ((png(photo()), 200), (bytes(300_000), 413)):
        answer = httpx.post(f"{service.url}/predict", content=body, headers={"Origin": service.url}, timeout=60)
        assert answer.status_code == status
        check_headers(answer.headers)
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(b"NO HTTP\r\n\r\n")
        head = b"".join(iter(lambda: connection.recv(4096), b""))
    for name, value in HEADERS.items():
        assert f"{name}: {value}\r\n".encode() in head


def test_a_fault_of_the_service_has_them_too(service: Running) -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    service.app.get("/broken")(broken)
    answer = httpx.get(f"{service.url}/broken", timeout=60)
    assert answer.status_code == 500
    check_headers(answer.headers)


def test_refused_requests_are_counted_and_not_computed(service: Running) -> None:
    before = service.app.state.queue.batches
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = httpx.post(f"{service.url}/predict", content=png(photo(3)), headers=headers, timeout=60)
        assert answer.status_code == 403
    assert service.app.state.queue.batches == before
    assert 'ae_requests_total{status="403"}' in httpx.get(f"{service.url}/metrics", timeout=60).text
