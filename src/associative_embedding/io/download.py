"""Downloads a file from the web, within limits of size and time."""

from __future__ import annotations

import functools
import http.client
import ipaddress
import re
import ssl
import string
import urllib.parse
import urllib.request
from collections.abc import Iterable
from typing import TYPE_CHECKING

from associative_embedding import __version__
from associative_embedding.io.addresses import DownloadError, Stop

# The HTTP client is imported when something is downloaded: it takes a tenth of a second.
if TYPE_CHECKING:
    import httpcore2

    from associative_embedding.io.bounded_stream import Backend, Budget

MAX_URL = 2**14  # characters
MAX_REDIRECTS = 10
MAX_OVERHEAD = 2**20  # bytes beside the file in one download: headers, redirects, lengths of chunks, TLS
MAX_REASON = 300  # characters of an error; some of them contain what the server sent
SCHEMES = ("http", "https")
HOST = re.compile(r"[A-Za-z0-9._-]{1,253}")
HEADERS = [
    ("User-Agent", f"associative-embedding/{__version__}"),
    ("Accept", "*/*"),
    ("Accept-Encoding", "identity"),  # a compressed file could unpack to any size
    ("Connection", "close"),
]
COMPRESSIONS = {"gzip", "x-gzip", "deflate", "compress", "br", "zstd"}


def download(url: str, *, timeout: float, max_bytes: int, public_only: bool = False, stop: Stop | None = None) -> bytes:
    """Returns the bytes behind an http or https URL. Redirects are followed to http and https only.

    It works in the thread of the caller. When it returns or raises, its connections are closed.

    Args:
        url: the address.
        timeout: seconds for everything: name look-up, connection, redirects and the last byte.
        max_bytes: a larger file is an error. What arrives beside the file is limited by `MAX_OVERHEAD`.
        public_only: refuse addresses that only this machine or its network can reach. Each redirect is checked, too.
            The connection goes to the checked address itself, so a second name look-up cannot return another one.
            Proxies are not used.
        stop: lets another thread end the download.

    Raises:
        OSError: one line, the reason without the URL.
    """
    try:
        return _follow(url, timeout, max_bytes, public_only, stop)
    except DownloadError as error:
        text = str(error)
    except Exception as error:
        text = reason(error, timeout)
    # Outside of the handler: the error of the connection refers to all bytes that it had read.
    raise DownloadError(text)


def _follow(url: str, timeout: float, max_bytes: int, public_only: bool, stop: Stop | None) -> bytes:
    """Returns the file at a URL or where its redirects lead; see `download`."""
    from associative_embedding.io.bounded_stream import Backend, Budget

    budget = Budget(timeout, MAX_OVERHEAD, stop)
    backend = Backend(budget, public_only=public_only)
    for _ in range(MAX_REDIRECTS + 1):
        answer = _get(parse_url(url), backend, budget, max_bytes)
        if isinstance(answer, bytes):
            return answer
        url = urllib.parse.urljoin(url, answer)
    raise DownloadError(f"more than {MAX_REDIRECTS} redirects")


def parse_url(url: str) -> httpcore2.URL:
    """Returns the parts of a URL. Spaces and letters that are not ASCII are encoded.

    Raises:
        DownloadError: for another scheme than http and https.
        ValueError: for what is no URL, or could be read in two ways.
    """
    import httpcore2

    if len(url) > MAX_URL:
        raise ValueError(f"longer than {MAX_URL} characters")
    if any(ord(character) < 32 or ord(character) == 127 for character in url):  # urlsplit() would drop some of them
        raise ValueError("it has a control character")
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise DownloadError(f"only http and https URLs are read, not {parts.scheme[:20] or 'others'}")
    if "@" in parts.netloc:
        raise ValueError("it has a user name")
    port = parts.port  # raises ValueError above 65535
    if port == 0:
        raise ValueError("it has port 0")
    path = urllib.parse.quote(parts.path or "/", safe=string.punctuation)
    query = urllib.parse.quote(parts.query, safe=string.punctuation)
    return httpcore2.URL(
        scheme=parts.scheme,
        host=_host(parts.hostname or "", bracketed="[" in parts.netloc),
        port=port,
        target=f"{path}?{query}" if query else path,
    )


def _host(host: str, *, bracketed: bool) -> str:
    """Returns a host as headers name it.

    Args:
        host: from a URL.
        bracketed: it was in brackets, so it must be an IPv6 address.

    Raises:
        ValueError: for anything else than a name or an address.
    """
    if bracketed and "%" not in host:  # a zone belongs to addresses of the link, which are for this machine alone
        return f"[{ipaddress.IPv6Address(host).compressed}]"
    if not host.isascii() and len(host) <= 253:  # the codec's time is quadratic in the length
        host = host.encode("idna").decode("ascii")
    if not HOST.fullmatch(host):
        raise ValueError("its host is neither a name nor an address")
    return host


def connection_pool(url: httpcore2.URL, backend: Backend) -> httpcore2.ConnectionPool:
    """Returns a client for one request to a URL, through the proxy of the system if there is one."""
    import httpcore2

    return httpcore2.ConnectionPool(_certificates(), _proxy(url, backend), network_backend=backend)


def _get(url: httpcore2.URL, backend: Backend, budget: Budget, max_bytes: int) -> bytes | str:
    """Returns the file at a URL, or where a redirect leads. The body of a redirect is not read.

    Raises:
        OSError, ValueError: see `download`.
    """
    with connection_pool(url, backend) as pool, pool.stream("GET", url, headers=HEADERS) as response:
        fields = {name.lower(): value for name, value in response.headers}
        if response.status in (301, 302, 303, 307, 308) and b"location" in fields:
            return urllib.parse.quote(fields[b"location"], safe=string.punctuation)
        if not 200 <= response.status < 300:
            raise DownloadError(f"HTTP {response.status} {http.client.responses.get(response.status, '')}".rstrip())
        encodings = {part.strip().lower() for part in fields.get(b"content-encoding", b"").decode("latin-1").split(",")}
        if packed := sorted(encodings & COMPRESSIONS):
            raise DownloadError(f"is compressed ({packed[0]}), which was not asked for")
        return _read_body(response, int(fields.get(b"content-length", -1)), budget, max_bytes)


def _read_body(response: httpcore2.Response, length: int, budget: Budget, max_bytes: int) -> bytes:
    """Returns the body of an answer; `length` is what its header announces, in bytes, or -1."""
    import httpcore2

    if length > max_bytes:
        raise DownloadError(f"is larger than the limit of {max_bytes} bytes")
    data = bytearray()
    try:
        for chunk in response.iter_stream():
            if len(data) + len(chunk) > max_bytes:
                raise DownloadError(f"is larger than the limit of {max_bytes} bytes")
            data += chunk
            budget.was_file(len(chunk))
    except httpcore2.RemoteProtocolError:
        if len(data) < length:
            raise DownloadError(f"the connection ended {length - len(data)} bytes early") from None
        raise
    return bytes(data)


class SharedContext(ssl.SSLContext):
    """Settings of TLS for several threads.

    The client sets the protocol again for each connection. OpenSSL would free the former value while another thread
    copies it.
    """

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        pass


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Returns the authorities that this system trusts; reading them takes 30 to 80 ms."""
    context = SharedContext(ssl.PROTOCOL_TLS_CLIENT)  # which checks certificates and names
    context.load_default_certs()
    return context


def _proxy(url: httpcore2.URL, backend: Backend) -> httpcore2.Proxy | None:
    """Returns the proxy that the environment or the system states for a URL.

    Raises:
        OSError: for a kind of proxy that is not known.
    """
    import httpcore2

    # A proxy looks names up itself, so nothing here could check the address.
    address = None if backend.public_only else urllib.request.getproxies().get(url.scheme.decode())
    host = url.host.decode()
    if not address or urllib.request.proxy_bypass(f"{host}:{url.port}" if url.port else host):
        return None
    parts = urllib.parse.urlsplit(address if "://" in address else f"http://{address}")
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise DownloadError(f"the proxy for {url.scheme.decode()} has no http or https URL")
    user = tuple(urllib.parse.unquote(part or "") for part in (parts.username, parts.password))
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = httpcore2.URL(scheme=parts.scheme, host=host, port=parts.port, target="/")
    return httpcore2.Proxy(place, auth=(user[0], user[1]) if parts.username else None)


def reason(error: Exception, timeout: float) -> str:
    """Returns why a download failed, on one line; `timeout` is its limit in seconds."""
    if isinstance(error, TimeoutError):
        return f"no complete answer within {timeout:g} seconds"
    if isinstance(error, ValueError) and not isinstance(error, OSError):  # a wrong certificate is both
        return f"is not a valid URL ({str(error)[:MAX_REASON]})"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"cannot be downloaded ({text[:MAX_REASON]})"
