"""A loop timed without and with an adapter."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import dxray
from dxray.integrations.adapter import Handle


def by_turns(instrument: Callable[[], Handle], call: Callable[[], Any], rounds: int, calls: int) -> tuple[float, float]:
    """Seconds for `calls` calls within a run, without the adapter and with it: the best of rounds taken in turns."""
    best = {False: float("inf"), True: float("inf")}
    for _ in range(rounds):
        for on in (False, True):
            handle = instrument() if on else Handle()
            with handle, dxray.XRay("bench").run():
                call()
                start = time.perf_counter()
                for _ in range(calls):
                    call()
                best[on] = min(best[on], time.perf_counter() - start)
    return best[False], best[True]
