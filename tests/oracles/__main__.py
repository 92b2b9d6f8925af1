"""`python -m tests.oracles [SECTION ...]`: what the answers were checked against. 1 when one is missed."""

from __future__ import annotations

import argparse
import importlib
import sys
import time

from tests.oracles.figures import Figure

# Each has `figures(full: bool) -> list[Figure]`; the short form runs with the other tests.
SECTIONS = {
    "why": "1",
    "diff": "2",
    "blame": "3",
    "whatif": "4",
    "explain": "5",
    "stability": "6",
    "rules": "7",
    "sampling": "8",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracles", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {' '.join(SECTIONS)}; all if none is named")
    parser.add_argument("--short", action="store_true", help="the counts that `make test` takes")
    given = parser.parse_args()
    if unknown := set(given.sections) - set(SECTIONS):
        parser.error(f"no such section: {' '.join(sorted(unknown))}")
    found: list[Figure] = []
    print("| section | test | figure to reach | figure reached | |\n| --- | --- | --- | --- | --- |")
    for name in given.sections or SECTIONS:
        start = time.monotonic()
        for one in importlib.import_module(f"tests.oracles.{name}").figures(not given.short):
            found.append(one)
            verdict = "ok" if one.ok else "MISSED"
            print(f"| {one.section} | {one.test} | {one.wanted} | {one.reached} | {verdict} |", flush=True)
        print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    return 0 if all(one.ok for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
