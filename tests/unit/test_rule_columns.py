"""Rules beside one another: what is known of an item without looking it up."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxray.server.reasoning.rule_columns import Columns, Others, Verdicts, side_by_side

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


def columns(*has: list[bool], before: int = 0, in_turn: bool = False) -> Columns:
    """Columns of rules with any names; each says which steps have a rule there."""
    steps = [[f"rule {n}" for n, one in enumerate(has) if one[step]] for step in range(len(has[0]) if has else 3)]
    return Columns.of([Others(rules, before, in_turn) for rules in steps])


@given(_rows, st.lists(st.one_of(st.none(), _rows), max_size=3), st.data())
def test_what_is_known_is_what_looking_it_up_would_say(
    mine: Rows, given_: list[Rows | None], data: st.DataObject
) -> None:
    # None: the same items, said anew.
    others = [
        [(step, item, data.draw(st.booleans())) for step, item, _ in mine] if rows is None else rows for rows in given_
    ]
    there = columns(*([True] * 3 for _ in others))
    known, failed = side_by_side(verdicts(mine), [verdicts(rows) for rows in others], there)
    own = by_step(mine)
    for (step, item, _), is_known, has_failed in zip(mine, known, failed, strict=True):
        once = len(set(own[step])) == len(own[step])
        assert is_known == (once and all(by_step(rows)[step] == own[step] for rows in others))
        said = any((step, item) == row[:2] and not row[2] for rows in others for row in rows)
        assert has_failed == (is_known and said)


_verdict = st.lists(st.booleans(), min_size=4, max_size=4)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), _verdict), max_size=12, unique_by=lambda one: one[:2]),
    st.integers(1, 4),
    st.integers(0, 3),
    st.lists(st.tuples(st.sampled_from(["drop", "double", "turn", "swap"]), st.integers(0, 3), st.integers(0, 11))),
)
def test_of_rules_in_turn_too(
    items: list[tuple[int, int, list[bool]]], rules: int, place: int, harm: list[tuple[str, int, int]]
) -> None:
    place %= rules
    standing, rows = items, list[Rows]()
    for n in range(rules):
        rows.append([(step, item, said[n]) for step, item, said in standing])
        standing = [one for one in standing if one[2][n]]
    for how, n, at in harm:
        some = rows[n % rules]
        if at < len(some):
            step, item, passed = some[at]
            if how == "swap":
                some[0], some[at] = some[at], some[0]
            else:
                some[at : at + 1] = {"drop": [], "double": [some[at]] * 2, "turn": [(step, item, not passed)]}[how]
    others = [some for n, some in enumerate(rows) if n != place]
    there = columns(*([True] * 3 for _ in others), before=place, in_turn=True)
    known, failed = side_by_side(verdicts(rows[place]), [verdicts(some) for some in others], there)
    assert harm or known.all()
    for (step, item, _), is_known, has_failed in zip(rows[place], known, failed, strict=True):
        said_no = any((step, item) == row[:2] and not row[2] for some in others for row in some)
        assert has_failed == (is_known and said_no)


def test_the_steps_may_come_in_any_order() -> None:
    mine = [(1, 0, True), (1, 1, True), (0, 0, True)]
    other = [(0, 0, False), (1, 0, True), (1, 1, False)]
    known, failed = side_by_side(verdicts(mine), [verdicts(other)], columns([True, True]))
    assert known.all()
    assert failed.tolist() == [False, True, True]


def test_steps_of_either_kind_lie_side_by_side() -> None:
    mine = [(0, 0, False), (0, 1, True), (1, 0, True), (1, 1, False), (2, 0, True)]
    other = [(0, 0, False), (0, 1, True), (1, 0, False), (2, 0, False)]
    steps = [Others(["a"]), Others(["a"], in_turn=True), None]
    known, failed = side_by_side(verdicts(mine), [verdicts(other)], Columns.of(steps))
    assert known.tolist() == [True, True, True, True, False]
    assert failed.tolist() == [True, False, True, False, False]


def test_a_step_without_other_rules_is_known_beside_one_that_has_some() -> None:
    mine = [(0, 0, True), (1, 0, True)]
    assert side_by_side(verdicts(mine), [verdicts([(0, 0, False)])], columns([True, False]))[0].all()


@pytest.mark.parametrize(
    ("others", "rules"),
    [
        ([["a", "b"], ["a", "c"]], [["a"], ["b", "c"]]),
        ([["a"], []], [["a"]]),
        ([["a", "b"], ["b", "a"]], []),  # which of them a row is would have to be looked up
        ([[], [str(n) for n in range(9)]], []),  # too many readings
        ([], []),
    ],
)
def test_rules_are_dealt_to_columns_where_they_can_be_told_apart(
    others: list[list[str]], rules: list[list[str]]
) -> None:
    found = Columns.of([Others(some) for some in others])
    assert found.rules == rules
    assert found.apart.tolist() == [bool(rules) or not some for some in others]
