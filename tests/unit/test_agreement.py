"""How far repetitions agree, where they part first, and shares over clusters: against books, a package, simulation."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest

from dxray.server.reasoning.agreement import Agreement, agreement
from dxray.server.reasoning.clusters import differ, share_of
from dxray.server.reasoning.divergence import Pair, Parted, entries, in_a_ring
from dxray.server.reasoning.intervals import wilson


def of(rows: dict[int, list[int]]) -> Agreement:
    unit = np.array([unit for unit, values in rows.items() for _ in values], dtype=np.int64)
    return agreement(unit, np.array([one for values in rows.values() for one in values], dtype=np.int64))


def test_of_nothing_nothing_is_said() -> None:
    found = of({})
    assert (found.units, found.tar, found.alpha, found.mean_entropy, found.pair_flip_rate) == (
        0,
        None,
        None,
        None,
        None,
    )
    assert found.split_interval == [0.0, 1.0]


def test_units_with_one_known_value_do_not_count() -> None:
    found = of({0: [1, 1, 1], 1: [1], 2: [2, -1], 3: [1, 2, 2, 2]})
    assert (found.unit.tolist(), found.known.tolist(), found.distinct.tolist()) == ([0, 3], [3, 4], [1, 2])
    assert (found.tar, found.split) == (0.5, 1)
    assert found.split_interval == list(wilson(1, 2))


def test_entropy_is_in_bits_and_flips_are_of_pairs() -> None:
    found = of({0: [1, 2], 1: [1, 2, 3, 4], 2: [5, 5, 5, 6]})
    assert found.entropy == pytest.approx([1.0, 2.0, 0.8112781])
    assert found.flips == pytest.approx([1.0, 1.0, 0.5])  # 3 of 6 pairs
    assert found.pair_flip_rate == pytest.approx(2.5 / 3)


def test_alpha_is_that_of_the_package() -> None:
    chance = np.random.default_rng(1)
    for _ in range(50):
        coded = chance.integers(0, 4, (int(chance.integers(2, 6)), int(chance.integers(3, 20)))).astype(float)
        coded[chance.random(coded.shape) < 0.2] = np.nan
        unit = np.broadcast_to(np.arange(coded.shape[1]), coded.shape).ravel()
        mine = agreement(unit, np.where(np.isnan(coded), -1, coded).astype(np.int64).ravel()).alpha
        assert mine == pytest.approx(krippendorff.alpha(reliability_data=coded, level_of_measurement="nominal"))


def test_alpha_is_none_where_there_is_nothing_to_disagree_on() -> None:
    assert of({0: [1, 1], 1: [1, 1]}).alpha is None
    assert of({0: [1, 1], 1: [2, 2]}).alpha == 1.0


def test_alpha_of_as_many_values_as_units_needs_little_memory() -> None:
    found = of({unit: [unit, unit, unit] for unit in range(20_000)} | {-1: [-2, 7, 8]})
    assert found.alpha == pytest.approx(1.0, abs=1e-3)


# --- shares over clusters


def test_independent_cases_are_worth_what_they_are() -> None:
    chance = np.random.default_rng(2)
    share = share_of(chance.random(400) < 0.3, [1] * 400)
    assert 380 < share.worth <= 400
    assert share.interval == pytest.approx(list(wilson(share.found, 400)), abs=0.005)


def test_cases_that_only_repeat_their_cluster_are_worth_their_clusters() -> None:
    share = share_of([10, 0] * 20, [10] * 40)
    assert 30 < share.worth < 45
    assert share.rate == 0.5


def test_one_cluster_says_next_to_nothing() -> None:
    low, high = share_of([30], [100]).interval
    assert low < 0.1
    assert high > 0.8
    assert share_of([], []).interval == [0.0, 1.0]
    assert share_of([], []).rate is None


def test_shares_differ_by_more_than_chance_or_not() -> None:
    often, seldom = share_of([8, 7, 9, 8, 8, 7], [10] * 6), share_of([1, 2, 0, 1, 1, 2], [10] * 6)
    assert differ(seldom, often) is True
    assert differ(often, share_of([9, 6, 8, 7, 8, 8], [10] * 6)) is False
    assert differ(often, share_of([1], [10])) is None


# --- where runs part


def test_a_ring_takes_each_run_twice_and_two_runs_once() -> None:
    assert in_a_ring("ab") == [("a", "b")]
    assert in_a_ring("abc") == [("a", "b"), ("b", "c"), ("c", "a")]
    assert in_a_ring("a") == []


def parted(step: str | None, flipped: bool | None, group: int = 0, unknown: str | None = None) -> Parted:
    return Parted(Pair(group, "p", "a", "b", flipped, None), step, "nondeterministic_here", unknown)


def test_entries_count_what_parts_and_what_of_it_flips() -> None:
    some = [parted("one", True, n) for n in range(3)] + [parted("one", False, 3), parted("two", None, 4)]
    some += [parted(None, False, 5), parted(None, None, 6, "lost")]
    first, second = entries(some)
    assert (first.step_name, first.share.found, first.share.of) == ("one", 4, 5)
    assert (first.amplification.found, first.amplification.of) == (3, 4)
    assert (second.step_name, second.amplification.of, second.amplification.rate) == ("two", 0, None)


def test_something_else_came_out_and_no_step_shows_it() -> None:
    assert parted(None, True).unrecorded
    assert not parted(None, False).unrecorded
    assert not parted("one", True).unrecorded
    assert not parted(None, True, unknown="lost").unrecorded
