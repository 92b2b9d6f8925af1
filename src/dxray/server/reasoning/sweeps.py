"""One rule at many thresholds: how many items a step would have decided otherwise, at each. Pure functions.

Every value that the rule observed falls between two of the thresholds, once; at each threshold the items that change
are a prefix of these bins, so the whole curve is one pass over the rows and a running sum. A row *certainly* changes
with the verdict of its rule where nothing else decided about the item: it passed and went on, or it failed, and no
other rule can have stopped it. It *may* where later rules never saw it, where the step also rejects without a rule, or
where its value or some events are not there. What another rule or check rejected does not change with this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dxray.server.reasoning.limits import Array

UPPER, LOWER = ("<", "<="), (">", ">=")
SWEPT = (*UPPER, *LOWER)


@dataclass(frozen=True, slots=True)
class Bin:
    """So many rows with one verdict, between the same two thresholds; `place` None where no number was observed."""

    op: str
    passed: bool
    certain: bool
    place: int | None
    n: int


def thresholds(first: float, last: float, points: int) -> Array:
    """The thresholds of a sweep, ascending: evenly spaced, the ends included."""
    low, high = min(first, last), max(first, last)
    if points < 2 or low == high:
        return np.array([low] if low == high else [low, high], dtype=np.float64)
    return np.linspace(low, high, points)


def edges(op: str, at: Array) -> Array:
    """Limits such that a value's bin says at how many thresholds `value >= threshold` (of `<=` and `>`: `>`) holds."""
    return at if op in ("<", ">=") else np.nextafter(at, np.inf)


def bins(op: str, at: Array, values: Array) -> Array:
    """The bin of each value; -1 for NaN."""
    return np.where(np.isnan(values), -1, _places(edges(op, at), values))


def _places(limits: Array, values: Array) -> Array:
    """How many limits each value reaches. Where they are evenly spaced, arithmetic finds it at a third of the cost of
    a search; it may be one off, and where it is more the limits are searched."""
    if len(limits) < 2:
        return np.searchsorted(limits, values, side="right")
    with np.errstate(all="ignore"):
        near = (values - limits[0]) * ((len(limits) - 1) / (limits[-1] - limits[0])) + 1
    found = np.nan_to_num(np.clip(near, 0, len(limits))).astype(np.int32)
    ends = np.concatenate([[np.nan], limits, [np.nan]])  # nothing is below the first, or reaches the last
    found += values >= ends[found + 1]
    found -= values < ends[found]
    off = bool(((values >= ends[found + 1]) | (values < ends[found])).any())
    return np.searchsorted(limits, values, side="right") if off else found


def curve(at: Array, rows: Iterable[Bin]) -> list[tuple[int, int]]:
    """At each threshold, how many items at least and at most are decided otherwise than they were."""
    size = len(at)
    # By verdict and certainty, how many more there are that change, from each threshold on.
    more = np.zeros((2, size + 1), dtype=np.int64)
    always = 0
    for row in rows:
        if row.place is None:
            always += row.n
            continue
        # A lower limit passes the values at or above it: the first `place` thresholds; an upper one all the others.
        changes_first = (row.op in LOWER) != row.passed
        begin, end = (0, row.place) if changes_first else (row.place, size)
        more[int(row.certain), begin] += row.n
        more[int(row.certain), end] -= row.n
    may, certain = np.cumsum(more, axis=1)[:, :size]
    return [(int(low), int(low + other + always)) for low, other in zip(certain, may, strict=True)]


def counted(op: str, passed: Array | bool, certain: Array, place: Array) -> list[Bin]:
    """Rows as bins."""
    size = int(place.max(initial=-1)) + 2  # the first are those without a number
    kind = np.multiply(passed, 2) + certain
    many = np.bincount(kind * size + place + 1, minlength=4 * size).reshape(2, 2, size)
    return [
        Bin(op, said > 0, sure > 0 and n > 0, n - 1 if n else None, int(many[said, sure, n]))
        for said, sure, n in np.argwhere(many).tolist()
    ]


def steepest(at: Sequence[float], flipped: Sequence[tuple[int, int]]) -> tuple[float, float] | None:
    """Between which two neighbouring thresholds most items change; None where none do."""
    if len(at) < 2:
        return None
    steps = [abs(flipped[n + 1][1] - flipped[n][1]) for n in range(len(at) - 1)]
    most = max(range(len(steps)), key=steps.__getitem__)
    return (at[most], at[most + 1]) if steps[most] else None
