"""What several rules said of the same items, column beside column. Pure functions.

Rules that are asked together are asked of each item in turn, so that the rows of one rule name the same items in the
same order as those of another. Where the first rule that fails ends it, the rows of a rule name those items that passed
the one before. Where they do, what the others say of an item lies in a row that is known, and nothing has to be looked
up by the item's key: of 10 million rows that costs more than reading them.
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

    def where(self, rows: Array) -> Verdicts:
        """Some of them."""
        return Verdicts(self.step[rows], self.key[rows], self.passed[rows])


@dataclass(frozen=True, slots=True)
class Others:
    """The other rules of a step, in order, and how many of them come before the rule.

    `in_turn`: each rule of the step is asked of what passed the one before it; else each is asked of the same items.
    """

    rules: Sequence[str]
    before: int = 0
    in_turn: bool = False


@dataclass(frozen=True, slots=True)
class Columns:
    """The other rules of each step, dealt to columns: column n has the rules that are the n-th of their step.

    An entry for each step: whether its rules can be told apart by their column, whether it has a rule in each, and what
    `Others` says of it.
    """

    rules: list[list[str]]
    apart: Array
    there: list[Array]
    before: Array
    in_turn: Array

    @classmethod
    def of(cls, others: Sequence[Others | None]) -> Columns:
        """None: the rules of that step were asked of other items each."""
        steps = [one or Others(()) for one in others]
        most = max((len(one.rules) for one in steps), default=0)
        rules = [sorted({one.rules[n] for one in steps if n < len(one.rules)}) for n in range(min(most, _MOST + 1))]
        apart = np.array([one is not None for one in others], dtype=bool)
        if most > _MOST or len({rule for column in rules for rule in column}) < sum(map(len, rules)):
            rules, steps, apart = [], [Others(())] * len(steps), apart & [not one.rules for one in steps]
        return cls(
            rules,
            apart,
            [np.array([n < len(one.rules) for one in steps]) for n in range(len(rules))],
            np.array([one.before for one in steps]),
            np.array([one.in_turn for one in steps], dtype=bool),
        )


def side_by_side(mine: Verdicts, others: Sequence[Verdicts], columns: Columns) -> tuple[Array, Array]:
    """Of each row of a rule: whether the rows of its step lie beside those of the step's other rules, so that all is
    known that they said of the item; and whether one of them failed there (False where that is not known)."""
    good = columns.apart.copy()
    _once(mine, good)
    for n, column in enumerate(others):
        earlier = columns.there[n] & columns.in_turn & (n < columns.before)
        if not earlier.any():
            continue
        if n == 0:  # what follows names some of these items
            _once(column.where(earlier[column.step]), good)
        passed, last = column.where(column.passed), columns.before == n + 1
        _paired(passed, mine, earlier & last, good)
        if n + 1 < len(others):
            _paired(passed, others[n + 1], earlier & ~last, good)
    failed = np.zeros(len(mine.key), dtype=bool)
    for n, column in enumerate(others):
        which = columns.there[n] & (~columns.in_turn | (n >= columns.before))
        if not columns.in_turn.any():
            here, beside = _paired(mine, column, which, good)
            failed[here] |= ~column.passed[beside]
        else:
            asked = np.flatnonzero(~columns.in_turn[mine.step] | (mine.passed & ~failed))
            here, beside = _paired(mine.where(asked), column, which, good)
            failed[asked[here]] |= ~column.passed[beside]
    known = good[mine.step]
    return known, failed & known


def _once(rows: Verdicts, good: Array) -> None:
    """No step stays `good` that asked a rule of an item twice."""
    in_order = np.sort(rows.key)
    twice = in_order[1:][in_order[1:] == in_order[:-1]]
    if len(twice):
        good[rows.step[np.isin(rows.key, twice)]] = False


def _paired(one: Verdicts, other: Verdicts, which: Array, good: Array) -> tuple[Array | slice, Array | slice]:
    """The rows of these steps, beside one another; no step stays `good` whose rows name other items, or otherwise."""
    n, m = (np.bincount(rows.step, minlength=len(which)) for rows in (one, other))
    good &= ~which | (n == m)
    here, beside = _same_steps(one.step, other.step, good & which)
    differ = one.key[here] != other.key[beside]
    if differ.any():
        good[one.step[here][differ]] = False
    return here, beside


def _same_steps(one: Array, other: Array, which: Array) -> tuple[Array | slice, Array | slice]:
    """The rows of these steps in two columns, which have as many rows of each, so that their steps are the same."""
    if not which.any():
        return slice(0), slice(0)
    if which.all() and (one == other).all():
        return slice(None), slice(None)
    orders = [np.argsort(steps, kind="stable") for steps in (one, other)]
    here, beside = (order[which[steps[order]]] for order, steps in zip(orders, (one, other), strict=True))
    return here, beside
