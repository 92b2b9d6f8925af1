"""Several causes in two sets of rows, and which slices are more than chance. Pure functions; see `slices`.

**Several causes.** The best slice is a cause; its rows are removed, the rest is searched again, until nothing passes.
Beside each cause stand other descriptions of it: slices of the same search that share at least half of the rows of the
smaller, pass the same test, reach 0.4 of its score and are not the same but for the ends of a range. All are listed by
score, each with the number of its cause.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dxray.server.reasoning.slice_chance import passing
from dxray.server.reasoning.slices import (
    Condition,
    Ints,
    Rows,
    Slice,
    frequent,
    grouped,
    has,
    inside,
    narrowed,
    search,
    totals,
    without,
)

_CAUSES = 5
_LEAST_OF_FIRST = 0.05  # of the score of the first cause
_DESCRIPTIONS = 6  # beside a cause
_AS_GOOD = 0.4  # of its score
_SAME = 1  # that describes the very rows of another
_SHARED = 0.5  # of the rows of the smaller


@dataclass(frozen=True, slots=True)
class Causes:
    """The slices that pass, by score, how many were looked at in the first search, and what was not looked at."""

    slices: list[Slice]
    tested: int
    too_large: list[tuple[int, ...]]  # the smallest sets of dimensions that have too many cells together
    apart: list[int]  # dimensions that were looked at one by one, for want of time to combine them


def causes(rows: Rows) -> Causes:
    """The slices of two sets of rows that are more than chance, and what there was no time to look at.

    `rows.cluster` numbers whole runs, or several put together by `slice_chance.clusters_of`.
    """
    of = totals(rows)
    rows, were = frequent(rows, of)
    combined = narrowed(rows, of)
    apart = [n for n, (one, was) in enumerate(zip(combined.dimensions, rows.dimensions, strict=True)) if one != was]
    rows = here = combined
    small, leaf = grouped(rows)
    listed: dict[tuple[Any, ...], Slice] = {}
    tested, first = 0, 0.0
    too_large: set[tuple[int, ...]] = set()
    for number in range(1, _CAUSES + 1):
        found = search(small, leaf, of)
        tested = tested or found.tested
        too_large |= found.too_large
        passed = passing(here, found)
        if not passed or passed[0].score <= _LEAST_OF_FIRST * first:
            break
        best = passed[0]
        first = first or best.score
        for one in [best, *_descriptions(small, best, passed[1:])]:
            listed.setdefault((one.conditions, one.kind), replace(one, cause=number, main=one is best))
        here = here.only(without(here, best))
        stay = without(small, best)  # all rows of a group stay, or none
        small, leaf = small.only(stay), leaf[stay]
    slices = [_as_given(one, rows, were) for one in sorted(listed.values(), key=lambda one: -one.score)]
    return Causes(slices, tested, _smallest(too_large), apart)


def _smallest(sets: Collection[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Those that contain no other."""
    known = {frozenset(one) for one in sets}
    return sorted(tuple(sorted(one)) for one in known if not any(other < one for other in known))


def _as_given(one: Slice, rows: Rows, were: Sequence[Ints]) -> Slice:
    """A slice with the codes that the caller knows."""
    conditions = []
    for condition in one.conditions:
        if not rows.dimensions[condition.dimension].ordered:
            code = int(were[condition.dimension][condition.low])
            condition = Condition(condition.dimension, code, code + 1)
        conditions.append(condition)
    return replace(one, conditions=tuple(conditions))


def _descriptions(rows: Rows, best: Slice, others: Sequence[Slice]) -> list[Slice]:
    near: list[Slice] = []
    weight = rows.count * rows.in_b
    mine = inside(rows, best) & (has(rows, best) if best.kind >= 0 else True)
    same = 0
    said = {_said(rows, best)}
    for one in others:
        if one.score < _AS_GOOD * best.score or _said(rows, one) in said:
            continue
        said.add(_said(rows, one))
        if any(_counts(one) == _counts(other) for other in (best, *near)):
            same += 1
            if same > _SAME:
                continue
        theirs = inside(rows, one) & (has(rows, one) if one.kind >= 0 else True)
        smaller = min(weight[mine].sum(), weight[theirs].sum())
        if weight[mine & theirs].sum() >= _SHARED * smaller:
            near.append(one)
    return near[:_DESCRIPTIONS]


def _said(rows: Rows, one: Slice) -> tuple[Any, ...]:
    """A slice but for where its ranges begin and end."""
    return one.kind, *(
        (condition.dimension, None if rows.dimensions[condition.dimension].ordered else condition.low)
        for condition in one.conditions
    )


def _counts(one: Slice) -> tuple[float, ...]:
    return one.n_a, one.v_a, one.n_b, one.v_b
