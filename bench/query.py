"""How long a page waits: `make bench-query`. One server process, 10,000 runs of four steps, over HTTP."""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import urllib3

from dxray import XRay, configure, local

RUNS, ITEMS = 10_000, 12
CANDIDATES = 5_000
REASONS = ("price_too_high", "low_rating", "wrong_category", "out_of_stock", "blocked", "stale")


def record_small(xray: XRay, runs: int) -> None:
    """Runs of four steps; the filter of one in ten rejects more than 90 %."""
    chance = random.Random(7)
    ids = [f"item_{number}" for number in range(ITEMS)]
    for number in range(runs):
        with xray.run(input={"n": number}) as run:
            with run.step("search", "retrieve") as step:
                step.produce_many(ids)
            kept = 1 if chance.random() < 0.1 else chance.randint(4, ITEMS)
            with run.step("filter", "filter") as step:
                for place, item_id in enumerate(ids):
                    if place < kept:
                        step.accept(item_id)
                    else:
                        step.reject(item_id, chance.choice(REASONS), {"price": place * 1.5})
            with run.step("rank", "rank") as step:
                step.score_many(ids[:kept], [chance.random() for _ in range(kept)])
            with run.step("select", "select") as step:
                step.decide("pick", selected=ids[0], alternatives=ids[1:kept])


def record_large(xray: XRay) -> str:
    """One run of four steps over 5,000 candidates; its id."""
    ids = [f"candidate_{number}" for number in range(CANDIDATES)]
    with xray.run(input={"large": True}) as run:
        with run.step("search", "retrieve") as step:
            step.produce_many(ids)
        with run.step("filter", "filter") as step:
            cap = step.require("price", "<=", 100, reason="price_too_high")
            for number, item_id in enumerate(ids):
                if cap.passes(item_id, number * 0.05):
                    step.accept(item_id, evidence={"price": number * 0.05, "rating": 4.5})
        with run.step("rank", "rank") as step:
            for number, item_id in enumerate(ids[:2000]):
                step.score(item_id, number / 2000)
        with run.step("select", "select") as step:
            step.decide("pick", selected=ids[1999], alternatives=ids[:1999])
    return str(run.run_id)


def p50_p95(ask: Callable[[], Any], times: int = 60) -> tuple[float, float]:
    """Milliseconds."""
    ask()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken), statistics.quantiles(taken, n=20)[-1]


def main() -> None:
    """Print the table; with `--check`, exit 1 when a figure is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--runs", type=int, default=RUNS)
    arguments = parser.parse_args()
    configure(show_url=False)
    with tempfile.TemporaryDirectory() as folder, local(data=Path(folder)) as client:
        xray = XRay("bench", api_url=client.api_url, spool_dir=f"{folder}/spool")
        record_small(xray, arguments.runs)
        large = record_large(xray)
        if not xray.flush(120):
            raise SystemExit("not everything was committed within 120 s")
        time.sleep(1)
        missed = ask_all(client.api_url, large, arguments.runs)
    if arguments.check and missed:
        raise SystemExit(f"{missed} figures missed")


def ask_all(api_url: str, large: str, runs: int) -> int:
    pool = urllib3.PoolManager(maxsize=1)

    def asking(path: str) -> Callable[[], Any]:
        def ask() -> None:
            response = pool.request("GET", api_url + path)
            if response.status != 200:
                raise SystemExit(f"{path}: {response.status} {response.data[:200]!r}")

        return ask

    print(f"Python {platform.python_version()}, {os.cpu_count()} cores; {runs:,} runs of four steps, over HTTP\n")
    print(f"{'question':<62} {'reach p50':>10} {'p50':>9} {'p95':>9}")
    print("-" * 93)
    missed = 0
    for name, path, reach in (
        ("filter steps over 90 %, 100 of them", "/steps?step_type=filter&rejection_rate_gt=0.9", 20.0),
        ("a run of 5,000 candidates", f"/runs/{large}", 60.0),
        ("the newest 100 runs", "/runs", None),
        ("why of an item of the large run", f"/runs/{large}/why?item=candidate_4000", None),
        ("100 events of the large run", f"/runs/{large}/events?limit=100", None),
        ("pipelines", "/pipelines", None),
    ):
        p50, p95 = p50_p95(asking(path))
        late = reach is not None and p50 > reach
        missed += late
        wanted = f"<= {reach:g} ms" if reach is not None else ""
        print(f"{name:<62} {wanted:>10} {p50:6.1f} ms {p95:6.1f} ms{'  MISSED' if late else ''}")
    return missed


if __name__ == "__main__":
    main()
