"""What several rules said of the same items, column beside column. Pure functions.

Rules that are asked together are asked of each item in turn, so that the rows of one rule name the same items in the
same order as those of another. Where they do, what the others say of an item lies in the same row, and nothing has to
be looked up by the item's key: of 10 million rows that costs more than reading them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dxray.server.reasoning.limits import Array

_MOST = 8  # columns: each is a reading of its own


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The rows of rules, at most one rule of each step: the step's number, the item's key, whether it passed."""

    step: Array
    key: Array
    passed: Array


@dataclass(frozen=True, slots=True)
class Columns:
    """The other rules of each step, dealt to columns: which rules are in each, and which steps have one there."""

    rules: list[list[str]]
    there: list[Array]

    @classmethod
    def of(cls, others: Sequence[Sequence[str]]) -> Columns:
        """`others` are the ids of each step's other rules. There are no columns where they cannot be told apart."""
        most = max(map(len, others), default=0)
        rules = [sorted({one[n] for one in others if n < len(one)}) for n in range(min(most, _MOST + 1))]
        apart = len({rule for some in rules for rule in some}) == sum(map(len, rules))
        if most > _MOST or not apart:
            return cls([], [])
        return cls(rules, [np.array([n < len(one) for one in others]) for n in range(most)])


def side_by_side(mine: Verdicts, others: Sequence[Verdicts], there: Sequence[Array], steps: int) -> tuple[Array, Array]:
    """Of each row of a rule: whether each other rule of its step was asked of the step's items once, and in the same
    order; and whether one of them failed there (False where that is not known)."""
    good = np.ones(steps, dtype=bool)
    in_order = np.sort(mine.key)
    twice = in_order[1:][in_order[1:] == in_order[:-1]]
    good[mine.step[np.isin(mine.key, twice)] if len(twice) else []] = False
    n = np.bincount(mine.step, minlength=steps)
    for column, has in zip(others, there, strict=True):
        good &= np.bincount(column.step, minlength=steps) == np.where(has, n, 0)
    failed = np.zeros(len(mine.key), dtype=bool)
    for column, has in zip(others, there, strict=True):
        here, beside = _same_steps(mine.step, column.step, good & has)
        other = mine.key[here] != column.key[beside]
        if other.any():
            good[mine.step[here][other]] = False
        failed[here] |= ~column.passed[beside]
    known = good[mine.step]
    return known, failed & known


def _same_steps(one: Array, other: Array, which: Array) -> tuple[Array | slice, Array | slice]:
    """The rows of these steps in two columns, which have as many rows of each, so that their steps are the same."""
    if which.all() and (one == other).all():
        return slice(None), slice(None)
    orders = [np.argsort(steps, kind="stable") for steps in (one, other)]
    here, beside = (order[which[steps[order]]] for order, steps in zip(orders, (one, other), strict=True))
    return here, beside
