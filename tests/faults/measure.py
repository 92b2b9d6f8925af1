"""A producer that is watched: what its calls cost, its memory and descriptors, and on whose thread the disk is synced.

`python -m tests.faults.child measure` runs `measured`.
"""

from __future__ import annotations

import os
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults import hook, instrument
from tests.faults.ledger import PER_PRODUCER

BATCH = 50  # calls between two looks at the clock
PAGE = os.sysconf("SC_PAGE_SIZE")


def rss() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class Watch:
    """The most of what a process held since this was made, looked at ten times a second."""

    def __init__(self) -> None:
        self.rss_before = self.rss_most = rss()
        self.most_descriptors = descriptors()
        self.syncers: set[str] = set()
        for name in ("fsync", "fdatasync"):
            setattr(os, name, self._noting(getattr(os, name)))
        threading.Thread(target=self._look, daemon=True, name="faults-watch").start()

    def _look(self) -> None:
        while True:
            self.rss_most = max(self.rss_most, rss())
            self.most_descriptors = max(self.most_descriptors, descriptors())
            time.sleep(0.1)

    def _noting(self, real: Callable[[Any], None]) -> Callable[[Any], None]:
        def noting(fd: Any) -> None:
            self.syncers.add(threading.current_thread().name)
            real(fd)

        return noting


def measured(xray: Any, task: dict[str, Any]) -> dict[str, Any]:
    """Record as told, until told to finish; what was seen. `warm_up` seconds are not counted."""
    first, rate = task["producer"] * PER_PRODUCER, task.get("rate", 5_000)
    start = time.monotonic()
    end = start + task.get("seconds", 600.0)
    costs = array("q", bytes(8 * (int(rate * (end - start)) + 1_000)))  # all of it now: it is no growth
    made, counted = 0, 0
    watch: Watch | None = None
    clock = time.perf_counter_ns
    while time.monotonic() < end and not instrument.commands.get("finish"):
        if watch is None and time.monotonic() - start >= task.get("warm_up", 1.0):
            watch = Watch()
            counted = made
        with xray.run() as run, run.step("watched") as step:
            for _ in range(6):
                hook.report(hook.INTENT, [first + made, BATCH])
                for item in range(first + made, first + made + BATCH):
                    text, evidence = str(item), {"k": item % PER_PRODUCER}
                    before = clock()
                    step.accept(text, evidence=evidence)
                    costs[item - first] = clock() - before
                made += BATCH
                pause = start + made / rate - time.monotonic()
                if pause > 0:
                    time.sleep(pause)
    watch = watch or Watch()
    most = watch.rss_most  # what follows copies all costs twice
    taken = costs[counted:made] or array("q", [0])
    p50, p99, p999 = np.percentile(taken, [50, 99, 99.9])
    return {
        "made": made, "p50_ns": int(p50), "p99_ns": int(p99), "p999_ns": int(p999), "most_ns": max(taken),
        "rss_growth": most - watch.rss_before, "rss": most,
        "descriptors": watch.most_descriptors, "syncers": sorted(watch.syncers),
    }  # fmt: skip
