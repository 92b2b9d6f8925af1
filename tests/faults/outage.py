"""A4: the server is away while the pipeline goes on at full rate, and comes back."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from tests.faults import hook
from tests.faults.ledger import items_of
from tests.faults.rig import Rig, Verdict
from tests.faults.rows import Result

RATE = 5_000
WARM_UP_S = 2.0
MIB = 1024 * 1024


def run(folder: Path, long: bool) -> list[Result]:
    outage = 900.0 if long else 12.0
    with Rig(folder / "outage") as rig:
        rig.serve(spare=True)
        producer = rig.produce(role="measure", rate=RATE, warm_up=WARM_UP_S, flush=2.0, seconds=4 * outage + 60)
        time.sleep(WARM_UP_S + 1.0)
        assert rig.server is not None
        rig.server.kill()
        went = time.monotonic()
        time.sleep(outage)
        rig.serve()
        back = time.monotonic()
        caught_up = _caught_up(rig, went, back, within=2.5 * outage + 10)
        producer.tell(finish=True)
        seen = producer.hear(60.0)
        producer.ends_within(10.0)
        producer.kill()
        newest_first = _newest_first(rig, went, back)
        verdict = rig.verdict()
    away = back - went
    return [*_costs(seen, away), _delivered(verdict, away, caught_up - back, newest_first)]


def _costs(seen: dict[str, object], away: float) -> list[Result]:
    growth, p50, p99 = float(str(seen["rss_growth"])), int(str(seen["p50_ns"])), int(str(seen["p99_ns"]))
    syncers = seen["syncers"]
    assert isinstance(syncers, list)
    return [
        Result(
            "A4",
            f"server away for {away:.0f} s at {RATE:,} events/s: memory",
            "RSS growth <= 32 MB",
            f"{growth / MIB:.1f} MB",
            growth <= 32 * MIB,
        ),
        Result(
            "A4",
            "a call meanwhile, the clock's own reading included",
            "p50 <= 1 µs, p99 <= 25 µs, no fsync on the caller",
            f"p50 {p50 / 1e3:.2f} µs, p99 {p99 / 1e3:.2f} µs, synced by {', '.join(map(str, syncers)) or 'nobody'}",
            p50 <= 1_000 and p99 <= 25_000 and "MainThread" not in syncers,
            details=[f"p99.9 {int(str(seen['p999_ns'])) / 1e3:.0f} µs, most {int(str(seen['most_ns'])) / 1e3:.0f} µs"],
        ),
    ]


def _delivered(verdict: Verdict, away: float, took: float, newest_first: str) -> Result:
    return Result(
        "A4",
        "after it came back",
        "all delivered within 2x the outage, new data first",
        f"{took:.1f} s after {away:.1f} s away, {newest_first}; {verdict.line()} of {verdict.intended:,} recorded",
        took <= 2 * away and newest_first == "new first" and verdict.clean and verdict.stored == verdict.intended,
    )


def _committed(rig: Rig) -> list[tuple[float, int, int]]:
    """When which items were committed: time, first and last item of the batch."""
    found = []
    for kind, at, payload in rig.ledger.messages():
        if kind == hook.COMMITTED and len(items := items_of(payload)):
            found.append((at, int(items.min()), int(items.max())))
    return found


def _intended_by(rig: Rig, moment: float) -> int:
    """The number of the item that was recorded last before a moment."""
    last = 0
    for kind, at, payload in rig.ledger.messages():
        if kind == hook.INTENT and at <= moment:
            first, n = json.loads(payload)
            last = max(last, first + n - 1)
    return last


def _caught_up(rig: Rig, went: float, back: float, within: float) -> float:
    """When the last item recorded before the server's return was committed."""
    wanted = slice(_intended_by(rig, went - 1.0), _intended_by(rig, back - 0.5))
    here = np.zeros(wanted.stop, dtype=np.bool_)
    while True:
        committed = _committed(rig)
        for _, first, last in committed:
            here[first : last + 1] = True
        if here[wanted].all():
            return max(at for at, first, _ in committed if at > back and first < wanted.stop)
        if time.monotonic() - back > within:
            return float("inf")
        time.sleep(0.5 if within < 100 else 5.0)  # all that the ledger has is read each time


def _newest_first(rig: Rig, went: float, back: float) -> str:
    """Whether what was recorded after the return overtakes what waited."""
    border = _intended_by(rig, back)
    after = [(at, first > border) for at, first, _ in _committed(rig) if at > back]
    old = [at for at, is_new in after if not is_new]
    new = [at for at, is_new in after if is_new]
    if not new or not old:
        return "nothing to compare"
    behind = sum(at > new[0] for at in old)
    return "new first" if behind >= len(old) * 0.5 else f"new data after {len(old) - behind} of {len(old)} old batches"
