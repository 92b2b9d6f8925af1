"""Which run and step the code is in: through functions, asyncio tasks, threads and executors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, Token
from functools import wraps
from typing import Any

RUN: ContextVar[Any] = ContextVar("dxray_run", default=None)
STEP: ContextVar[Any] = ContextVar("dxray_step", default=None)

_installed = False


def reset(variable: ContextVar[Any], token: Token[Any]) -> None:
    """Undo a `set`, also where it is undone in another context (a generator closed by the collector)."""
    try:
        variable.reset(token)
    except ValueError:
        variable.set(None)


@contextmanager
def entered(run: Any, step: Any) -> Iterator[None]:
    """Make `run` and `step` current for a while."""
    tokens = RUN.set(run), STEP.set(step)
    try:
        yield
    finally:
        reset(STEP, tokens[1])
        reset(RUN, tokens[0])


def install() -> None:
    """From the first run on, threads and thread pools start in the run that started them. Once a process.

    asyncio tasks copy their context by themselves; `threading` does so only from Python 3.14 on.
    """
    global _installed
    if _installed:
        return
    _installed = True
    start: Callable[..., None] = threading.Thread.start
    submit: Callable[..., Any] = ThreadPoolExecutor.submit

    @wraps(start)
    def start_here(self: threading.Thread) -> None:
        run = RUN.get()
        if run is not None:
            self.run = _carrying(run, STEP.get(), self.run)  # type: ignore[method-assign]
        start(self)

    @wraps(submit)
    def submit_here(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        run = RUN.get()
        if run is not None:
            fn = _carrying(run, STEP.get(), fn)
        # A pool's worker thread outlives the run that happened to start it: it must not carry it.
        with entered(None, None):
            return submit(self, fn, *args, **kwargs)

    threading.Thread.start = start_here  # type: ignore[method-assign]
    ThreadPoolExecutor.submit = submit_here  # type: ignore[method-assign,assignment]


def _carrying(run: Any, step: Any, fn: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with entered(run, step):
            return fn(*args, **kwargs)

    return call
