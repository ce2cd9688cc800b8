"""A file from the web, bounded in size and in time."""

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


def download(url: str, *, timeout: float, max_bytes: int, public_only: bool = False) -> bytes:
    """The bytes behind an http or https URL; a redirect may lead to nothing else.

    Args:
        timeout: seconds for everything: name look-up, connection, redirects and the last byte.
        max_bytes: the download stops there.
        public_only: refuse addresses that only this machine or its network can reach, also after a redirect or when a
            name's look-up changes its answer: the address itself is connected to. Proxies are not used.

    Raises:
        OSError: one line, the reason without the URL.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise OSError("only http and https URLs are read")
    result: list[bytes | Exception] = []
    deadline = time.monotonic() + timeout

    def work() -> None:
        try:
            result.append(_fetch(url, deadline, max_bytes, public_only))
        except Exception as error:
            result.append(error)

    # A socket's timeout starts anew with each byte and does not cover the name look-up; only a thread bounds the whole.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout)
    answer = result[0] if result else TimeoutError()
    if isinstance(answer, bytes):
        return answer
    raise OSError(_reason(answer, timeout))


class PublicConnection(http.client.HTTPConnection):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._create_connection = connect_public


class PublicTlsConnection(http.client.HTTPSConnection):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._create_connection = connect_public


class PublicHandler(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(PublicConnection, request)  # type: ignore[arg-type]


class PublicTlsHandler(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(PublicTlsConnection, request)  # type: ignore[arg-type]


def connect_public(address: tuple[str, int], timeout: Any = None, source: Any = None) -> socket.socket:
    """A connection to the first address of a host; all of them must be public.

    Raises:
        OSError: when one is not.
    """
    found = socket.getaddrinfo(address[0], address[1], type=socket.SOCK_STREAM)
    for *_, place in found:
        number = ipaddress.ip_address(str(place[0]).partition("%")[0])
        number = getattr(number, "ipv4_mapped", None) or number
        if not number.is_global or number.is_multicast:
            raise OSError("is at an address that is not public")
    place = found[0][4]
    return socket.create_connection((str(place[0]), int(place[1])), timeout)


def _fetch(url: str, deadline: float, max_bytes: int, public_only: bool) -> bytes:
    opener = urllib.request.OpenerDirector()  # build_opener() would also follow a redirect to ftp
    ways: tuple[Callable[[], Any], ...] = (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
    )
    handlers: tuple[Callable[[], Any], ...] = (
        *((PublicHandler, PublicTlsHandler) if public_only else ways),
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    )
    for handler in handlers:
        opener.add_handler(handler())
    quoted = urllib.parse.quote(url, safe=string.punctuation)
    request = urllib.request.Request(quoted, headers={"User-Agent": f"associative-embedding/{__version__}"})
    with opener.open(request, timeout=max(deadline - time.monotonic(), 0.001)) as response:
        data = bytearray()
        while chunk := response.read1(2**16):  # read() would wait until all of it has come
            data += chunk
            if len(data) > max_bytes:
                raise OSError(f"is larger than the limit of {max_bytes} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError
        if response.length:  # what the server promised beyond what came
            raise OSError(f"the connection ended {response.length} bytes early")
    return bytes(data)


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
