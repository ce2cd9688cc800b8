"""Addresses of hosts: their look-up, and which of them are public."""

from __future__ import annotations

import ipaddress
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

# Python's own tables (`is_global`) differ between its versions, and miss IPv6 forms that contain an IPv4 address.
NOT_PUBLIC = [
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' networks; a cloud's metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # a public number by which a cloud's machines reach their host
        "169.254.0.0/16",  # the link; metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",  # examples, as 198.51.100.0/24 and 203.0.113.0/24
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
]
PUBLIC_6 = ipaddress.IPv6Network("2000::/3")  # all that is given out; translators, local and old forms are outside
NOT_PUBLIC_6 = [
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # protocols; Teredo, which contains an IPv4 address
        "2001:db8::/32",  # examples, as 3fff::/20
        "2002::/16",  # 6to4, which contains an IPv4 address
        "3fff::/20",
    )
]
# A look-up cannot be interrupted. Some names take half a minute, and their threads outlive the downloads.
LOOK_UPS = threading.BoundedSemaphore(32)


class DownloadError(OSError):
    """A download that was refused or broke a limit; the text is the reason."""


class Stop:
    """Ends a download from another thread, when nobody waits for it any more.

    Attributes:
        connection: of the download at present.
    """

    def __init__(self) -> None:
        self.connection: socket.socket | None = None
        self.stopped = False

    def now(self) -> None:
        """Wakes the thread of the download, which then raises an error. A download that is over stays as it is."""
        self.stopped = True
        if self.connection is not None:
            with suppress(OSError):  # it is closed already
                self.connection.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        """Raises `DownloadError` after `now`."""
        if self.stopped:
            raise DownloadError("was given up")


@dataclass(frozen=True)
class Place:
    """An address of a host, as sockets take it.

    Attributes:
        family: ``socket.AF_INET`` or ``socket.AF_INET6``.
        address: number of the host, port, and for IPv6 two more numbers.
    """

    family: int
    address: tuple[Any, ...]

    @property
    def number(self) -> str:
        """The number of the host, for IPv6 without the zone."""
        return str(self.address[0]).partition("%")[0]


def is_public(number: str) -> bool:
    """Returns whether an address can be reached from everywhere, and is not one of this machine or its network.

    Args:
        number: IPv4 or IPv6 address without a zone.
    """
    address = ipaddress.ip_address(number)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped  # the system connects by IPv4
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in NOT_PUBLIC)
    return address in PUBLIC_6 and not any(address in network for network in NOT_PUBLIC_6)


def look_up(host: str, port: int, seconds: float) -> list[Place]:
    """Returns the addresses of a host, at least one, the preferred first.

    Args:
        host: name or number.
        port: 1 to 65535.
        seconds: longest time.

    Raises:
        TimeoutError: when the time is over. The system may go on in a thread until it gives up; at most as many
            such threads exist as `LOOK_UPS` has.
        OSError: for an unknown name.
    """
    try:
        return _places(host, port, socket.AI_NUMERICHOST)  # numbers, in any spelling, need no name server
    except socket.gaierror:
        pass
    if not LOOK_UPS.acquire(timeout=seconds):
        raise TimeoutError
    outcome: list[list[Place] | Exception] = []

    def work() -> None:
        try:
            outcome.append(_places(host, port))
        except Exception as error:
            outcome.append(error)
        finally:
            LOOK_UPS.release()

    thread = threading.Thread(target=work, daemon=True, name=f"look-up of {host}")
    try:
        thread.start()
    except RuntimeError:  # the system has no more threads
        LOOK_UPS.release()
        raise
    thread.join(seconds)
    result = outcome[0] if outcome else TimeoutError()
    if isinstance(result, Exception):
        raise result
    return result


def _places(host: str, port: int, flags: int = 0) -> list[Place]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [Place(family, tuple(address)) for family, *_, address in found]
