"""Stopping a question whose answer nobody waits for any more: its queries, and what is worked out between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

from dxray.server.errors import DxrayError


class Cancelled(DxrayError):
    """A question was given up before its answer; whoever asked has gone."""

    status = 499  # seen by nobody but the log
    title = "Nobody waits for the answer"

    def __init__(self) -> None:
        super().__init__("the question was given up: nobody waits for its answer")


class Cancel:
    """Given to the reader of one question, so that others can stop it. From any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._running: set[Callable[[], None]] = set()
        self._is_set = False

    def set(self) -> None:
        """Stop what runs, and let nothing begin. Call it until the question has ended: a query that was just about to
        begin forgets an interrupt."""
        with self._lock:
            self._is_set = True
            for interrupt in self._running:
                interrupt()

    def check(self) -> None:
        """Raise `Cancelled` where it is set."""
        if self._is_set:
            raise Cancelled

    @contextmanager
    def asking(self) -> Iterator[None]:
        """A question that `check` stops, asked in this thread."""
        token = _ASKED.set(self)
        try:
            yield
        finally:
            _ASKED.reset(token)

    @contextmanager
    def stopping(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """A query that `interrupt` stops, and never one after it. Raises `Cancelled`, in place of what it raises."""
        with self._lock:
            if self._is_set:
                raise Cancelled
            self._running.add(interrupt)
        try:
            yield
        except Exception as error:
            if self._is_set:
                raise Cancelled from error
            raise
        finally:
            with self._lock:
                self._running.discard(interrupt)


_ASKED: ContextVar[Cancel | None] = ContextVar("asked", default=None)


def check() -> None:
    """Raise `Cancelled` where nobody waits for the question that this thread works on. Cheap: for use in loops."""
    asked = _ASKED.get()
    if asked is not None:
        asked.check()
