"""Rules beside one another: what is known of an item without looking it up."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxray.server.reasoning.rule_columns import Columns, Verdicts, side_by_side

Rows = list[tuple[int, int, bool]]  # step, item, passed

_rows = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.booleans()), max_size=12)


def verdicts(rows: Rows) -> Verdicts:
    step, item, passed = ([row[n] for row in rows] for n in range(3))
    key = [100 * one + other for one, other in zip(step, item, strict=True)]
    return Verdicts(np.array(step, dtype=np.int32), np.array(key, dtype=np.uint64), np.array(passed, dtype=np.bool_))


def by_step(rows: Rows) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for step, item, _ in rows:
        found[step].append(item)
    return found


@given(_rows, st.lists(st.one_of(st.none(), _rows), max_size=3), st.data())
def test_what_is_known_is_what_looking_it_up_would_say(
    mine: Rows, given_: list[Rows | None], data: st.DataObject
) -> None:
    # None: the same items, said anew.
    others = [
        [(step, item, data.draw(st.booleans())) for step, item, _ in mine] if rows is None else rows for rows in given_
    ]
    there = [np.ones(3, dtype=np.bool_) for _ in others]
    known, failed = side_by_side(verdicts(mine), [verdicts(rows) for rows in others], there, 3)
    own = by_step(mine)
    for (step, item, _), is_known, has_failed in zip(mine, known, failed, strict=True):
        once = len(set(own[step])) == len(own[step])
        assert is_known == (once and all(by_step(rows)[step] == own[step] for rows in others))
        said = any((step, item) == row[:2] and not row[2] for rows in others for row in rows)
        assert has_failed == (is_known and said)


def test_the_steps_may_come_in_any_order() -> None:
    mine = [(1, 0, True), (1, 1, True), (0, 0, True)]
    other = [(0, 0, False), (1, 0, True), (1, 1, False)]
    known, failed = side_by_side(verdicts(mine), [verdicts(other)], [np.ones(2, dtype=np.bool_)], 2)
    assert known.all()
    assert failed.tolist() == [False, True, True]


def test_a_step_without_a_rule_in_a_column_has_no_rows_there() -> None:
    mine = [(0, 0, True), (1, 0, True)]
    there = [np.array([True, False])]
    assert side_by_side(verdicts(mine), [verdicts([(0, 0, False)])], there, 2)[0].all()
    assert side_by_side(verdicts(mine), [verdicts(mine)], there, 2)[0].tolist() == [True, False]


@pytest.mark.parametrize(
    ("others", "rules"),
    [
        ([["a", "b"], ["a", "c"]], [["a"], ["b", "c"]]),
        ([["a"], []], [["a"]]),
        ([["a", "b"], ["b", "a"]], []),  # which of them a row is would have to be looked up
        ([[str(n) for n in range(9)]], []),  # too many readings
        ([], []),
    ],
)
def test_rules_are_dealt_to_columns_where_they_can_be_told_apart(
    others: list[list[str]], rules: list[list[str]]
) -> None:
    assert Columns.of(others).rules == rules
