"""What replay, sweeps, the cheapest change and isolation are made of."""

from __future__ import annotations

import random
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxray.sdk.rules import Predicate
from dxray.server.reasoning.cheapest import _by_cost, passing
from dxray.server.reasoning.flow import Stage
from dxray.server.reasoning.isolation import Delta, ddmin, isolate
from dxray.server.reasoning.limits import (
    MAYBE,
    NO,
    YES,
    Change,
    Limit,
    Observed,
    asked_again,
    holds,
    only_looser,
    same,
    verdicts,
)
from dxray.server.reasoning.replay import REJECTED, SELECTED, At, History, replay
from dxray.server.reasoning.sweeps import Bin, bins, curve, thresholds

CAP = Limit("id", "price", "<=", 100, "too_dear")


def observed(*values: Any) -> Observed:
    """Values as they are stored: numbers, texts, None; `...` is not known."""
    words = tuple(dict.fromkeys(one for one in values if one is None or isinstance(one, str)))
    code = [words.index(one) if one is None or isinstance(one, str) else -1 for one in values]
    number = [one if isinstance(one, int | float) else np.nan for one in values]
    return Observed(np.array(number, dtype=np.float64), np.array(code, dtype=np.int32), words)


@given(
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.lists(st.integers(-9, 9) | st.floats(-9, 9), min_size=1),
    st.integers(-9, 9) | st.floats(-9, 9),
)
def test_a_rule_says_the_same_of_stored_numbers_as_the_sdk_said(op: str, values: list[float], threshold: float) -> None:
    said = Predicate("x", op, threshold)
    assert verdicts(observed(*values), op, threshold).tolist() == [YES if said.holds(one) else NO for one in values]


def test_what_is_stored_as_a_text_is_believed_only_where_it_cannot_have_been_something_else() -> None:
    values = observed("129.5", "dear", None, ..., "[1]", "true")
    assert verdicts(values, "<=", 100).tolist() == [MAYBE, NO, NO, MAYBE, MAYBE, YES]
    assert verdicts(observed("true", "false", "x", None), "==", False).tolist() == [NO, YES, NO, NO]
    assert verdicts(observed("a", "b", None), "not_in", ["a"]).tolist() == [NO, YES, NO]


def test_what_is_not_known_still_passes_a_looser_limit_where_it_passed() -> None:
    before = np.array([YES, NO], dtype=np.int8)
    looser, tighter = Change("too_dear", 120), Change("too_dear", 80)
    assert asked_again(CAP, looser, observed(..., ...), before).tolist() == [YES, MAYBE]
    assert asked_again(CAP, tighter, observed(..., ...), before).tolist() == [MAYBE, NO]
    assert only_looser("in", ["a"], ["a", "b"])
    assert not only_looser("in", ["a", "c"], ["a", "b"])
    assert not same(True, 1)


def stage(name: str, **more: Any) -> Stage:
    return Stage(name, name, **more)


def at(one: Stage, outcome: list[int], *sources: int, rules: tuple[Limit, ...] = (), **more: Any) -> At:
    """A step; an outcome of -2 means that the item was not there."""
    said = np.array(outcome, dtype=np.int8)
    n = len(outcome)
    values = more.pop("values", ())
    asked = np.array(more.pop("asked", np.full((len(rules), n), -1)), dtype=np.int8).reshape(len(rules), n)
    score = np.array(more.pop("score", [np.nan] * n), dtype=np.float64)
    rejected = said == REJECTED
    ruled = rejected & (asked == 0).any(axis=0)
    last, reason = np.where(said == -2, -1, said), np.where(rejected, 0, -1)
    return At(one, rules, said != -2, last, ruled, reason, asked, values, score, sources, **more)


def shop(**more: Any) -> History:
    """Three items come in, a cap lets two pass, the best score wins; scores are known of all."""
    search = at(stage("search", type="retrieve"), [0, 0, 0], score=more.pop("scores", [0.2, 0.5, 0.9]))
    keep = at(
        stage("keep", type="filter"), [1, 1, REJECTED], 0,
        rules=(CAP,), asked=[[1, 1, 0]], values=(observed(50, 90, 120),),
    )  # fmt: skip
    cutoff = more.pop("cutoff", 1)
    one = stage("choose", type="select", decided=True, cutoff=cutoff)
    choose = at(one, [4, SELECTED, -2], 1, score=[0.2, 0.5, np.nan])
    return History("r", ["a", "b", "c"], [search, keep, choose], ["too_dear"], **more)


def winners(run: History, threshold: float) -> list[int]:
    return replay(run, [Change("too_dear", threshold)]).winners_after.tolist()


def test_the_best_of_what_is_left_wins() -> None:
    assert winners(shop(), 100) == [NO, YES, NO]
    assert winners(shop(), 60) == [YES, NO, NO]
    assert winners(shop(), 10) == [NO, NO, NO]
    assert winners(shop(), 130) == [NO, NO, YES]  # its score is that of the step before, as those of the others are


def test_without_a_cutoff_it_may_have_taken_what_is_good_enough() -> None:
    run = shop(cutoff=None)
    assert winners(run, 60) == [MAYBE, NO, NO]
    assert winners(run, 130) == [NO, NO, YES]
    run.at[2].least_won = 0.1
    assert winners(run, 60) == [YES, NO, NO]
    run.at[2].varies = True  # perhaps all that are good enough
    assert winners(run, 130) == [NO, MAYBE, YES]


def test_without_its_score_a_new_item_leaves_the_outcome_open() -> None:
    run = shop(scores=[np.nan] * 3)
    found = replay(run, [Change("too_dear", 130)])
    assert found.winners_after.tolist() == [NO, MAYBE, MAYBE]
    assert (found.exactness, found.winners_changed) == ("bounded", MAYBE)


def test_a_run_that_lost_something_is_never_certain_of_another_outcome() -> None:
    assert winners(shop(whole=False), 100) == [NO, YES, NO]
    assert replay(shop(whole=False), [Change("too_dear", 60)]).exactness == "bounded"


def test_a_step_that_decides_anew_is_not_guessed() -> None:
    run = shop()
    run.at[2].again = True
    found = replay(run, [Change("too_dear", 60)])
    assert (found.exactness, found.again) == ("replay_needed", ["choose"])
    assert replay(run, [Change("too_dear", 99)]).exactness == "certain"  # nothing else comes to it


@given(
    st.sampled_from(["<", "<=", ">", ">="]),
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=30),
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(2, 9),
)
def test_a_curve_counts_what_each_threshold_by_itself_would(
    op: str, rows: list[tuple[int, bool]], first: int, last: int, points: int
) -> None:
    at_ = thresholds(first, last, points)
    places = bins(op, at_, np.array([value for value, _ in rows], dtype=np.float64)).tolist()
    found = [Bin(op, passed, True, place, 1) for place, (_, passed) in zip(places, rows, strict=True)]
    said = curve(at_, [*found, Bin(op, True, False, None, 2)])
    for threshold, both in zip(at_.tolist(), said, strict=True):
        n = sum(holds(float(value), op, threshold) != passed for value, passed in rows)
        assert both == (n, n + 2)


@pytest.mark.parametrize("n", [0, 1, 5])
def test_subsets_come_in_order_of_their_cost_and_each_once(n: int) -> None:
    chance = random.Random(n)
    costs = [chance.random() for _ in range(n)]
    found = [tuple(sorted(one)) for one in _by_cost(costs)]
    every = [some for size in range(1, n + 1) for some in combinations(range(n), size)]
    assert sorted(found) == sorted(every)
    totals = [sum(costs[one] for one in some) for some in found]
    assert all(one <= other + 1e-12 for one, other in pairwise(totals))


@pytest.mark.parametrize(
    ("op", "threshold", "value", "to"),
    [
        ("<=", 100, 129.5, 129.5), ("<=", 100, 129.0, 129), ("<", 100, 100.0, 101), (">", 4, 4.0, 3),
        ("between", [2, 8], 9.5, [2, 9.5]), ("in", ["a"], "b", ["a", "b"]), ("not_in", ["a", "b"], "b", ["a"]),
        ("==", False, "true", True), ("==", "a", "b", "b"), ("!=", "a", "a", None), ("<=", 100, None, None),
        ("<=", 100, "dear", None),
    ],
)  # fmt: skip
def test_the_nearest_limit_that_a_value_passes(op: str, threshold: Any, value: Any, to: Any) -> None:
    found = passing(Limit("id", "x", op, threshold, "why"), value)
    assert (found, type(found)) == (to, type(to))


def deltas(n: int) -> list[Delta]:
    return [Delta(f"s{one}", f"step {one}", CAP, one) for one in range(n)]


@given(st.integers(9, 24), st.sets(st.integers(0, 23), min_size=1, max_size=4))
def test_delta_debugging_leaves_only_what_is_needed(n: int, needed: set[int]) -> None:
    needed = {one % n for one in needed}
    found = ddmin(deltas(n), lambda some: needed <= {one.to for one in some})
    assert {one.to for one in found} == needed
    isolated = isolate(deltas(n), lambda some: YES if needed <= {one.to for one in some} else NO)
    assert (isolated.certain, {one.to for one in isolated.deltas}) == (True, needed)


def test_of_few_differences_the_smallest_set_is_found_and_doubt_is_told() -> None:
    either = isolate(deltas(5), lambda some: YES if {0, 1} <= {one.to for one in some} or some[0].to == 3 else NO)
    assert [one.to for one in either.deltas] == [3]
    assert not isolate(deltas(3), lambda _: NO).deltas
    doubt = isolate(deltas(3), lambda some: MAYBE if len(some) > 1 else NO)
    assert (doubt.certain, len(doubt.deltas)) == (False, 2)
