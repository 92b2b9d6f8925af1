"""How long questions take over a large history: `python -m bench.questions [--events N] [--quick]`.

Fills a store on disk, by default with 4,000 runs of 5,000 events, as Arrow tables in large commits; then asks through
the functions of `server/questions`, without HTTP. `why` of random items of random runs; `diff` of two runs of 5,000
candidates, and of two of 100,000.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

from dxray.server.questions.diff import diff
from dxray.server.questions.why import why
from dxray.server.store.base import Commit, Reader
from dxray.server.store.duckdb import DuckStore
from dxray.wire.columns import PipelineMemory, Sent, build, check
from dxray.wire.evidence import ShapeBook
from dxray.wire.records import AnyRecord, Decision, Events, Op, Rule, Run, Step

EVENTS = 20_000_000
QUICK = 500_000
A_RUN = 5_000  # events
COMMITTED_TOGETHER = 500_000  # events
ASKED = 200
RULE = Rule("price", "<=", "100", "price_too_high")


def recorded(run_id: str, candidates: int, seed: int) -> Iterator[AnyRecord]:
    """A run of four steps as the SDK sends it: a search, a filter by a rule, a rank with a cut-off, a choice.
    About three events a candidate."""
    chance = np.random.default_rng(seed)
    ids = [f"sku:{n}" for n in range(candidates)]
    price = chance.uniform(1, 200, candidates)
    kept = np.flatnonzero(price <= 100)
    points = chance.random(len(kept))
    yield Run(run_id=run_id, version=1, pipeline="bench", status="completed", started_at=1 + seed, ended_at=9 + seed)
    k = max(1, len(kept) // 10)
    in_order = np.argsort(-points)
    top = [ids[kept[n]] for n in in_order[:k]]
    passed = bytes(np.where(price <= 100, Op.RULE_PASSED, Op.RULE_FAILED).astype(np.uint8))
    chunks: list[tuple[str, str, int, dict[str, Any]]] = [
        ("search", "retrieve", 0, {"ops": bytes(candidates), "ids": ids}),
        ("filter", "filter", candidates, {"ops": passed, "ids": ids, "a": [0] * candidates, "b": price.tolist()}),
        ("rank", "rank", len(kept), _scored([ids[n] for n in kept], points.tolist())),
        ("select", "select", k, _chosen(top)),
    ]
    for number, (name, kind, came, columns) in enumerate(chunks):
        step_id, rules = f"s{number + 1}", [RULE] if name == "filter" else []
        count, n = came if number else None, len(columns["ops"])
        yield Events(run_id=run_id, step_id=step_id, first=0, at=1, rules=rules, **columns)
        if rules:  # what passes is accepted, with its evidence
            accepted = _accepted([ids[one] for one in kept], price[kept].tolist())
            yield Events(run_id=run_id, step_id=step_id, first=n, at=1, rules=rules, **accepted)
            n += len(kept)
        yield Step(
            run_id=run_id, step_id=step_id, version=1, name=name, position=number, type=kind, input_count=count,
            after=[f"s{number}"] if number else [], after_inferred=True, started_at=number, ended_at=number + 1,
            cutoff=k if name == "rank" else None, events=n, rules=rules,
        )  # fmt: skip
    yield Decision(run_id=run_id, step_id="s4", number=0, decision="pick", selected=top[:1], reason="best")


def _accepted(ids: list[str], price: list[float]) -> dict[str, Any]:
    n = len(ids)
    evidence = {"price": price, "rating": [4.5] * n}
    return {"ops": bytes([Op.ACCEPTED]) * n, "ids": ids, "wide": evidence}


def _scored(ids: list[str], points: list[float]) -> dict[str, Any]:
    return {"ops": bytes([Op.SCORED]) * len(ids), "ids": ids, "a": points}


def _chosen(ids: list[str]) -> dict[str, Any]:
    return {"ops": bytes([Op.SELECTED, *[Op.OUTRANKED] * (len(ids) - 1)]), "ids": ids}


def generated_id(number: int) -> str:
    """The id of a run that began so many quarters of a second after the first, as the SDK makes it."""
    chance = random.Random(number).getrandbits(76)
    return f"run_{1_790_000_000_000 + 250 * number:012x}7{chance:019x}"


def fill(store: DuckStore, sizes: list[tuple[str, int]]) -> int:
    """Commit these runs, each with so many candidates; how many events they have."""
    book, pipelines = ShapeBook(), PipelineMemory()
    waiting: list[AnyRecord] = []
    rows = total = 0
    for number, (run_id, candidates) in enumerate(sizes):
        records = list(recorded(run_id, candidates, number))
        for record in records:
            check(record)
        waiting += records
        rows += sum(len(record.ops) for record in records if isinstance(record, Events))
        if rows >= COMMITTED_TOGETHER or number == len(sizes) - 1:
            built = build([Sent("default", "bench", 1, waiting)], book, pipelines)
            store.insert(Commit(built.tables))
            book.stored(built.shapes)
            total, rows, waiting = total + rows, 0, []
    store.checkpoint()
    return total


def p50_p95(asks: list[Callable[[], Any]]) -> tuple[float, float]:
    """Milliseconds, each question once, after one that does not count."""
    asks[0]()
    taken = []
    for ask in asks:
        start = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - start) * 1000)
    return median(taken), quantiles(taken, n=20)[-1] if len(taken) > 1 else taken[0]


def measured(reader: Reader, runs: list[str], candidates: int) -> list[tuple[str, float, float, float]]:
    """What was asked, the figure to reach, p50 and p95."""
    chance = random.Random(7)
    asked = [(chance.choice(runs), f"sku:{chance.randrange(candidates)}") for _ in range(ASKED)]
    one, other = runs[:2] if len(runs) > 1 else (runs[0], runs[0])
    return [
        ("why of an item", 50, *p50_p95([partial(why, reader, run_id, item) for run_id, item in asked])),
        ("diff of two runs of 5,000 candidates", 150, *p50_p95([lambda: diff(reader, "mid_a", "mid_b")] * 20)),
        ("diff of two runs of 100,000 candidates", 2_000, *p50_p95([lambda: diff(reader, "large_a", "large_b")] * 5)),
        ("diff of two runs of the history", 150, *p50_p95([lambda: diff(reader, one, other)] * 20)),
    ]


def main() -> None:
    """Print the table; with `--check`, exit 1 when a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--quick", action="store_true", help=f"only {QUICK:,} events")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    wanted = QUICK if given.quick else given.events
    candidates = 2 * A_RUN // 6  # of which half pass the filter: six events for two of them
    runs = [generated_id(number) for number in range(max(2, wanted // A_RUN))]
    sizes = [(run, candidates) for run in runs]
    sizes += [("mid_a", 5_000), ("mid_b", 5_000), ("large_a", 100_000), ("large_b", 100_000)]
    with tempfile.TemporaryDirectory() as folder:
        store = DuckStore(Path(folder) / "bench.duckdb")
        start = time.perf_counter()
        events = fill(store, sizes)
        filled = time.perf_counter() - start
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores; {events:,} events in {filled:.0f} s\n")
        missed = 0
        print(f"{'question':<45} {'p95 to reach':>12} {'p50':>10} {'p95':>10}\n" + "-" * 80)
        for name, reach, p50, p95 in measured(store.project("default"), runs, candidates):
            missed += p95 > reach
            print(f"{name:<45} {reach:9.0f} ms {p50:7.1f} ms {p95:7.1f} ms{'  MISSED' if p95 > reach else ''}")
        store.close()
    if given.check and missed:
        raise SystemExit(f"{missed} figures missed")


if __name__ == "__main__":
    main()
