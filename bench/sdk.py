"""What recording costs the pipeline: `make bench-sdk`. All figures of one run, medians of several rounds."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import platform
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from bench.sink import sink

N = 50_000
ROUNDS = 7


def evidence_of(number: int) -> dict[str, Any]:
    return {"price": number * 0.5, "rating": 4.5, "category": "phone", "stock": number}


IDS = [f"item_{number}" for number in range(N)]
FACTS = [evidence_of(number) for number in range(N)]


def median_ns(work: Callable[[], Any], n: int = N, between: Callable[[], Any] = lambda: None) -> float:
    """Nanoseconds a unit, the median of the rounds; `between` runs outside the clock."""
    rounds = []
    for _ in range(ROUNDS):
        between()
        gc.collect()
        start = time.perf_counter_ns()
        work()
        rounds.append((time.perf_counter_ns() - start) / n)
    return statistics.median(rounds)


def paired_ns(works: tuple[Callable[[], Any], ...], settle: Callable[[], Any]) -> list[list[float]]:
    """Nanoseconds a unit of several works, taken in turns: a machine whose speed changes changes it for all."""
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(3 * ROUNDS):
        for work, rounds in zip(works, taken, strict=True):
            settle()
            gc.collect()
            start = time.perf_counter_ns()
            work()
            rounds.append((time.perf_counter_ns() - start) / N)
    return taken


def ratio(these: list[float], those: list[float]) -> float:
    """The median of the rounds' own ratios."""
    return statistics.median(one / other for one, other in zip(these, those, strict=True))


def cpu_ns(work: Callable[[], Any], settle: Callable[[], Any], n: int = N) -> float:
    """CPU of the whole process, all threads, until everything is shipped."""
    rounds = []
    for _ in range(ROUNDS):
        gc.collect()
        start = time.process_time_ns()
        work()
        settle()
        rounds.append((time.process_time_ns() - start) / n)
    return statistics.median(rounds)


class Table:
    """Rows of figure, reach, reached."""

    def __init__(self) -> None:
        self.missed = 0
        print(f"{'figure':<58} {'reach':>12} {'reached':>12}")
        print("-" * 84)

    def row(self, name: str, reached: float, unit: str, reach: float | None = None) -> None:
        text = f"{reached:,.2f} {unit}" if reached < 100 else f"{reached:,.0f} {unit}"
        wanted = "" if reach is None else f"<= {reach:g} {unit}"
        missed = reach is not None and reached > reach
        self.missed += missed
        print(f"{name:<58} {wanted:>12} {text:>12}{'  MISSED' if missed else ''}", flush=True)


def in_step(xray: Any, body: Callable[[Any], None]) -> Callable[[], None]:
    def work() -> None:
        with xray.run() as run, run.step("filter", "filter") as step:
            body(step)

    return work


def each_call(table: Table, xray: Any) -> None:
    settle = xray.flush

    def append() -> None:
        rows: list[Any] = []
        for item_id, facts in zip(IDS, FACTS, strict=True):
            rows.append((item_id, "price_too_high", facts))

    def append_copy() -> None:
        rows: list[Any] = []
        for item_id, facts in zip(IDS, FACTS, strict=True):
            rows.append((item_id, "price_too_high", facts.copy()))

    def reject(step: Any) -> None:
        for item_id, facts in zip(IDS, FACTS, strict=True):
            step.reject(item_id, "price_too_high", facts)

    def accept(step: Any) -> None:
        for item_id in IDS:
            step.accept(item_id)

    def passes(step: Any) -> None:
        cap = step.require("price", "<=", 100, reason="price_too_high")
        for item_id in IDS:
            cap.passes(item_id, 50.0)

    appended, copied, rejected = paired_ns((append, append_copy, in_step(xray, reject)), settle)
    table.row("append the tuple to a list", statistics.median(appended), "ns")
    table.row("  the same with a copy of the evidence, by append", ratio(copied, appended), "x")
    table.row("reject(id, reason, evidence)", statistics.median(rejected), "ns")
    table.row("  by append", ratio(rejected, appended), "x", 3)
    table.row("accept(id)", median_ns(in_step(xray, accept), between=settle), "ns")
    table.row("rule.passes(id, value)", median_ns(in_step(xray, passes), between=settle), "ns")
    cpu(table, xray, reject)


def cpu(table: Table, xray: Any, reject: Callable[[Any], None]) -> None:
    def bare() -> None:
        for _item_id, _facts in zip(IDS, FACTS, strict=True):
            pass

    with_call = cpu_ns(in_step(xray, reject), xray.flush)
    table.row(
        "client CPU an event, everything, over the bare loop",
        (with_call - cpu_ns(bare, lambda: None)) / 1000,
        "µs",
        1.2,
    )


def many(table: Table, xray: Any) -> None:
    import numpy as np
    import pyarrow as pa

    numbers = np.arange(N)
    prices = numbers * 0.5
    lists = (IDS, [float(p) for p in prices])
    arrow = (pa.array(IDS), pa.array(prices))
    for name, (ids, column), reach in (
        ("lists", lists, 20),
        ("NumPy", (numbers, prices), 40),
        ("Arrow", arrow, 40),
    ):
        work = in_step(xray, lambda step, i=ids, c=column: step.reject_many(i, "price_too_high", evidence={"price": c}))
        table.row(
            f"reject_many, an item, {name}, one evidence column", median_ns(work, between=xray.flush), "ns", reach
        )


def shells(table: Table, xray: Any) -> None:
    def steps() -> None:
        with xray.run() as run:
            for _ in range(1000):
                with run.step("filter", "filter"):
                    pass

    def runs() -> None:
        for _ in range(1000):
            with xray.run():
                pass

    table.row("an empty step", median_ns(steps, 1000, xray.flush) / 1000, "µs", 6)
    table.row("an empty run", median_ns(runs, 1000, xray.flush) / 1000, "µs", 20)


def disabled(table: Table) -> None:
    from dxray import XRay

    xray = XRay("bench", disabled=True)

    def reject(step: Any) -> None:
        facts = FACTS[0]
        for item_id in IDS:
            step.reject(item_id, "price_too_high", facts)

    def bare() -> None:
        for _item_id in IDS:
            pass

    def empty() -> None:
        nothing, facts = _Empty(), FACTS[0]
        for item_id in IDS:
            nothing.method(item_id, "price_too_high", facts)

    looped, called, floor = paired_ns((bare, in_step(xray, reject), empty), lambda: None)
    over = statistics.median(call - loop for call, loop in zip(called, looped, strict=True))
    table.row("disabled: reject, over the bare loop", over, "ns", 40)
    least = statistics.median(call - loop for call, loop in zip(floor, looped, strict=True))
    table.row("  an empty method with the same arguments", least, "ns")


class _Empty:
    """What no call in Python can be below."""

    __slots__ = ()

    def method(self, item_id: Any, reason: Any, evidence: Any = None) -> None:
        """Nothing."""


def memory(table: Table, xray: Any) -> None:
    """Bytes a recorded event holds until it is flushed, the user's own objects apart."""
    n = 500  # below a chunk: all rows are still Python tuples
    with xray.run() as run, run.step("filter", "filter", capture="full") as step:
        facts = [evidence_of(number) for number in range(n)]
        xray.flush()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for item_id, known in zip(IDS, facts, strict=False):
            step.reject(item_id, "price_too_high", known)
        held = (tracemalloc.get_traced_memory()[0] - before) / n
        tracemalloc.stop()
    table.row("memory an event holds as a row, before it is encoded", held, "B")
    record = len_of_chunk()
    table.row("memory an event holds once encoded", record, "B")


def len_of_chunk() -> float:
    from dxray.sdk.chunk import records
    from dxray.wire.records import Events, Op

    n = 512
    event = Events(run_id="", step_id="", first=0, at=0, ops=bytes((Op.REJECTED,)) * n, ids=IDS[:n])
    event.a, event.b = ["price_too_high"] * n, FACTS[:n]
    return sum(len(record) for record, _ in records(event)) / n


def peers(table: Table) -> None:
    handler = logging.FileHandler(os.devnull)
    logger = logging.getLogger("bench")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False

    def log() -> None:
        for item_id, facts in zip(IDS, FACTS, strict=True):
            logger.info("rejected %s %s %s", item_id, "price_too_high", facts)

    table.row("beside it: stdlib logging to a file", median_ns(log) / 1000, "µs")
    try:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    except ImportError:
        print("beside it: OpenTelemetry is not installed here, so it was not measured")
        return
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("bench")

    def events() -> None:
        with tracer.start_as_current_span("filter") as span:
            for item_id, facts in zip(IDS, FACTS, strict=True):
                span.add_event("rejected", {"id": item_id, "reason": "price_too_high", **facts})

    table.row(
        "beside it: OpenTelemetry add_event, before any export", median_ns(events, between=exporter.clear) / 1000, "µs"
    )


def main() -> None:
    """Print the table; exit 1 when a figure is missed and `--check` is given."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    from dxray import XRay

    print(f"Python {platform.python_version()}, {os.cpu_count()} cores; {N:,} items, median of {ROUNDS} rounds\n")
    with tempfile.TemporaryDirectory() as spool, sink() as address:
        table = Table()
        xray = XRay("bench", api_url=address, capture="full", spool_dir=spool)
        each_call(table, xray)
        many(table, xray)
        shells(table, xray)
        disabled(table)
        memory(table, xray)
        peers(table)
        xray.flush()
    if arguments.check and table.missed:
        raise SystemExit(f"{table.missed} figures missed")


if __name__ == "__main__":
    main()
