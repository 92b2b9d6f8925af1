"""How long a sweep takes over a large history: `python -m bench.whatif [--events N] [--quick]`.

Fills a store on disk, by default with 10 million events of the pipeline of `bench.questions`, and asks for the curve of
100 thresholds of its price cap, through the function of `server/questions`, without HTTP; then for one other
threshold, for which the newest runs are replayed. The same with three rules, one after another and all together, so
that what other rules say of an item has to be looked at.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench import questions
from dxray.server.questions.whatif import whatif
from dxray.server.reasoning.limits import Change
from dxray.server.store.base import Commit, Reader
from dxray.server.store.duckdb import DuckStore
from dxray.wire.columns import PipelineMemory, Sent, build
from dxray.wire.evidence import ShapeBook
from dxray.wire.records import AnyRecord, Events, Op, Rule, Run, Step

EVENTS, QUICK = 10_000_000, 300_000
POINTS = 100
SWEPT = {"reason": "price_too_high", "from": 20.0, "to": 180.0, "points": POINTS, "step_name": None}
RULES = [questions.RULE, Rule("rating", ">=", "2", "rating_too_low"), Rule("stock", ">", "0", "out_of_stock")]
REACH = 1.5  # seconds


def three_rules(run_id: str, candidates: int, seed: int, together: bool) -> Iterator[AnyRecord]:
    """A run whose filter has three rules."""
    chance = np.random.default_rng(seed)
    ids = np.array([f"sku:{n}" for n in range(candidates)], dtype=object)
    values = [chance.uniform(1, 200, candidates), chance.uniform(0, 5, candidates), chance.uniform(-1, 9, candidates)]
    passes = [values[0] <= 100, values[1] >= 2, values[2] > 0]
    ops: list[int] = []
    rows: tuple[list[str], list[int], list[float]] = ([], [], [])
    for n in range(candidates):
        rejected = False
        for rule in range(3):
            good = bool(passes[rule][n])
            ops.append(Op.RULE_PASSED if good else Op.RULE_ALSO_FAILED if rejected else Op.RULE_FAILED)
            rows[0].append(ids[n])
            rows[1].append(rule)
            rows[2].append(float(values[rule][n]))
            rejected = rejected or not good
            if rejected and not together:
                break
    asked, failed = np.bincount(rows[1], minlength=3), np.zeros(3, dtype=int)
    for op, rule in zip(ops, rows[1], strict=True):
        failed[rule] += op != Op.RULE_PASSED
    rules = [
        Rule(rule.field, rule.op, rule.threshold, rule.reason, int(asked[n]), int(failed[n]))
        for n, rule in enumerate(RULES)
    ]
    yield Run(run_id=run_id, version=1, pipeline="three", status="completed", started_at=1 + seed, ended_at=9 + seed)
    yield Events(
        run_id=run_id, step_id="s1", first=0, at=1, ops=bytes(ops), ids=rows[0], a=rows[1], b=rows[2], rules=rules
    )
    yield Step(run_id=run_id, step_id="s1", version=1, name="filter", position=0, type="filter", input_count=candidates,
               started_at=1, ended_at=2, events=len(ops), rules=rules)  # fmt: skip


def fill(store: DuckStore, events: int, together: bool) -> int:
    """Commit runs of three rules until there are so many events; how many there are."""
    book, pipelines, total, number = ShapeBook(), PipelineMemory(), 0, 0
    while total < events:
        waiting: list[AnyRecord] = []
        rows = 0
        while rows < min(questions.COMMITTED_TOGETHER, events):
            records = list(three_rules(questions.generated_id(number), 2_500, number, together))
            rows += sum(len(one.ops) for one in records if isinstance(one, Events))
            waiting += records
            number += 1
        built = build([Sent("default", "bench", 1, waiting)], book, pipelines)
        store.insert(Commit(built.tables))
        book.stored(built.shapes)
        total += rows
    store.checkpoint()
    return total


def measured(reader: Reader) -> tuple[float, float, list[int]]:
    """Seconds for the curve, and for one other threshold; and what flips at the last one."""
    taken: list[float] = []
    curve: list[dict[str, Any]] = []
    for _ in range(4):
        start = time.perf_counter()
        curve = whatif(reader, swept=SWEPT)["curve"]
        taken.append(time.perf_counter() - start)
    assert len(curve) == POINTS, curve
    start = time.perf_counter()
    whatif(reader, changes=[Change("price_too_high", 80)])
    return median(taken[1:]), time.perf_counter() - start, curve[-1]["flipped"]


def main() -> None:
    """Print the table; with `--check`, exit 1 when a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} events")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    events = QUICK if given.quick else given.events
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores; {POINTS} thresholds, to reach {REACH} s\n")
    print(f"{'history':<40} {'events':>12} {'curve':>9} {'replayed':>9}\n" + "-" * 73)
    missed = 0
    for name in ("one rule", "three rules, one after another", "three rules, all together"):
        with tempfile.TemporaryDirectory() as folder:
            store = DuckStore(Path(folder) / "bench.duckdb")
            if name == "one rule":
                runs = max(2, events // questions.A_RUN)
                n = questions.fill(
                    store, [(questions.generated_id(number), questions.A_RUN // 3) for number in range(runs)]
                )
            else:
                n = fill(store, events, together="together" in name)
            curve, replayed, flipped = measured(store.project("default"))
            missed += curve > REACH
            print(f"{name:<40} {n:>12,} {curve:7.2f} s {replayed:7.2f} s  at the end {flipped}")
            store.close()
    if given.check and missed:
        raise SystemExit(f"{missed} figures missed")


if __name__ == "__main__":
    main()
