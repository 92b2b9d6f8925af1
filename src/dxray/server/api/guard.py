"""What stands before every route: who may come in, from which page, and which headers every answer has.

Without keys a server serves its own machine only: server and client address must be loopback, the Host
must be one that a foreign page cannot point here (DNS rebinding), and what changes something must not
come from another site.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dxray.server.api import problems
from dxray.server.errors import DxrayError, Forbidden, Unauthorized

_log = logging.getLogger("dxray.server")

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware. `allowed_hosts`: names besides this machine's own."""

    def __init__(self, app: ASGIApp, allowed_hosts: Collection[str] = ()) -> None:
        self.app = app
        self.allowed = frozenset(host.lower() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, _one_line(scope, send))
            return
        if scope["type"] != "http":
            return  # no websockets here; the server closes what is not accepted
        started = False

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check(scope)
            await self.app(scope, receive, with_headers)
        except DxrayError as error:
            await problems.of_error(error)(scope, receive, with_headers)
        except Exception:
            _log.exception("%s %r failed", scope["method"], scope["path"])
            if started:
                raise
            await problems.failed()(scope, receive, with_headers)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = _host_name(headers.get("host", ""))
        if not (_is_loopback(host) or host in self.allowed):
            raise Forbidden(
                f"this server is not addressed as {host[:100]!r}",
                field="Host",
                fix="use localhost, or name the host in DXRAY_ALLOWED_HOSTS",
            )
        for end in ("server", "client"):
            address = (scope.get(end) or ("",))[0]
            if not _is_loopback(address):
                raise Unauthorized(
                    f"without keys only this machine is served, and the {end}'s address is {address or 'not known'}",
                    fix="ask from the machine itself, over 127.0.0.1",
                )
        if scope["method"] not in _SAFE:
            _check_origin(headers)


def _check_origin(headers: Headers) -> None:
    """Refuse what another site's page sends; programs send neither header."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    foreign = origin is not None and _netloc(origin) != headers.get("host", "").lower()
    if foreign or site not in (None, "same-origin", "none"):
        raise Forbidden("another site's page may not change anything here", field="Origin")


def _netloc(origin: str) -> str | None:
    """The host and port of an Origin header; None of one that is no address."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _host_name(host: str) -> str:
    """The Host header without its port and brackets, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".") if host.count(":") < 2 else host


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return (mapped or ip).is_loopback


def _one_line(scope: Scope, send: Send) -> Send:
    """Say an error of ours at start in one line, where Starlette would send the whole trace to the log."""

    async def sending(message: Message) -> None:
        app: Any = scope.get("app")
        error = getattr(getattr(app, "state", None), "start_error", None)
        if message["type"] == "lifespan.startup.failed" and isinstance(error, DxrayError):
            message = {**message, "message": error.line()}
        await send(message)

    return sending
