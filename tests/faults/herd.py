"""A6: 200 clients find the server back after five minutes. The product's own shippers, on a clock that is simulated."""

from __future__ import annotations

import heapq
import itertools
import logging
import random
import types
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.faults.rows import Result

CLIENTS = 200
OUTAGE_S = 300.0
LATENCY_S = 0.02
BATCHES_S = 1.0  # of each client


class Clock:
    """Stands where the shipper has `time`."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


class Simulation:
    """Shippers without threads: what their threads would do is done when its time has come."""

    def __init__(self, clock: Clock, retry_after: float | None) -> None:
        from dxray.sdk.settings import Settings
        from dxray.sdk.shipper import Shipper

        self.clock = clock
        self.retry_after = retry_after
        self.up = False
        self.attempts: list[float] = []
        self._events: list[tuple[float, int, str, int, Any]] = []
        self._order = itertools.count()
        self._looks = [0.0] * CLIENTS  # when each client looks next, at the latest
        self.clients = [Shipper(Settings(), lambda *_: None, list) for _ in range(CLIENTS)]
        for client in self.clients:
            client._spawn = lambda: None  # type: ignore[method-assign]

    def post(self, data: bytes) -> Any:
        """A server's answer, as a transport gives it."""
        from dxray.sdk.transport import Answer, Fate

        if self.up:
            return Answer(Fate.COMMITTED)
        return Answer(Fate.RETRY, "away", self.retry_after)

    def at(self, when: float, what: str, client: int, frame: Any = None) -> None:
        heapq.heappush(self._events, (when, next(self._order), what, client, frame))

    def run(self, begin: float, until: float) -> None:
        """Let time pass: the server is back `OUTAGE_S` after the beginning."""
        while self._events and self._events[0][0] <= until:
            when, _, what, number, frame = heapq.heappop(self._events)
            self.clock.now = when
            self.up = when >= begin + OUTAGE_S
            client = self.clients[number]
            if what == "batch":
                client.submit(frame)
            elif what == "answer":
                client._ship_one(self, frame)  # type: ignore[arg-type]
            self._pump(number)

    def _look(self, number: int, when: float) -> None:
        if not self.clock.now < self._looks[number] <= when:
            self._looks[number] = when
            self.at(when, "look", number)

    def _pump(self, number: int) -> None:
        from dxray.sdk import shipper

        client = self.clients[number]
        while client._in_flight < shipper.THREADS:
            frame, pause = client._ready()
            if frame is None:
                if pause is not None:
                    self._look(number, self.clock.now + pause + 1e-6)
                return
            client._in_flight += 1
            self.attempts.append(self.clock.now)
            self.at(self.clock.now + LATENCY_S, "answer", number, frame)


@contextmanager
def simulated() -> Iterator[Clock]:
    """The shipper's clock is ours, and nobody is warned of the server that is away."""
    from dxray.sdk import shipper
    from dxray.sdk.guard import logger

    clock, real, level = Clock(), vars(shipper)["time"], logger.level
    vars(shipper)["time"] = types.SimpleNamespace(monotonic=clock.monotonic)
    logger.setLevel(logging.CRITICAL)
    try:
        yield clock
    finally:
        vars(shipper)["time"] = real
        logger.setLevel(level)


def simulate(retry_after: float | None) -> tuple[float, float, float]:
    """Peak to mean of the requests a second after the return, attempts a batch, seconds until all is delivered."""
    from dxray.sdk.spool import Frame

    with simulated() as clock:
        random.seed(7)
        one = Simulation(clock, retry_after)
        begin, batches = clock.now, 0
        until = begin + OUTAGE_S + 120.0
        for number in range(CLIENTS):
            start = begin + random.random() / BATCHES_S
            for n in range(int((until - begin) * BATCHES_S) - 1):
                one.at(start + n / BATCHES_S, "batch", number, Frame(seq=n, length=5_000, data=b"batch"))
                batches += 1
        one.run(begin, until + 300.0)
    left = sum(len(client.outstanding()) for client in one.clients)
    if left:
        return float("inf"), float("inf"), float(left)
    back = begin + OUTAGE_S
    rates = Counter(int(at - back) for at in one.attempts if at >= back)
    caught_up = _caught_up(rates)
    seconds = [rates[second] for second in range(caught_up)]
    return max(seconds) / (sum(seconds) / len(seconds)), len(one.attempts) / batches, caught_up


def _caught_up(rates: Counter[int]) -> int:
    """The second from which on no more is sent than comes new."""
    usual = CLIENTS * BATCHES_S * 1.1
    return max((second for second, n in rates.items() if n > usual), default=0) + 1


def run(folder: Path, long: bool) -> list[Result]:
    results = []
    for how, retry_after in (("connection refused", None), ("503 with Retry-After: 5", 5.0)):
        ratio, attempts, caught_up = simulate(retry_after)
        results.append(
            Result(
                "A6",
                f"{CLIENTS} clients, server back after {OUTAGE_S:.0f} s ({how}), simulated",
                "peak/mean <= 3, <= 1.2 attempts a batch",
                f"{ratio:.2f}, {attempts:.2f} attempts; caught up after {caught_up:.0f} s",
                ratio <= 3 and attempts <= 1.2,
            )
        )
    return results
