"""What browsers may do with the service: pages of other origins must not use it, nor read, frame or misread answers.

A page that somebody visits can send requests to services on the visitor's own machine. A name that its owner points
to 127.0.0.1 later ("DNS rebinding") makes such a page the same origin as the service, but for its Host header.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NOTHING_ELSE = "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# The page loads nothing from other servers, and a browser must not let it do so.
PAGE_HEADERS = {
    "Content-Security-Policy": f"default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; {NOTHING_ELSE}"
}
# Headers of all answers that do not have their own. JSON and pictures load nothing at all.
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; {NOTHING_ELSE}",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True)
class AllowedHosts:
    """The names by which the service may be called.

    Attributes:
        names: lower-case names and numbers.
        numbers: every number (IP address) is allowed: nobody can point a number elsewhere. False = loopback only.
    """

    names: frozenset[str]
    numbers: bool = False

    def allows(self, name: str) -> bool:
        """Returns whether requests to a name or number, lower-case, are answered."""
        if name in self.names:
            return True
        try:
            number = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.numbers or number.is_loopback


def allowed_hosts(bound: str = "127.0.0.1", further: Sequence[str] = ()) -> AllowedHosts:
    """Returns the names of a service: localhost, the name it is bound to, and further ones.

    Args:
        bound: address that the service listens on. If others can reach it, all numbers and the name of this machine
            are allowed, too.
        further: names, without a port.

    Raises:
        ValueError: for a further name that is none.
    """
    bound, *names = (re.sub(r"^\[(.*)\]$", r"\1", name).rstrip(".").lower() for name in (bound, *further))
    for name in names:
        if name not in (name_of(name), name_of(f"[{name}]")):
            raise ValueError(
                f"allow_host takes a name such as pose.example.org, without http:// and port, not {name!r}"
            )
    local = AllowedHosts(frozenset({"localhost", *names}))
    if local.allows(bound):
        return local
    return AllowedHosts(local.names | {bound, socket.gethostname().lower()}, numbers=True)


def name_of(authority: str) -> str | None:
    """Returns the name or number in ``name:port``, lower-case; None for what is neither."""
    found = AUTHORITY.fullmatch(authority.lower())
    return found[1].strip("[]").rstrip(".") or None if found else None


def refused(headers: Headers, method: str, hosts: AllowedHosts) -> str | None:
    """Returns why a request is refused, or None. Programs send neither an Origin nor Sec-Fetch headers.

    Args:
        headers: of the request.
        method: for example POST.
        hosts: the names of the service.
    """
    called = headers.getlist("host")  # none in HTTP/1.0, which no browser sends
    for host in called:
        name = name_of(host)
        if name is None or not hosts.allows(name):
            return (
                f"this service does not answer to the name {host[:80]!r}: start it with --allow_host NAME if it should"
            )
    for origin in headers.getlist("origin"):
        if not called or not same_origin(origin, called[0]):
            return f"a page of {origin[:80]!r} may not use this service (a proxy must pass the header Host as it came)"
    # Images, scripts and frames of other pages come without an Origin. A link to the service is fine.
    follows_link = method in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
    if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not follows_link:
        return "a page of another origin may not use this service"
    return None


def same_origin(origin: str, host: str) -> bool:
    """Returns whether an Origin header names the host and port that the request went to.

    The scheme is not compared: behind a proxy that ends TLS the service does not know it.
    """
    scheme, _, authority = origin.lower().partition("://")
    if scheme not in PORTS:
        return False
    page, service = (AUTHORITY.fullmatch(text) for text in (authority, host.lower()))
    if page is None or service is None:
        return False
    port = PORTS[scheme]
    return page[1] == service[1] and (page[2] or port) == (service[2] or port)


class BrowserGuard:
    """Wraps the service: refuses requests of other pages, and adds `HEADERS` to every answer, errors included.

    Args:
        app: the service.
        hosts: its names.
    """

    def __init__(self, app: ASGIApp, hosts: AllowedHosts) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        reason = refused(Headers(scope=scope), scope["method"], self.hosts)
        if reason is None:
            await self.app(scope, receive, send_guarded)
            return
        await JSONResponse({"detail": reason}, 403)(scope, receive, send_guarded)
