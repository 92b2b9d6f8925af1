"""Rules by their limits, and items as bits: what is known of a rule, from columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dxray.server.reasoning.rule_health import (
    SUPPORT,
    Rules,
    Seen,
    health_of,
    limits_of,
    newest_first,
    rows_of,
    rules_of,
    versions,
)

Asked = tuple[int, int, bool, float]  # item, row of the rule, passed, value


def recorded(*rules: tuple[int, str, str, str], names: int = 1) -> Rules:
    """Rules as (step, field, operator, threshold); each field is its reason too."""
    steps = [one[0] for one in rules]
    table = pa.table(
        {
            "at": pa.array(steps, pa.int64()),
            "number": pa.array(range(len(rules)), pa.int64()),
            "rule_id": [f"{field}{op}{threshold}" for _, field, op, threshold in rules],
            "field": [one[1] for one in rules],
            "op": [one[2] for one in rules],
            "threshold": [one[3] for one in rules],
            "reason": [one[1] for one in rules],
            "evaluated": pa.array([10] * len(rules), pa.int64()),
            "failed": pa.array([1] * len(rules), pa.int64()),
            "uncomparable": pa.array([None] * len(rules), pa.int64()),
        }
    )
    return rules_of(table, np.arange(max(steps) + 1) % names)


def seen(*asked: Asked) -> Seen:
    item, rule, passed, value = zip(*asked, strict=True)
    return Seen(
        np.array(item, dtype=np.uint64),
        np.arange(len(item)),
        np.array(rule, dtype=np.int64),
        np.array(passed),
        np.array(value, dtype=np.float64),
    )


@pytest.mark.parametrize(
    ("op", "threshold", "limits"),
    [
        ("<=", 5, (-np.inf, 5)),
        (">", 5.5, (5.5, np.inf)),
        ("between", [1, 2], (1, 2)),
        ("between", [1], (np.nan, np.nan)),
        ("<", "m", (np.nan, np.nan)),
        ("<", True, (np.nan, np.nan)),
        ("in", [1, 2], (np.nan, np.nan)),
        ("==", 5, (np.nan, np.nan)),
    ],
)
def test_limits(op: str, threshold: Any, limits: tuple[float, float]) -> None:
    assert limits_of(op, threshold) == pytest.approx(limits, nan_ok=True)


def test_a_changed_limit_is_a_version_and_two_in_one_step_are_two_rules() -> None:
    rules = recorded((0, "price", "<=", "5"), (1, "price", "<=", "7"), (1, "price", "<=", "9"))
    assert [family.occurrence for family in rules.families] == [0, 1]
    assert rules.family.tolist() == [0, 0, 1]
    first = np.flatnonzero(rules.family == 0)
    assert [text for text, _ in versions(rules, first, np.array([20, 10]))] == ["7", "5"]


def test_a_limit_for_each_item_is_one_rule() -> None:
    rules = recorded(*[(0, "price", "<=", str(n)) for n in range(9)])
    assert len(rules.families) == 1


def test_the_rule_of_an_observation_is_that_of_its_step() -> None:
    rules = recorded((0, "price", "<=", "5"), (1, "price", "<=", "5"), (1, "stars", ">=", "3"))
    ids = pa.chunked_array([["price<=5", "price<=5", "stars>=3", "stars>=3", "gone"]])
    assert rows_of(rules, np.array([0, 1, 1, 0, 0]), ids).tolist() == [0, 1, 2, -1, -1]


def test_alone_is_sure_where_all_were_asked_and_possible_where_not() -> None:
    rules = recorded((0, "price", "<=", "5"), (0, "stars", ">=", "3"))
    found = health_of(
        rules, seen((1, 0, False, 9), (1, 1, True, 4), (2, 0, False, 9), (3, 0, False, 9), (3, 1, False, 1))
    )
    price = found[int(rules.family[0])]
    assert (price.failed_rows, price.sole, price.sole_at_most) == (3, 1, 2)


def test_a_rule_that_was_asked_nothing_leaves_the_others_open() -> None:
    rules = recorded((0, "price", "<=", "5"), (0, "stars", ">=", "3"))
    price = health_of(rules, seen((1, 0, False, 9)))[int(rules.family[0])]
    assert (price.sole, price.sole_at_most) == (0, 1)


def test_the_last_observation_of_an_item_counts() -> None:
    rules = recorded((0, "price", "<=", "5"))
    price = health_of(rules, seen((1, 0, False, 9), (1, 0, True, 4)))[0]
    assert (price.failed_rows, price.sole, price.sole_at_most) == (1, 0, 0)


def test_more_rules_than_a_word_has_bits() -> None:
    names = [f"f{n:03}" for n in range(130)]
    rules = recorded(*[(0, name, "<=", "5") for name in names])
    asked = [(item, rule, rule not in (3, 100), 9.0) for item in range(SUPPORT) for rule in range(130)]
    asked += [(1000, rule, rule != 100, 9.0) for rule in range(130)]
    found = health_of(rules, seen(*asked))
    low, high = int(rules.family[3]), int(rules.family[100])
    assert found[low].redundant == [(high, SUPPORT)]
    assert (found[high].redundant, found[high].sole, found[low].sole) == ([], 1, 0)


def test_redundant_asks_only_steps_that_have_both() -> None:
    rules = recorded((0, "price", "<=", "5"), (1, "price", "<=", "5"), (1, "stars", ">=", "3"))
    asked = [(item, 0, False, 9.0) for item in range(5)]
    asked += [(100 + item, rule, False, 9.0) for item in range(SUPPORT) for rule in (1, 2)]
    found = health_of(rules, seen(*asked))
    price, stars = int(rules.family[0]), int(rules.family[2])
    assert found[price].redundant == [(stars, SUPPORT)]
    again = health_of(rules, seen(*asked, (500, 1, False, 9.0)))  # not asked of the other: not known to have failed it
    assert again[price].redundant == []


def test_a_value_at_a_strict_limit_lies_outside() -> None:
    rules = recorded((0, "price", "<", "50"))
    near = health_of(rules, seen(*[(n, 0, n < 50, float(n)) for n in range(101)]))[0].near
    assert near is not None
    assert (near.spread, near.width) == (90, 4.5)
    assert near.counts[:10].sum() + near.below == 51
    assert near.counts[10:].sum() + near.above == 50
    assert (near.failed, near.passed, near.failed_alone) == (5, 4, 5)  # 50..54, and 46..49


def test_the_newest_steps_are_read_and_one_of_each_name_at_least() -> None:
    rules = recorded(*[(step, "price", "<=", "5") for step in range(6)], names=2)
    order = np.array([5, 4, 3, 2, 1, 0])
    assert newest_first(rules, order, 40).tolist() == [False, False, True, True, True, True]
    assert newest_first(rules, order, 0).tolist() == [False, False, False, False, True, True]
