"""ASGI middleware: a request that brings a run goes on in it. For FastAPI, Starlette, Django and others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractContextManager
from typing import Any

from dxray.integrations.propagation import READ, carried, trace_id
from dxray.sdk.guard import guard
from dxray.sdk.xray import XRay

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_NAMES = frozenset(name.encode() for name in READ)


class XRayMiddleware:
    """Around an ASGI application: what a request's code records belongs to the run that its headers name.

    A request that names none is left alone, or with `new_runs` is a run of `xray` of its own. Messages, websockets,
    the lifespan and exceptions pass untouched.
    """

    def __init__(self, app: App, xray: XRay | None = None, *, new_runs: bool = False) -> None:
        self._app = app
        self._xray = xray if xray is not None else XRay("web")
        self._new_runs = new_runs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        run = None
        if scope["type"] == "http":
            with guard:
                run = self._run(scope)
        if run is None:
            await self._app(scope, receive, send)
            return
        with run:
            await self._app(scope, receive, send)

    def _run(self, scope: Scope) -> AbstractContextManager[Any] | None:
        found = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _NAMES}
        carrier = carried(found) if found else {}
        if carrier:
            return self._xray.extract(carrier)
        if self._new_runs:
            request = {"method": scope["method"], "path": scope["path"]}
            return self._xray.run(input=request, trace_id=trace_id(found))
        return None
