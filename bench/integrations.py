"""What each adapter costs on its framework's own minimal loop: `python -m bench.integrations [NAME …] [--check]`.

A row is one loop, timed without and with the adapter by turns in one process, the best of each. To reach: at most 5 %
more, or at most 20 µs a call.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil

from bench import _adapters

SHARE = 0.05
A_CALL = 20e-6  # seconds

Timed = tuple[str, float, float, int]  # what, seconds without, seconds with, calls


def names() -> list[str]:
    """The adapters that have a loop here."""
    return sorted(one.name for one in pkgutil.iter_modules(_adapters.__path__))


def reached(without: float, with_: float, calls: int) -> bool:
    """Whether a loop took little enough longer."""
    more = with_ - without
    return more <= SHARE * without or more <= A_CALL * calls


def main() -> None:
    """Print the table; with `--check`, exit 1 when a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *names()])
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    missed = 0
    print(f"{'':<44} {'without':>10} {'with':>10} {'more':>8} {'a call':>10}")
    for name in given.names or names():
        for what, without, with_, calls in importlib.import_module(f"bench._adapters.{name}").rows():
            more, a_call = with_ / without - 1, (with_ - without) / calls * 1e6
            good = reached(without, with_, calls)
            missed += not good
            line = f"{what:<44} {without * 1e3:>7.2f} ms {with_ * 1e3:>7.2f} ms {more:>8.1%} {a_call:>7.1f} µs"
            print(line + ("" if good else "  MISSED"), flush=True)
    if given.check and missed:
        raise SystemExit(f"{missed} figures missed")


if __name__ == "__main__":
    main()
