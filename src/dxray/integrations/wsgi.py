"""WSGI middleware: a request that brings a run goes on in it. For Flask, Django and others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from contextvars import copy_context
from typing import Any

from dxray.integrations.propagation import READ, carried, trace_id
from dxray.sdk.guard import guard
from dxray.sdk.xray import XRay

Environ = dict[str, Any]
App = Callable[[Environ, Any], Iterable[bytes]]

_KEYS = tuple(("HTTP_" + name.upper().replace("-", "_"), name) for name in sorted(READ))


class XRayMiddleware:
    """Around a WSGI application: what a request's code records belongs to the run that its headers name.

    A request that names none is left alone, or with `new_runs` is a run of `xray` of its own. The run goes on until
    the body is closed, so a body that is made while it is sent records too. Exceptions pass untouched.
    """

    def __init__(self, app: App, xray: XRay | None = None, *, new_runs: bool = False) -> None:
        self._app = app
        self._xray = xray if xray is not None else XRay("web")
        self._new_runs = new_runs

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        run = None
        with guard:
            run = self._run(environ)
        if run is None:
            return self._app(environ, start_response)
        # A context of the request's own: the thread that serves the next one is in no run, however this one ends.
        return copy_context().run(self._begun, run, environ, start_response)

    def _begun(self, run: AbstractContextManager[Any], environ: Environ, start_response: Any) -> Iterable[bytes]:
        with ExitStack() as stack:
            stack.enter_context(run)
            body = self._app(environ, start_response)
            return body if isinstance(body, list | tuple) else _Body(body, stack.pop_all())

    def _run(self, environ: Environ) -> AbstractContextManager[Any] | None:
        found = {name: environ[key] for key, name in _KEYS if key in environ}
        carrier = carried(found) if found else {}
        if carrier:
            return self._xray.extract(carrier)
        if self._new_runs:
            request = {"method": environ.get("REQUEST_METHOD"), "path": environ.get("PATH_INFO")}
            return self._xray.run(input=request, trace_id=trace_id(found))
        return None


class _Body:
    """A body, made in the context of its request, and the run that ends when a server closes it (PEP 3333)."""

    def __init__(self, body: Iterable[bytes], run: ExitStack) -> None:
        self._body = body
        self._parts = iter(body)
        self._run = run
        self._within = copy_context()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._within.run(next, self._parts)

    def close(self) -> None:
        self._within.run(self._close)

    def _close(self) -> None:
        with self._run:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
