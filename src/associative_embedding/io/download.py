"""Downloads a file from the web, within limits of size and time."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import string
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from associative_embedding import __version__

CHUNK = 2**16  # bytes that are read at once; the limits are checked after each


def download(url: str, *, timeout: float, max_bytes: int, public_only: bool = False) -> bytes:
    """Returns the bytes behind an http or https URL. Redirects are followed to http and https only.

    Args:
        url: the address.
        timeout: seconds for everything: name look-up, connection, redirects and the last byte.
        max_bytes: a larger file is an error.
        public_only: refuse addresses that only this machine or its network can reach. Each redirect is checked, too.
            The connection goes to the checked address itself, so a second name look-up cannot return another one.
            Proxies are not used.

    Raises:
        OSError: one line, the reason without the URL.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise OSError("only http and https URLs are read")
    outcome: list[bytes | Exception] = []
    deadline = time.monotonic() + timeout

    def work() -> None:
        try:
            outcome.append(_fetch(url, deadline, max_bytes, public_only))
        except Exception as error:
            outcome.append(error)

    # A socket's timeout starts again with each byte and leaves out the name look-up. Only a thread bounds the whole.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout)
    result = outcome[0] if outcome else TimeoutError()
    if isinstance(result, bytes):
        return result
    raise OSError(_reason(result, timeout))


class PublicConnection(http.client.HTTPConnection):
    """An http connection to a public address only."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._create_connection = connect_public


class PublicTlsConnection(http.client.HTTPSConnection):
    """An https connection to a public address only. The certificate is still checked against the name."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._create_connection = connect_public


class PublicHandler(urllib.request.HTTPHandler):
    """Opens http URLs by `PublicConnection`."""

    def http_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(PublicConnection, request)  # type: ignore[arg-type]


class PublicTlsHandler(urllib.request.HTTPSHandler):
    """Opens https URLs by `PublicTlsConnection`."""

    def https_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(PublicTlsConnection, request)  # type: ignore[arg-type]


def connect_public(address: tuple[str, int], timeout: Any = None, source: Any = None) -> socket.socket:
    """Connects to the first address of a host, if all its addresses are public.

    Args:
        address: name or number of the host, and the port.
        timeout: seconds, None = no limit.
        source: not used; ``http.client`` passes it.

    Raises:
        OSError: when an address is not public, or the host cannot be reached.
    """
    found = socket.getaddrinfo(address[0], address[1], type=socket.SOCK_STREAM)
    for *_, place in found:
        number = ipaddress.ip_address(str(place[0]).partition("%")[0])
        # Versions of Python differ about IPv4 addresses in IPv6 form; here the IPv4 address decides.
        number = getattr(number, "ipv4_mapped", None) or number
        if not number.is_global or number.is_multicast:
            raise OSError("is at an address that is not public")
    place = found[0][4]
    return socket.create_connection((str(place[0]), int(place[1])), timeout)


def _fetch(url: str, deadline: float, max_bytes: int, public_only: bool) -> bytes:
    quoted = urllib.parse.quote(url, safe=string.punctuation)
    request = urllib.request.Request(quoted, headers={"User-Agent": f"associative-embedding/{__version__}"})
    with _opener(public_only).open(request, timeout=max(deadline - time.monotonic(), 0.001)) as response:
        data = bytearray()
        while chunk := response.read1(CHUNK):  # read() would return only after the last byte
            data += chunk
            if len(data) > max_bytes:
                raise OSError(f"is larger than the limit of {max_bytes} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError
        if response.length:  # bytes that the server announced and did not send
            raise OSError(f"the connection ended {response.length} bytes early")
    return bytes(data)


def _opener(public_only: bool) -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()  # build_opener() would also follow a redirect to ftp
    schemes: tuple[Callable[[], Any], ...] = (
        (PublicHandler, PublicTlsHandler)
        if public_only
        else (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler)
    )
    answers: tuple[Callable[[], Any], ...] = (
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    )
    for handler in (*schemes, *answers):
        opener.add_handler(handler())
    return opener


def _reason(error: Exception, timeout: float) -> str:
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        error = error.reason
    if isinstance(error, TimeoutError):
        return f"no complete answer within {timeout:g} seconds"
    if isinstance(error, (http.client.InvalidURL, ValueError)):
        return f"is not a valid URL ({error})"
    return f"cannot be downloaded ({getattr(error, 'strerror', None) or error or type(error).__name__})"
