"""`python -m tests.faults [--long] [ROW ...]`: the rows of the table, and what they reached. 1 when one is missed."""

from __future__ import annotations

import argparse
import importlib
import json
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from tests.faults.rows import Result, timed

# A3 and A9 have harnesses of their own, which pytest runs.
MODULES = {
    "A1": "kills",
    "A2": "honesty",
    "A3": "elsewhere",
    "A4": "outage",
    "A5": "drops",
    "A6": "herd",
    "A7": "exits",
    "A8": "forks",
    "A9": "elsewhere",
    "A10": "spools",
    "A11": "network",
    "A12": "clocks",
}

# These measure time or memory, so each runs by itself; of the others two run side by side, the longest first.
ALONE = ("A4", "A6", "A7")
LONGEST_FIRST = ("A2", "A11", "A10", "A1")
LANES = 2


def one_row(row: str, long: bool) -> list[Result]:
    """A row's results. A harness that breaks has missed its figure."""
    results: list[Result] = []
    folder = Path(tempfile.mkdtemp(prefix=f"faults-{row}-"))
    with timed(results):
        try:
            module = importlib.import_module(f"tests.faults.{MODULES[row]}")
            found = module.run_row(row, long) if MODULES[row] == "elsewhere" else module.run(folder, long)
            results.extend(found)
        except Exception as error:  # noqa: BLE001 - the other rows are still wanted
            traceback.print_exc()
            results.append(Result(row, MODULES[row], "a verdict", f"{type(error).__name__}: {error}"[:200], False))
    if all(result.ok is not False for result in results):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        results[-1].details.append(f"left to be looked at: {folder}")
    return results


def all_rows(rows: list[str], long: bool) -> Iterator[list[Result]]:
    """The results of each row, as it comes to its end."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    beside = [row for row in (*LONGEST_FIRST, *rows) if row in rows and row not in ALONE]
    for row in dict.fromkeys(beside):
        waiting.put(row)
    done: queue.SimpleQueue[list[Result] | None] = queue.SimpleQueue()

    def lane() -> None:
        with suppress(queue.Empty):
            while True:
                done.put(in_a_process(waiting.get_nowait(), long))
        done.put(None)

    for _ in range(LANES):
        threading.Thread(target=lane, daemon=True).start()
    left = LANES
    while left:
        found = done.get()
        if found is None:
            left -= 1
        else:
            yield found
    for row in rows:
        if row in ALONE:
            yield in_a_process(row, long)


def in_a_process(row: str, long: bool) -> list[Result]:
    """A row in an interpreter of its own: harnesses change the modules they import, and the environment."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results.json"
        command = [sys.executable, "-m", "tests.faults", row, "--results", str(file), *(["--long"] if long else [])]
        code = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
        if code or not file.exists():
            return [Result(row, MODULES[row], "a verdict", f"its process ended with {code}", False)]
        return [Result(**one) for one in json.loads(file.read_text())]


def show(results: Iterable[Result]) -> None:
    for one in results:
        print(
            f"{one.row:<4} {one.verdict:<8} {one.test}\n{'':13}wanted {one.wanted}\n{'':13}got    {one.reached}", end=""
        )
        print(f"   [{one.seconds:.0f} s]", flush=True)
        for line in one.details:
            print(f"{'':15}{line}", flush=True)


def table(results: list[Result]) -> None:
    print("\n| row | test | figure to reach | figure reached | | s |\n| --- | --- | --- | --- | --- | --- |")
    for one in results:
        print(f"| {one.row} | {one.test} | {one.wanted} | {one.reached} | {one.verdict} | {one.seconds:.0f} |")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {' '.join(MODULES)}; all if none is named")
    parser.add_argument("--long", action="store_true", help="the long forms")
    parser.add_argument("--results", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := set(given.rows) - set(MODULES):
        parser.error(f"no such row: {' '.join(sorted(unknown))}")
    if given.results is not None:
        given.results.write_text(json.dumps([asdict(one) for one in one_row(given.rows[0], given.long)]))
        return 0
    results: list[Result] = []
    for found in all_rows(given.rows or list(MODULES), given.long):
        show(found)
        results += found
    table(sorted(results, key=lambda one: int(one.row[1:])))
    missed = [result for result in results if result.ok is False]
    if missed:  # again, since what is looked at first is the end of the output
        print(f"\n{len(missed)} of {len(results)} missed:")
        show(missed)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
