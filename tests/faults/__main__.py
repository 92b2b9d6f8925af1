"""`python -m tests.faults [--long] [ROW ...]`: the rows of the table, and what they reached. 1 when one is missed."""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterable
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
    given = parser.parse_args()
    if unknown := set(given.rows) - set(MODULES):
        parser.error(f"no such row: {' '.join(sorted(unknown))}")
    results: list[Result] = []
    for row in given.rows or MODULES:
        found = one_row(row, given.long)
        show(found)
        results += found
    table(results)
    return int(any(result.ok is False for result in results))


if __name__ == "__main__":
    sys.exit(main())
