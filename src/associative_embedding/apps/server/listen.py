"""The address that the service listens on."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

REASONS = {
    errno.EADDRINUSE: "the port is in use; --port 0 takes a free one",
    errno.EACCES: "no permission; ports below 1024 are for the administrator",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


@contextmanager
def listening(host: str, port: int) -> Iterator[list[socket.socket]]:
    """Yields listening sockets, one for each address of a host: localhost often has two.

    Requests wait from now on until the service accepts them.

    Args:
        host: name or address, IPv6 with or without brackets; ``0.0.0.0`` and ``::`` = all addresses of this machine.
        port: 0 = a free one.

    Raises:
        ValueError: for a port out of range.
        OSError: one line, when it cannot listen there.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"port must be in [0, 65535], not {port}")
    host = without_brackets(host)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, ValueError) as error:
        raise OSError(f"cannot listen on {host!r}: {getattr(error, 'strerror', None) or 'not a host'}") from None
    with ExitStack() as opened:
        sockets: list[socket.socket] = []
        for number, (family, *_, address) in enumerate(found):
            place = (address[0], sockets[0].getsockname()[1] if sockets else port, *address[2:])
            both = host == "::" and socket.has_dualstack_ipv6()  # IPv4, too
            try:
                server = socket.create_server(place, family=family, dualstack_ipv6=both)
            except OSError as error:
                # localhost has an IPv6 address where IPv6 is switched off
                if error.errno == errno.EADDRNOTAVAIL and (sockets or number + 1 < len(found)):
                    continue
                reason = REASONS.get(error.errno or 0, error.strerror)
                raise OSError(f"cannot listen on {host} port {port}: {reason}") from None
            sockets.append(opened.enter_context(server))
        yield sockets


def without_brackets(host: str) -> str:
    return host.removeprefix("[").removesuffix("]")


def url_of(host: str, sockets: list[socket.socket]) -> str:
    """Returns the URL of the service for a browser on this machine.

    Args:
        host: as for `listening`.
        sockets: as `listening` yields them.
    """
    host = without_brackets(host)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        if ipaddress.ip_address(host).version == 6:
            host = f"[{host.replace('%', '%25')}]"
    except ValueError:
        pass  # a name
    return f"http://{host}:{sockets[0].getsockname()[1]}"
