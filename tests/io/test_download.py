"""Downloads: which addresses are public, and limits of time and bytes against servers that break every rule."""

from __future__ import annotations

import gc
import itertools
import shutil
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from associative_embedding.io import addresses, bounded_stream
from associative_embedding.io import download as module
from associative_embedding.io.addresses import Stop, is_public
from associative_embedding.io.download import MAX_OVERHEAD, SharedContext, download, parse_url
from support.raw_server import Answer, RawServer

OK = b"HTTP/1.1 200 OK\r\n"
ENOUGH = 60.0  # seconds, for a busy machine


def get(url: str, timeout: float = ENOUGH, max_bytes: int = 10**6) -> bytes:
    return download(url, timeout=timeout, max_bytes=max_bytes)


# ---- addresses

NOT_PUBLIC = """
127.0.0.1 127.255.0.1 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1 100.100.100.200 0.0.0.0
0.1.2.3 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1
239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16
:: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1
::ffff:0:8.8.8.8 64:ff9b::127.0.0.1 64:ff9b::8.8.8.8 64:ff9b:1::10.0.0.1 100::1 2001::1 2001:0:7f00:1:: 2001:db8::1
2001:10::1 2001:2::1 2002:7f00:1:: 2002:a00:1::1 3fff::1 4000::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1
""".split()


@pytest.mark.parametrize("number", NOT_PUBLIC)
def test_addresses_that_are_not_public(number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(name: str, port: int, **options: Any) -> list[Any]:
        places = [("93.184.216.34", port), (number, port)]
        return [(socket.AF_INET6 if ":" in place[0] else socket.AF_INET, 1, 6, "", place) for place in places]

    assert not is_public(number)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "socket", None)  # one of several addresses is enough: nothing is connected to
    with pytest.raises(OSError, match="not public"):
        download("http://example.com/", timeout=ENOUGH, max_bytes=1, public_only=True)


@pytest.mark.parametrize("number", ["8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "::ffff:8.8.8.8"])
def test_public_addresses_of_version_4(number: str) -> None:
    assert is_public(number)


@pytest.mark.parametrize("number", ["2606:4700::1111", "2a00:1450:4001::200e", "2001:4860:4860::8888", "2400:cb00::1"])
def test_public_addresses_of_version_6(number: str) -> None:
    assert is_public(number)


@pytest.mark.parametrize(
    "host",
    [
        *("0x7f.1", "0x7f000001", "2130706433", "017700000001", "0177.0.0.1", "127.1", "127.0.0.1.", "0", "localhost."),
        *("１２７.0.0.1", "127。0。0。1", "[::127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[fe80::1%25lo]"),
        *(
            "[fe80::1%lo]",
            "localhost",
            "LOCALHOST",
            "%31%32%37.0.0.1",
            "example.com@127.0.0.1",
            "127.0.0.1:1@example.com",
        ),
        *("example.com\\@127.0.0.1", "127.0.0.1\\", "127.0.0.1#@example.com", "127.0.0.1?@example.com", "[::1]:80"),
        *(
            "example.com:0",
            "example.com:65536",
            "example.com:-1",
            "example.com:99999999999",
            "a" * 70,
            "a" * 10_000,
            "",
            ":80",
        ),
        *("exa\tmple.com", "127.0.0.1\r\nHost: x", "127.0.0.1\0.example.com", "[::1", "[v1.a]", "é" * 10_000, "\ud800"),
    ],
)
def test_spellings_of_hosts_that_lead_to_this_machine_or_nowhere(host: str) -> None:
    start = time.monotonic()
    for path in ("", "/x.png"):
        with pytest.raises(OSError) as caught:
            download(f"http://{host}{path}", timeout=ENOUGH, max_bytes=1, public_only=True)
        assert any(text in str(caught.value) for text in ("not public", "not a valid URL", "known", "No address")), (
            caught
        )
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500
    assert time.monotonic() - start < ENOUGH


def test_a_redirect_is_checked_as_the_first_url_is(monkeypatch: pytest.MonkeyPatch) -> None:
    allow_only(monkeypatch, "127.0.0.2")
    inner = RawServer(lambda head: iter([OK + b"\r\nsecret"]))
    places = [b"http://127.0.0.1:%d/", b"//127.0.0.1:%d/", b"http://[::ffff:127.0.0.1]:%d/", b"http://2130706433:%d/"]
    with inner:
        for place in places:
            target = place % inner.port
            answer = lambda head, target=target: iter([b"HTTP/1.1 302 \r\nLocation: " + target + b"\r\n\r\n"])  # noqa: E731
            with RawServer(answer, "127.0.0.2") as outer, pytest.raises(OSError, match="not public"):
                download(outer.url, timeout=ENOUGH, max_bytes=100, public_only=True)
    assert not inner.requests


def allow_only(monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    """Makes one address of loopback count as public."""
    monkeypatch.setattr(bounded_stream, "is_public", lambda other: other == number)


def test_a_second_look_up_cannot_lead_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = itertools.chain(["127.0.0.2"], itertools.repeat("127.0.0.1"))

    def resolve(name: str, port: int, **options: Any) -> list[Any]:
        return [(socket.AF_INET, 1, 6, "", (next(answers), port))]

    allow_only(monkeypatch, "127.0.0.2")
    with RawServer(lambda head: iter([OK + b"\r\npublic"]), "127.0.0.2") as server:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        url = f"http://rebound.test:{server.port}/"
        assert download(url, timeout=ENOUGH, max_bytes=100, public_only=True) == b"public"
    assert b"\r\nHost: rebound.test:" in server.requests[0]


def test_the_public_address_of_this_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    allow_only(monkeypatch, "127.0.0.1")
    with RawServer(lambda head: iter([OK + b"\r\nown"])) as server, pytest.raises(OSError, match="of this machine"):
        download(server.url, timeout=ENOUGH, max_bytes=100, public_only=True)
    assert not server.requests


def test_names_are_encoded() -> None:
    url = parse_url("http://grün.example/a b/ü?q=ü&r=%20#part")
    assert (url.host, url.target) == (b"xn--grn-ioa.example", b"/a%20b/%C3%BC?q=%C3%BC&r=%20")
    assert parse_url("HTTP://[2606:4700::1111]:81").host == b"[2606:4700::1111]"


# ---- servers that never end, or lie


def forever(*parts: bytes, pause: float = 0) -> Iterator[bytes]:
    """Parts, of which the last is repeated without an end."""
    yield from parts[:-1]
    while True:
        yield parts[-1]
        time.sleep(pause)


def drip(head: bytes, pause: float = 0.05) -> Iterator[bytes]:
    for byte in head:
        yield bytes([byte])
        time.sleep(pause)


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
MANY = 4096
BESIDE = rf"more than {MAX_OVERHEAD} bytes beside the file"
TOO_LARGE = "larger than the limit of 1000000 bytes"
ENDLESS = {
    "redirects": (lambda head: forever(b"HTTP/1.1 302 \r\nLocation: /\r\n\r\n", bytes(MANY)), "more than 10 redirects"),
    "100 Continue": (lambda head: forever(b"HTTP/1.1 100 Continue\r\n\r\n" * MANY), BESIDE),
    "103 Early Hints": (lambda head: forever(b"HTTP/1.1 103 \r\nLink: x\r\n\r\n" * MANY), BESIDE),
    "status line": (lambda head: forever(b"HTTP/1.1 200 ", b"a" * MANY), "cannot be downloaded"),
    "header": (lambda head: forever(OK + b"A: ", b"a" * MANY), "cannot be downloaded"),
    "headers": (lambda head: forever(OK, b"A: b\r\n" * MANY), "cannot be downloaded"),
    "body": (lambda head: forever(OK + b"\r\n", bytes(MANY)), TOO_LARGE),
    "chunks": (lambda head: forever(CHUNKED, b"1000\r\n" + bytes(MANY) + b"\r\n"), TOO_LARGE),
    "chunks of one byte": (lambda head: forever(CHUNKED, b"1\r\n0\r\n" * MANY), BESIDE),
    "chunk of any size": (lambda head: forever(CHUNKED + b"fffffffffffff\r\n", bytes(MANY)), TOO_LARGE),
    "length of a chunk": (lambda head: forever(CHUNKED, b"0" * MANY), "cannot be downloaded"),
    "words behind a chunk": (lambda head: forever(CHUNKED + b"1;", b"a" * MANY), "cannot be downloaded"),
    "trailers": (lambda head: forever(CHUNKED + b"0\r\n", b"A: b\r\n" * MANY), "cannot be downloaded"),
    "error": (lambda head: forever(b"HTTP/1.1 500 \r\n\r\n", bytes(MANY)), "HTTP 500 Internal Server Error"),
    "no HTTP": (lambda head: forever(bytes(MANY)), "cannot be downloaded"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDLESS)
def test_an_endless_answer_ends_and_nothing_is_left(name: str) -> None:
    answer, reason = ENDLESS[name]
    check_refused(answer, reason)


def check_refused(answer: Answer, reason: str, timeout: float = ENOUGH) -> None:
    """Checks the reason, and that afterwards no thread and no connection is left; then no CPU time is, either."""
    with RawServer(answer) as server:
        before = set(threading.enumerate())
        start = time.monotonic()
        with pytest.raises(OSError, match=reason) as caught:
            get(server.url, timeout)
        assert time.monotonic() - start < ENOUGH
        assert "\n" not in str(caught.value)
        assert server.wait_until_left()  # so the client closed every socket
        left = set(threading.enumerate()) - before
        assert not [thread for thread in left if "_serve" not in thread.name]  # those of the server end by themselves
        assert server.sent < 2**26  # what fits in the buffers of the system, not gigabytes


DRIPS = {
    "status line": lambda head: drip(OK * 1000),
    "header": lambda head: forever(OK + b"A: ", b"a", pause=0.05),
    "100 Continue": lambda head: forever(b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.05),
    "body": lambda head: forever(OK + b"\r\n", b"a", pause=0.05),
    "trailers": lambda head: forever(CHUNKED + b"0\r\n", b"A: b\r\n", pause=0.05),
    "nothing": lambda head: iter(lambda: time.sleep(2) or b"", b""),
    "redirects": lambda head: forever(b"", b"HTTP/1.1 302 \r\nLocation: /\r\n\r\n", pause=0.2),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DRIPS)
def test_one_time_limit_covers_everything(name: str) -> None:
    answer = DRIPS[name]
    if name == "redirects":
        answer = lambda head: (time.sleep(0.2), forever(b"HTTP/1.1 302 \r\nLocation: /\r\n\r\n"))[1]  # noqa: E731
    check_refused(answer, r"no complete answer within 0\.7 seconds", timeout=0.7)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (OK + b"Content-Length: 9\r\n\r\n1234", "ended 5 bytes early"),
        (OK + b"Content-Length: 2000000\r\n\r\n", TOO_LARGE),
        (OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", "cannot be downloaded"),
        (OK + b"Content-Length: -1\r\n\r\n", "cannot be downloaded"),
        (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n1", "cannot be downloaded"),
        (CHUNKED + b"9\r\n1234", "cannot be downloaded"),
        (OK + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b", r"is compressed \(gzip\)"),
        (OK + b"Content-Encoding: identity, BR\r\n\r\nx", r"is compressed \(br\)"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "cannot be downloaded"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "cannot be downloaded"),
        (b"HTTP/1.1 304 \x1b[31mred\r\n\r\n", "HTTP 304 Not Modified|illegal"),
        (b"HTTP/1.1 302 \r\nLocation: ftp://127.0.0.1/\r\n\r\n", "not ftp"),
        (b"HTTP/1.1 302 \r\nLocation: file:///etc/passwd\r\n\r\n", "not file"),
        (b"HTTP/1.1 302 \r\nLocation: http://127.0.0.1:99999/\r\n\r\n", "valid URL"),
        (b"HTTP/1.1 302 \r\n\r\n", "HTTP 302"),
        (b"", "without sending a response"),
        (b"\x1b[2J" * 100, "cannot be downloaded"),
    ],
)
def test_answers_that_cannot_be_used(answer: bytes, reason: str) -> None:
    check_refused(lambda head: iter([answer]), reason)


def test_files_up_to_the_limit_are_read_in_every_form() -> None:
    file = bytes(range(256)) * 400
    parts = [file[i : i + 100] for i in range(0, len(file), 100)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nA: b\r\n\r\n"
    forms = {
        "length": OK + b"Content-Length: %d\r\n\r\n" % len(file) + file,
        "close": b"HTTP/1.0 200 OK\r\n\r\n" + file,
        "chunks": CHUNKED + chunks,
        "continue": b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"\r\n" + file,
        "odd": OK + b"Content-Encoding: aws-chunked\r\n\r\n" + file,  # a label of stores; the file is plain
    }
    for form, answer in forms.items():
        with RawServer(lambda head, answer=answer: iter([answer])) as server:
            assert get(server.url, max_bytes=len(file)) == file, form
            with pytest.raises(OSError, match="larger than the limit"):
                get(server.url, max_bytes=len(file) - 1)
    request = server.requests[0].lower()
    assert b"\r\naccept-encoding: identity\r\n" in request
    assert request.startswith(b"get / http/1.1\r\n")
    assert b"cookie" not in request


@pytest.mark.slow
def test_small_chunks_of_a_large_file_are_no_attack() -> None:
    part = b"64\r\n" + bytes(100) + b"\r\n"
    with RawServer(lambda head: iter([CHUNKED, *[part * 1000] * 60, b"0\r\n\r\n"])) as server:
        assert len(get(server.url, max_bytes=10**7)) == 6_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["header", "body", "nothing"])
def test_another_thread_ends_a_download(name: str) -> None:
    stop, outcome = Stop(), []

    def work() -> None:
        try:
            download(server.url, timeout=ENOUGH, max_bytes=10**6, stop=stop)
        except OSError as error:
            outcome.append(str(error))

    with RawServer(DRIPS[name]) as server:
        thread = threading.Thread(target=work)
        thread.start()
        while not server.requests:
            time.sleep(0.01)
        stop.now()
        thread.join(ENOUGH / 2)
        assert not thread.is_alive()
        assert server.wait_until_left()
    assert len(outcome) == 1
    with pytest.raises(OSError, match="was given up"):
        download(server.url, timeout=ENOUGH, max_bytes=10**6, stop=stop)


def test_refused_downloads_give_their_memory_back_at_once() -> None:
    """Not when Python next looks for circles of references: a few large files would be kept until then."""
    part = bytes(10**6)
    answers = [
        lambda head: forever(OK + b"\r\n", part),
        lambda head: iter([OK + b"Content-Length: 3000000\r\n\r\n", part, part]),
        lambda head: iter([CHUNKED, b"2dc6c0\r\n", part, part]),
    ]
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        for answer in answers:
            with RawServer(answer) as server:
                for _ in range(3):
                    with pytest.raises(OSError):
                        get(server.url, max_bytes=2_999_999 if answer is answers[0] else 4_000_000)
                assert server.wait_until_left()
        assert tracemalloc.get_traced_memory()[0] < 2_000_000
    finally:
        tracemalloc.stop()
        gc.enable()


# ---- names


def test_look_ups_that_hang_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    go, resolve = threading.Event(), socket.getaddrinfo

    def slow(name: str, *arguments: Any, flags: int = 0, **options: Any) -> list[Any]:
        if not flags and name == "slow.test":
            go.wait(ENOUGH)
        return resolve("127.0.0.1" if name == "slow.test" and not flags else name, *arguments, flags=flags, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setattr(addresses, "LOOK_UPS", threading.BoundedSemaphore(3))
    for _ in range(8):
        with pytest.raises(OSError, match="no complete answer"):
            get("http://slow.test:1/", timeout=0.05)
    hanging = [thread for thread in threading.enumerate() if thread.name == "look-up of slow.test"]
    assert len(hanging) <= 3
    with RawServer(lambda head: iter([OK + b"\r\nx"])) as server:
        assert get(server.url) == b"x"  # numbers need no look-up
        go.set()
        for thread in hanging:
            thread.join(ENOUGH)
        assert get(f"http://slow.test:{server.port}/") == b"x"


def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(name: str, port: int, **options: Any) -> list[Any]:
        return [(socket.AF_INET, 1, 6, "", (number, port)) for number in ("127.0.0.3", "127.0.0.1")]

    with RawServer(lambda head: iter([OK + b"\r\nx"])) as server:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        assert get(f"http://two.test:{server.port}/") == b"x"


# ---- proxies


def test_proxies_are_used_unless_only_public_addresses_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(lambda head: iter([OK + b"\r\nby proxy"])) as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:p%40ss@127.0.0.1:{proxy.port}")
        assert get("http://elsewhere.test/a?b") == b"by proxy"
        assert proxy.requests[0].startswith(b"GET http://elsewhere.test/a?b HTTP/1.1\r\n")
        assert b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in proxy.requests[0]
        with pytest.raises(OSError, match="not public"):
            download("http://127.0.0.1:9/", timeout=ENOUGH, max_bytes=9, public_only=True)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert get(proxy.url) == b"by proxy"
        assert len(proxy.requests) == 2
        monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:9")
        with pytest.raises(OSError, match="proxy for http has no http or https URL"):
            get("http://elsewhere.test/")


# ---- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``cert`` and ``key`` of good.test and 127.0.0.1."""
    if not shutil.which("openssl"):
        pytest.skip("needs the program openssl")
    folder = tmp_path_factory.mktemp("certificate")
    names = "subjectAltName=DNS:good.test,IP:127.0.0.1"
    kind = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=x"
    command = ["openssl", "req", "-x509", *kind.split(), "-addext", names, "-keyout", "key", "-out", "cert"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """A server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert", certificate / "key")
    return context


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate is trusted, and names that end in .test lead to 127.0.0.1."""
    resolve = socket.getaddrinfo

    def known(name: str, *arguments: Any, flags: int = 0, **options: Any) -> list[Any]:
        inner = "127.0.0.1" if name.rstrip(".").endswith(".test") and not flags else name
        return resolve(inner, *arguments, flags=flags, **options)

    monkeypatch.setattr(socket, "getaddrinfo", known)
    context = SharedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificate / "cert")
    monkeypatch.setattr(module, "_certificates", lambda: context)


def test_certificates_are_checked_against_the_name(tls: ssl.SSLContext, trusted: None) -> None:
    file = bytes(300_000)
    with RawServer(lambda head: iter([OK + b"\r\n" + file]), tls=tls) as server:
        for host in ("good.test", "good.test.", "127.0.0.1", "GOOD.test"):
            assert get(f"https://{host}:{server.port}/") == file
        with pytest.raises(OSError, match=r"certificate|CERTIFICATE"):
            get(f"https://bad.test:{server.port}/")
        assert server.wait_until_left()
        assert len(server.requests) == 4


def test_unknown_certificates_are_refused(tls: ssl.SSLContext) -> None:
    with RawServer(lambda head: iter([OK + b"\r\nx"]), tls=tls) as server:
        with pytest.raises(OSError, match=r"certificate|CERTIFICATE"):
            get(server.url)
        assert server.wait_until_left()


def test_several_threads_share_the_authorities(tls: ssl.SSLContext, trusted: None) -> None:
    shared = SharedContext(ssl.PROTOCOL_TLS_CLIENT)
    assert (shared.check_hostname, shared.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert shared.set_alpn_protocols(["http/1.1"]) is None
    with RawServer(lambda head: iter([OK + b"\r\nx"]), tls=tls) as server, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: get(f"https://good.test:{server.port}/"), range(24)))
    assert found == [b"x"] * 24


@pytest.mark.slow
def test_limits_hold_under_tls(tls: ssl.SSLContext, trusted: None) -> None:
    for answer, reason in (ENDLESS["body"], ENDLESS["100 Continue"], ENDLESS["headers"], ENDLESS["redirects"]):
        with RawServer(answer, tls=tls) as server:
            with pytest.raises(OSError, match=reason):
                get(f"https://good.test:{server.port}/")
            assert server.wait_until_left()
    with RawServer(lambda head: forever(OK + b"A: ", b"a", pause=0.05), tls=tls) as server:
        with pytest.raises(OSError, match="no complete answer"):
            get(f"https://good.test:{server.port}/", timeout=0.5)
        assert server.wait_until_left()


class Talker:
    """Stands in for TLS: sends bytes as soon as a client is there, without a request."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self.parts = parts

    def wrap_socket(self, connection: socket.socket, server_side: bool) -> socket.socket:
        for part in self.parts:
            connection.sendall(part)
        return connection


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (forever(b"\x16\x03\x03\x40\x00\x02\x00\xff\xff", bytes(MANY)), "cannot be downloaded|no complete answer"),
        (forever(b"\x16\x03\x03\x40\x00", b"\x02", pause=0.05), "no complete answer"),
        (iter([b"HTTP/1.1 400 Bad Request\r\n\r\n"]), "cannot be downloaded"),
    ],
)
def test_a_handshake_that_never_ends(parts: Iterator[bytes], reason: str) -> None:
    with RawServer(lambda head: iter([]), tls=Talker(parts)) as server:
        with pytest.raises(OSError, match=reason):
            get(server.url, timeout=2)
        assert server.wait_until_left()
