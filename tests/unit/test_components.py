"""What the gap between two scores is made of."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxray.server.reasoning.components import REST, components, numbers_of, smallest_change, spreads_of, swaps

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
PARTS = st.dictionaries(st.sampled_from("abcd"), NUMBERS, max_size=4)


@given(NUMBERS, NUMBERS, PARTS, PARTS)
def test_components_sum_to_the_gap(one: float, other: float, item: dict[str, float], over: dict[str, float]) -> None:
    found = components((one, other), item, over)
    assert math.fsum(part.delta for part in found) == pytest.approx(one - other, abs=1e-9)
    assert {part.name for part in found if part.recorded} == item.keys() | over.keys()


@given(PARTS, PARTS)
def test_parts_that_sum_to_their_score_leave_nothing_unexplained(
    item: dict[str, float], over: dict[str, float]
) -> None:
    found = components((math.fsum(item.values()), math.fsum(over.values())), item, over)
    assert all(part.recorded or abs(part.delta) < 1e-6 for part in found)


def test_what_is_not_explained_is_a_component() -> None:
    found = components((0.9, 0.4), {"rating": 0.5}, {"rating": 0.3})
    assert [(part.name, part.recorded) for part in found] == [("rating", True), (REST, False)]
    assert (found[1].item, found[1].over, found[1].delta) == pytest.approx((0.4, 0.1, 0.3))


def test_a_part_that_only_one_has_adds_nothing_to_the_other() -> None:
    [found] = components((0.2, 0.0), {"boost": 0.2}, {})
    assert (found.item, found.over, found.delta) == (0.2, None, 0.2)


def test_parts_that_are_no_numbers_explain_nothing() -> None:
    assert numbers_of({"a": 1, "b": "2", "c": True, "d": None, "e": math.inf, "f": math.nan}) == {"a": 1.0}
    assert numbers_of(None) == {}


def test_a_part_is_decisive_when_the_order_hangs_on_it() -> None:
    found = {part.name: part for part in components((0.7, 0.5), {"a": 0.6, "b": 0.1}, {"a": 0.2, "b": 0.3})}
    assert swaps(found["a"], 0.2)
    assert not swaps(found["b"], 0.2)
    assert swaps(found["b"], -0.2)
    assert not swaps(found["a"], 0.0)


def test_the_smallest_change_is_the_least_out_of_the_common() -> None:
    found = components((0.7, 0.5), {"a": 0.4, "b": 0.3}, {"a": 0.3, "b": 0.2})
    spreads = spreads_of([{"a": 0.0, "b": 0.2}, {"a": 1.0, "b": 0.3}])
    change = smallest_change(found, 0.2, spreads)
    assert change is not None
    assert (change.name, change.old, change.seen) == ("a", 0.3, True)
    assert (change.new, change.by, change.share) == pytest.approx((0.5, 0.2, 0.2))
    behind = smallest_change(found, -0.2, spreads)
    assert behind is not None
    assert (behind.name, behind.old) == ("a", 0.4)
    assert behind.new == pytest.approx(0.6)


def test_without_a_gap_or_parts_nothing_swaps() -> None:
    assert smallest_change(components((0.5, 0.5), {"a": 0.5}, {"a": 0.5}), 0.0, {}) is None
    assert smallest_change(components((0.5, 0.4), {}, {}), 0.1, {}) is None
