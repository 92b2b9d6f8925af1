"""Questions that take seconds: worked out once for all who ask the same, kept while they are right, and given up when
nobody waits any more.

They have threads of their own, few, so that they leave the machine to ingest and to short questions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from dxray.server.answers_cache import AnswerCache, seconds_good
from dxray.server.api.parts import PROJECT, Parts
from dxray.server.reasoning.shown import to_json
from dxray.server.store.base import Store
from dxray.server.store.cancel import Cancel, Cancelled

AT_ONCE = 2
STEPS_BYTES = 128 * 1024 * 1024  # a step of a million items takes half of it
_AGAIN_S = 0.05  # between two interrupts of the same question

Ask = Callable[..., Any]


@dataclass(slots=True, eq=False)
class _Running:
    answer: asyncio.Future[tuple[bytes, float]]
    cancel: Cancel
    waiting: int = 0


@dataclass(slots=True)
class LongQuestions:
    """What is being worked out, and what was. All but `close` happens on the event loop."""

    store: Store
    cache: AnswerCache = field(default_factory=AnswerCache)
    steps: AnswerCache = field(default_factory=lambda: AnswerCache(size=STEPS_BYTES))  # tables of items, and orders
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE, "dxray-long"))
    _running: dict[tuple[int, str], _Running] = field(default_factory=dict)  # that may be joined
    _all: set[_Running] = field(default_factory=set)  # and those that are being stopped
    _stopping: set[asyncio.Task[None]] = field(default_factory=set)

    async def answer(self, request: Request, project: str, ask: Ask, given: Mapping[str, Any]) -> bytes:
        """The answer of `ask(reader, **given)` as JSON. Raises what that raises, and `Cancelled` when nobody waits."""
        version = self.store.version
        said = repr((project, ask.__module__, ask.__name__, sorted(given.items())))
        key = sha256(said.encode(errors="surrogatepass")).hexdigest()
        kept = self.cache.get(version, key)
        if kept is not None:
            return kept
        running = self._running.get((version, key)) or self._begin(version, key, project, ask, given)
        left = asyncio.ensure_future(_left(request))
        running.waiting += 1
        try:
            await asyncio.wait((running.answer, left), return_when=asyncio.FIRST_COMPLETED)
            if not running.answer.done():
                raise Cancelled
            return running.answer.result()[0]
        finally:
            left.cancel()
            running.waiting -= 1
            if not running.waiting and not running.answer.done():
                self._running.pop((version, key), None)
                stopping = asyncio.ensure_future(_stop(running))
                self._stopping.add(stopping)
                stopping.add_done_callback(self._stopping.discard)

    def _begin(self, version: int, key: str, project: str, ask: Ask, given: Mapping[str, Any]) -> _Running:
        cancel = Cancel()

        def work() -> tuple[bytes, float]:
            reader = self.store.project(project, cancel)
            seconds = seconds_good(reader, given)
            with cancel.asking():
                return to_json(ask(reader, **given)), seconds

        answer = asyncio.get_running_loop().run_in_executor(self._pool, work)
        running = self._running[version, key] = _Running(answer, cancel)
        self._all.add(running)

        def done(ended: asyncio.Future[tuple[bytes, float]]) -> None:
            self._all.discard(running)
            if self._running.get((version, key)) is running:
                del self._running[version, key]
            if not ended.cancelled() and ended.exception() is None:
                self.cache.put(version, key, *ended.result())

        answer.add_done_callback(done)
        return running

    def close(self) -> None:
        """Give up what is being worked out. Idempotent; called from a thread, when no request is left."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        ended = time.monotonic() + 5
        while (running := list(self._all)) and time.monotonic() < ended:
            for one in running:
                one.cancel.set()
            time.sleep(_AGAIN_S)
        self._pool.shutdown(wait=True)


async def answered(request: Request, parts: Parts, ask: Ask, given: Callable[[], Mapping[str, Any]]) -> Response:
    """The answer to a question that may take seconds. `given` makes its parameters, with the filters filled in."""
    asked = await run_in_threadpool(given)
    found = await parts.long.answer(request, PROJECT, ask, asked)
    return Response(found, media_type="application/json")


async def _left(request: Request) -> None:
    """Return when who asked has closed the connection. The body was read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _stop(running: _Running) -> None:
    while not running.answer.done():
        running.cancel.set()
        await asyncio.sleep(_AGAIN_S)
