"""How long explain takes over a large history: `python -m bench.explain [--events N] [--quick]`.

Fills a store on disk with two versions of a pipeline, 10 million events in 5,000 runs: a search, and a filter whose
items have eight attributes (evidence keys, and what runs say) with few or many values. Then asks through the question,
without HTTP: first with few distinct leaves, then with as many as there are events.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dxray.server.questions.explain import explain
from dxray.server.store.base import Commit
from dxray.server.store.duckdb import DuckStore
from dxray.wire.columns import PipelineMemory, Sent, build, check
from dxray.wire.evidence import ShapeBook
from dxray.wire.records import AnyRecord, Events, Op, Run, Step

EVENTS = 10_000_000
QUICK = 500_000
A_RUN = 2_000  # events
COMMITTED_TOGETHER = 500_000
_COUNTRIES, _KINDS = ("de", "fr", "it", "es"), ("toys", "books", "shoes")


def recorded(pipeline: str, number: int, version: int, many_leaves: bool) -> Iterator[AnyRecord]:
    """One run of two steps; in the second version most large toys are rejected."""
    chance = np.random.default_rng(number)
    n = A_RUN // 2
    run_id, ids = f"{pipeline}_{number}", [f"sku:{one}" for one in range(n)]
    asked = f'{{"country": "{_COUNTRIES[number % 4]}", "size": {number % 7}}}'
    yield Run(
        run_id=run_id, version=1, pipeline=pipeline, status="completed", started_at=1 + number, ended_at=2 + number,
        input=asked, code_version=f"v{version}", environment=("live", "test")[number % 2],
    )  # fmt: skip
    kind, price = chance.integers(0, 3, n), chance.uniform(1, 200, n).round(2)
    bad = (chance.random(n) < 0.1) | ((version == 2) & (kind == 0) & (price >= 100) & (chance.random(n) < 0.5))
    evidence = {
        "kind": [_KINDS[one] for one in kind],
        "price": price.tolist() if many_leaves else (price // 10).tolist(),
        "rating": chance.integers(1, 6, n).tolist(),
        "shop": [f"shop {one}" for one in chance.integers(0, 40 if many_leaves else 4, n)],
        "weight": chance.exponential(5, n).round(2 if many_leaves else 0).clip(0, 9).tolist(),
    }
    ops = bytes(np.where(bad, Op.REJECTED, Op.ACCEPTED).astype(np.uint8))
    reasons = [("large", "poor")[one % 2] if no else None for one, no in enumerate(bad.tolist())]
    yield Events(run_id=run_id, step_id="s1", first=0, at=1, ops=bytes(n), ids=ids)
    yield Events(run_id=run_id, step_id="s2", first=0, at=2, ops=ops, ids=ids, a=reasons, wide=evidence)
    for place, name in enumerate(("search", "filter")):
        yield Step(
            run_id=run_id, step_id=f"s{place + 1}", version=1, name=name, position=place, started_at=place,
            ended_at=place + 1, input_count=n if place else None, events=n,
        )  # fmt: skip


def fill(store: DuckStore, pipeline: str, runs: int, many_leaves: bool) -> None:
    """Commit these runs, half of each version."""
    book, pipelines = ShapeBook(), PipelineMemory()
    waiting: list[AnyRecord] = []
    rows = 0
    for number in range(runs):
        records = list(recorded(pipeline, number, 1 + (number >= runs // 2), many_leaves))
        for record in records:
            check(record)
        waiting += records
        rows += A_RUN
        if rows >= COMMITTED_TOGETHER or number == runs - 1:
            built = build([Sent("default", "bench", 1, waiting)], book, pipelines)
            store.insert(Commit(built.tables))
            book.stored(built.shapes)
            rows, waiting = 0, []
    store.checkpoint()


def main() -> None:
    """Print the table; with `--check`, exit 1 when a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--quick", action="store_true", help=f"only {QUICK:,} events")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    runs = max(8, (QUICK if given.quick else given.events) // A_RUN)
    missed = 0
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores; {runs * A_RUN:,} events of {runs:,} runs\n")
    with tempfile.TemporaryDirectory() as folder:
        for name, many_leaves, reach in (("few leaves", False, 2.0), ("as many leaves as events", True, 4.0)):
            store = DuckStore(Path(folder) / f"{many_leaves}.duckdb")
            fill(store, "bench", runs, many_leaves)
            reader, taken, worked = store.project("default"), [], []
            for _ in range(3):
                start, cpu = time.perf_counter(), time.process_time()
                found = explain(reader, a="version:v1", b="version:v2")
                taken.append(time.perf_counter() - start)
                worked.append(time.process_time() - cpu)
            missed += min(taken) > reach
            figures = " ".join(f"{one:6.2f}" for one in taken)
            print(f"{name:<26} {reach:4.1f} s to reach  {figures} s  (CPU {min(worked):.2f} s)")
            print(f"  {found['sentence']}")
            store.close()
    if given.check and missed:
        raise SystemExit(f"{missed} figures missed")


if __name__ == "__main__":
    main()
