"""Sampling of evidence (ANSWERS.md, section 8): which evidence is kept, over steps, processes and reasons.

The truth is what the harness itself rejected and accepted. What was kept is read from a store, as any answer would
read it. The random part of a sample is the rows that were kept, and not as extras.
"""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from dxray import XRay, testing
from dxray.sdk.capture import EXTRAS_PER_REASON, FULL_EVENTS, SAMPLE_P, Sampler
from dxray.server.reasoning.estimates import total
from dxray.server.store.base import Commit
from dxray.server.store.duckdb import DuckStore
from dxray.wire.columns import PipelineMemory, Sent, build, check
from dxray.wire.evidence import ShapeBook
from dxray.wire.records import Run
from tests.oracles import flips
from tests.oracles.figures import Figure

COLUMNS = ("step_name", "item_id", "outcome", "reason", "p", "kept_because", "evidence_state", "shape_id")


@dataclass(slots=True)
class Kept:
    """What a step kept of its evidence, and what it was given."""

    items: list[str]
    by_chance: set[str]
    extras: dict[str, set[str]]  # by reason
    reasons: Counter[str]  # of the events that the random part left out
    wrong_p: int  # rows of which the probability is not the one they were kept with


def ids_of(n: int) -> list[str]:
    """Ids of several makes: plain numbers, one letter and a number, and long ones that differ in one place."""
    return [(str(i), f"p{i}", f"https://shop.example/de/products/{i:08d}?ref=search")[i % 3] for i in range(n)]


def reasons_of(n: int, seed: int) -> list[str]:
    """Reasons of every frequency: half of all, down to one event."""
    chance = random.Random(seed)
    found = [f"reason{min(int(chance.expovariate(0.7)), 12)}" for _ in range(n)]
    found[n // 2], found[-1] = "only_once", "only_at_the_end"
    return found


def record(items: Sequence[str], seed: int) -> dict[str, Kept]:
    """A run of three steps that all drop and keep the same items: one call each, in bulk, and `auto`, which keeps all
    until it is full."""
    with testing.capture() as captured:
        xray = XRay("sampled")
        reasons: dict[str, list[str]] = {}
        with xray.run(input={"seed": seed}) as run:
            for number, (name, capture) in enumerate((("calls", "sample"), ("bulk", "sample"), ("auto", "auto"))):
                reasons[name] = reasons_of(len(items), seed + number)
                with run.step(name, "filter", capture=capture) as step:
                    if name == "bulk":
                        step.reject_many(items, reasons[name], {"price": [float(n) for n in range(len(items))]})
                    else:
                        for n, (item, reason) in enumerate(zip(items, reasons[name], strict=True)):
                            step.reject(item, reason, {"price": float(n)})
        records = sorted(captured.records, key=lambda one: type(one) is not Run)
    for one in records:
        check(one)
    store = DuckStore()
    try:
        store.insert(Commit(build([Sent("default", "o", 1, records)], ShapeBook(), PipelineMemory()).tables))
        table = store.project("default").select("events", COLUMNS, order=["step_id", "event_no"])
    finally:
        store.close()
    rows = table.to_pylist()
    return {name: _kept([row for row in rows if row["step_name"] == name], name == "auto") for name in reasons}


def _kept(rows: list[dict[str, object]], auto: bool) -> Kept:
    if auto:
        assert all(row["shape_id"] is not None for row in rows[:FULL_EVENTS])
        rows = rows[FULL_EVENTS:]
    kept = [row for row in rows if row["shape_id"] is not None]
    by_chance = {str(row["item_id"]) for row in kept if row["kept_because"] is None}
    extras: dict[str, set[str]] = {}
    for row in kept:
        if row["kept_because"] is not None:
            extras.setdefault(str(row["reason"]), set()).add(str(row["item_id"]))
    return Kept(
        [str(row["item_id"]) for row in rows],
        by_chance,
        extras,
        Counter(str(row["reason"]) for row in rows if str(row["item_id"]) not in by_chance),
        sum(not math.isclose(float(str(row["p"] or 0)), SAMPLE_P, rel_tol=1e-6) for row in rows),
    )


def elsewhere(n: int, seed: int) -> set[str]:
    """The random part of the same items in another process, with another seed of Python's own hash."""
    program = (
        "from tests.oracles import sampling as s\n"
        f"print('\\n'.join(s.record(s.ids_of({n}), {seed})['calls'].by_chance))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    return set(found.stdout.split())


def missing_reasons(step: Kept) -> list[str]:
    """Reasons of which not just the first 32 were kept, or all there are, besides the random part."""
    return [
        f"{reason}: {len(step.extras.get(reason, ()))} of {n}"
        for reason, n in step.reasons.items()
        if len(step.extras.get(reason, ())) != min(n, EXTRAS_PER_REASON)
    ]


def figures(full: bool) -> list[Figure]:
    """The rows of the table."""
    n, runs = (120_000, 5) if full else (14_000, 1)
    steps = [record(ids_of(n), seed) for seed in range(runs)]
    flat = [kept for one in steps for kept in one.values()]
    past = set(ids_of(n)[FULL_EVENTS:])
    parts = [(kept.by_chance & past) for kept in flat]
    there = elsewhere(n, 7)
    alike = sum(part == parts[0] for part in parts) + (there == flat[0].by_chance)
    share = len(flat[0].by_chance) / n
    far = abs(share - SAMPLE_P) / math.sqrt(SAMPLE_P * (1 - SAMPLE_P) / n)
    missing = [one for kept in flat for one in missing_reasons(kept)]
    both = sum(len(kept.by_chance & set().union(*kept.extras.values())) for kept in flat)
    wrong_p = sum(kept.wrong_p for kept in flat)
    covered = coverage(full)
    said = f"{alike} of {len(parts) + 1}"
    return [
        _figure("the random part is the same at every step and in another process", "all", said, alike > len(parts)),
        _figure(
            "its share of the items", f"{SAMPLE_P:.0%}, within 3.3 deviations", f"{share:.3%}, {far:.1f}", far < 3.3
        ),
        _figure("reasons without the examples they should have", "0", f"{len(missing)}", not missing),
        _figure("extras that pass for the random part, and the reverse", "0", f"{both}", both == 0),
        _figure("rows without the probability they were kept with", "0", f"{wrong_p}", wrong_p == 0),
        *(_figure(test, ">= 94 %", f"{share:.2%}", share >= 0.94) for test, share in covered.items()),
        *flips.figures(full),
    ]


def coverage(full: bool) -> dict[str, float]:
    """How often the nominal 95 % interval holds the truth, at the worst number of rows."""
    most, times = (3_000, 10_000) if full else (300, 1_000)
    found = {
        f"intervals that hold the truth, worst of n = 1 to {most:,} at p = {p:g}": min(_exactly(most, p))
        for p in (0.001, 0.01, 0.1, 0.5)
    }
    few = (1, 3, 10, 30, 100, 300) if full else (1, 10, 100)
    drawn = {n: _drawn(n, times) for n in few}
    found[f"the same as the SDK draws, worst of n = {', '.join(map(str, few))}; {times:,} times each"] = min(
        drawn.values()
    )
    found[f"the same of rows with different p; {times:,} times"] = _of_different_p(times)
    return found


def _exactly(most: int, p: float) -> Iterator[float]:
    """The chance, for each n, that the interval of what is kept of n rows holds n."""
    intervals = [total({p: k}) for k in range(most + 1)]
    low = np.array([one.low for one in intervals])
    high = np.array([one.high for one in intervals])
    for n in range(1, most + 1):
        holds = (low[: n + 1] <= n) & (n <= high[: n + 1])
        yield float(binom.pmf(np.arange(n + 1), n, p)[holds].sum())


def _drawn(n: int, times: int) -> float:
    """How often the interval held n, for n items with ids of their own, kept or not as the SDK does it."""
    held = 0
    for trial in range(times):
        sampler = Sampler(SAMPLE_P, extras=0)
        kept = sum(sampler.cause(f"https://shop.example/{trial}/{i}", "r") == "chance" for i in range(n))
        estimate = total({SAMPLE_P: kept})
        held += estimate.low <= n <= estimate.high
    return held / times


def _of_different_p(times: int) -> float:
    chance = np.random.default_rng(8)
    shares = []
    for parts in ({0.01: 40, 0.1: 300}, {0.01: 900, 0.2: 10, 1.0: 5}, {0.001: 5_000, 0.5: 50}):
        held = 0
        for _ in range(times):
            estimate = total({p: int(chance.binomial(n, p)) for p, n in parts.items()})
            held += estimate.low <= sum(parts.values()) <= estimate.high
        shares.append(held / times)
    return min(shares)


def _figure(test: str, wanted: str, reached: str, ok: bool) -> Figure:
    return Figure("8 sampling", test, wanted, reached, ok)
