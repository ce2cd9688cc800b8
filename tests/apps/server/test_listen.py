"""The address that the service listens on, and one line for each that it cannot use."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Any

import pytest

from associative_embedding.apps.server.listen import listening, url_of


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="needs IPv6")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:"),
        ("localhost", "http://localhost:"),
        ("0.0.0.0", "http://127.0.0.1:"),
        pytest.param("::1", "http://[::1]:", marks=needs_ipv6),
        pytest.param("[::1]", "http://[::1]:", marks=needs_ipv6),
        pytest.param("::", "http://[::1]:", marks=needs_ipv6),
    ],
)
def test_each_address_is_listened_on_and_its_url_is_right(host: str, url: str) -> None:
    with listening(host, 0) as sockets:
        printed = url_of(host, sockets)
        assert printed.startswith(url)
        port = sockets[0].getsockname()[1]
        assert printed.endswith(f":{port}")
        assert {server.getsockname()[1] for server in sockets} == {port}
        name = printed.removeprefix("http://").rpartition(":")[0].strip("[]")
        socket.create_connection((name, port), timeout=30).close()
    assert all(server.fileno() == -1 for server in sockets)


@needs_ipv6
def test_all_addresses_are_those_of_both_versions() -> None:
    with listening("::", 0) as sockets:
        for number in ("127.0.0.1", "::1"):
            socket.create_connection((number, sockets[0].getsockname()[1]), timeout=30).close()


@pytest.mark.parametrize("port", [-1, 65536, 10**30])
def test_ports_out_of_range(port: int) -> None:
    with pytest.raises(ValueError, match=rf"port must be in \[0, 65535\], not {port}"), listening("127.0.0.1", port):
        pass


@pytest.mark.parametrize(
    "host", ["", "no.such.host.invalid", "http://127.0.0.1", "127.0.0.1:80", "a" * 70, "a b", "[x]", "\0", "256.1.1.1"]
)
def test_unknown_hosts(host: str) -> None:
    with pytest.raises(OSError, match="cannot listen on") as caught, listening(host, 0):
        pass
    assert "\n" not in str(caught.value)


def test_an_address_of_another_machine() -> None:
    with (
        pytest.raises(OSError, match=r"192\.0\.2\.1 port 0: this machine has no such address"),
        listening("192.0.2.1", 0),
    ):
        pass


def test_a_port_in_use() -> None:
    with listening("127.0.0.1", 0) as sockets:
        port = sockets[0].getsockname()[1]
        for host in ("127.0.0.1", "0.0.0.0", "localhost"):
            with pytest.raises(OSError, match=f"port {port}: the port is in use"), listening(host, port):
                pass


def test_ports_of_the_administrator(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(OSError, match="port 80: no permission; ports below 1024"), listening("127.0.0.1", 80):
        pass


def test_localhost_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    create = socket.create_server

    def only_4(place: Any, *, family: int, **options: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        return create(place, family=family, **options)

    both = [(socket.AF_INET6, 1, 6, "", ("::1", 0, 0, 0)), (socket.AF_INET, 1, 6, "", ("127.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: both)
    monkeypatch.setattr(socket, "create_server", only_4)
    with listening("localhost", 0) as sockets:
        assert [server.family for server in sockets] == [socket.AF_INET]


@pytest.mark.extra
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "99999"], "port must be in"),
        (["--port", "-1"], "port must be in"),
        (["--host", "no.such.host.invalid"], "cannot listen on"),
        (["--allow_host", "http://x"], "allow_host takes a name"),
        (["--host", "192.0.2.1"], "no such address"),
    ],
)
def test_the_command_says_so_in_one_line(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("fastapi", reason="needs the extra [serve]")
    from associative_embedding.apps.cli.main import main

    assert main(["serve", *options]) == 1
    line = capsys.readouterr().err
    assert message in line
    assert line.startswith("ae: error: ")
    assert line.count("\n") == 1


@pytest.mark.extra
def test_the_command_says_that_a_port_is_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("fastapi", reason="needs the extra [serve]")
    from associative_embedding.apps.cli.main import main

    with listening("127.0.0.1", 0) as sockets:
        assert main(["serve", "--port", str(sockets[0].getsockname()[1])]) == 1
    assert "the port is in use; --port 0 takes a free one" in capsys.readouterr().err
