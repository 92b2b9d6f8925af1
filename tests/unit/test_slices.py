"""Slices of counted rows: scores, ranges, kinds, weights, chance; the funnel's split; values as codes."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dxray.server.reasoning.attributes import Attribute, LeftOut, numbers, of_runs, texts
from dxray.server.reasoning.funnel_split import Flows, split
from dxray.server.reasoning.slice_causes import causes
from dxray.server.reasoning.slice_chance import clusters_of
from dxray.server.reasoning.slices import Dimension, Kinds, Rows, divergence, frequent, grouped, search, totals


def rows(dimensions: list[Dimension], cells: list[tuple[list[int], bool, int, float]], **more: Any) -> Rows:
    """Of (codes, in b, kind, count)."""
    codes = [np.array([cell[0][n] for cell in cells]) for n in range(len(dimensions))]
    in_b, kind, count = (np.array([cell[n] for cell in cells]) for n in (1, 2, 3))
    return Rows(dimensions, codes, in_b, kind, count.astype(float), **more)


def two_by_two(hits: int) -> Rows:
    """Two attributes of two values; in b, so many of 100 have the outcome where both are 1, else 10."""
    cells = []
    for x in (0, 1):
        for y in (0, 1):
            for b in (False, True):
                v = hits if b and x and y else 10
                cells += [([x, y], b, 0, v), ([x, y], b, -1, 100 - v)]
    return rows([Dimension(2), Dimension(2)], cells)


def test_the_score_is_the_formula() -> None:
    found = search(*grouped(two_by_two(60)), totals(two_by_two(60)))
    both = next(one for one in found.found if one.order == 2)
    expected = (10 + 20 * 0.1) / 120
    divergent = 0.6 * log(0.6 / expected) + 0.4 * log(0.4 / (1 - expected))
    assert both.coverage == pytest.approx((60 - 100 * expected) / 50)
    assert both.base == pytest.approx(100 * divergent * both.coverage)
    assert found.tested == 2 + 2 + 4
    assert divergence(np.array([0.5]), np.array([0.5]))[0] == 0


def test_both_conditions_are_the_cause_and_removing_it_leaves_nothing() -> None:
    found = causes(two_by_two(60)).slices
    assert [(c.dimension, c.low, c.high) for c in found[0].conditions] == [(0, 1, 2), (1, 1, 2)]
    assert {one.cause for one in found} == {1}
    assert [one.main for one in found].count(True) == 1
    assert causes(two_by_two(10)).slices == []


def test_two_causes_are_two() -> None:
    cells = []
    for x in range(5):
        for y in range(5):
            for b in (False, True):
                v = 70 if b and x == 1 else 60 if b and y == 3 else 5
                cells += [([x, y], b, 0, v), ([x, y], b, -1, 100 - v)]
    found = causes(rows([Dimension(5), Dimension(5)], cells)).slices
    mains = [one for one in found if one.main]
    assert [[(c.dimension, c.low) for c in one.conditions] for one in mains] == [[(0, 1)], [(1, 3)]]


def test_a_number_that_rises_past_a_limit_is_one_range() -> None:
    cells: list[tuple[list[int], bool, int, float]] = []
    for bin_ in range(10):
        for b in (False, True):
            v = 50 if b and bin_ >= 6 else 5
            cells += [([bin_], b, 0, v), ([bin_], b, -1, 100 - v)]
    found = causes(rows([Dimension(10, ordered=True)], cells)).slices
    assert [(c.low, c.high) for c in found[0].conditions] == [(6, 10)]


def test_a_reason_counts_of_all_at_its_step() -> None:
    """Reason 1 grows at step 1; its rate is of all items there, with and without the outcome."""
    cells = [
        ([0], False, 0, 10), ([0], False, -1, 90), ([1], False, 0, 10), ([1], False, 1, 5), ([1], False, -1, 85),
        ([0], True, 0, 10), ([0], True, -1, 90), ([1], True, 0, 10), ([1], True, 1, 40), ([1], True, -1, 50),
    ]  # fmt: skip
    found = causes(rows([Dimension(2)], cells, kinds=Kinds(np.array([-1, 1]), 0))).slices
    first = found[0]
    assert (first.kind, first.conditions) == (1, ())
    assert (first.n_a, first.v_a, first.n_b, first.v_b) == (100, 5, 100, 40)


def test_rare_codes_and_those_not_known_make_no_finding() -> None:
    cells = [([0], b, k, n) for b in (False, True) for k, n in ((0, 100), (-1, 9_000))]
    cells += [([1], True, 0, 60), ([-1], True, 0, 2_000), ([-1], False, -1, 2_000)]
    some = rows([Dimension(2)], cells)
    small, were = frequent(some, totals(some))
    assert (small.dimensions[0].size, were[0].tolist()) == (1, [0])
    assert all(one.conditions[0].low == 0 for one in causes(some).slices)


def test_sampled_evidence_is_counted_by_its_weight() -> None:
    """One in four kept by chance counts four; what was kept for another cause counts nothing there."""
    chance = np.random.default_rng(1)
    n = 40_000
    code, in_b = chance.integers(0, 2, n), chance.random(n) < 0.5
    hit = chance.random(n) < np.where(in_b & (code == 1), 0.5, 0.1)
    by_chance, forced = chance.random(n) < 0.25, hit & (chance.random(n) < 0.3)
    seen = np.where(by_chance | forced, code, -1)
    kept = np.where(by_chance, 4.0, 0.0)
    kind = np.where(hit, 0, -1)
    found = causes(Rows([Dimension(2, sampled=True)], [seen], in_b, kind, np.ones(n), kept, behind=0.25)).slices
    first = found[0]
    true = in_b & (code == 1)
    assert first.conditions[0].low == 1
    assert first.v_b / first.n_b == pytest.approx(0.5, abs=0.03)
    assert first.n_b == pytest.approx(true.sum(), rel=0.05)


def test_one_run_is_no_finding_and_many_are() -> None:
    def of(runs: int, spoilt: int) -> list[Any]:
        run = np.repeat(np.arange(2 * runs), 100)
        in_b, chance = run >= runs, np.random.default_rng(0)
        code = (run % 2).astype(np.int64)
        hit = chance.random(len(run)) < np.where((run >= 2 * runs - 2 * spoilt) & (code == 1), 0.9, 0.1)
        side = (np.arange(2 * runs) >= runs).tolist()
        some = Rows([Dimension(2)], [code], in_b, np.where(hit, 0, -1), np.ones(len(run)))
        from dataclasses import replace

        return causes(replace(some, cluster=clusters_of(side)[run])).slices

    assert of(20, 1) == []
    assert [one.conditions[0].low for one in of(20, 10)] == [1]


def test_runs_are_put_together_within_their_side() -> None:
    side = [False] * 3_000 + [True] * 1_000
    cluster = clusters_of(side)
    assert len(np.unique(cluster)) == 400
    assert not set(cluster[:3_000]) & set(cluster[3_000:])
    assert np.array_equal(cluster, clusters_of(side))
    assert sorted(clusters_of([False, True, True]).tolist()) == [0, 1, 2]


# Values as codes


def test_texts_are_codes_and_too_many_are_said() -> None:
    one = texts("f", pa.array(["a", None, "b", "a"]))
    assert isinstance(one, Attribute)
    assert (one.codes.tolist(), one.values) == ([0, -1, 1, 0], ("a", "b"))
    assert one.conditions(1, 2) == [{"field": "f", "op": "==", "value": "b"}]
    assert texts("f", pa.array(["a", "a"])) is None
    many = texts("f", pa.array([str(n) for n in range(3_000)]))
    assert many == LeftOut("f", "it has 3000 different values")
    long = texts("f", pa.array(["x" * 300, "y"]))
    assert isinstance(long, LeftOut)


def test_numbers_are_bins_of_a_or_values_where_they_are_few() -> None:
    values = np.concatenate([np.arange(100.0), np.full(100, 1_000.0), [np.nan]])
    in_a = np.arange(201) < 100
    one = numbers("f", values, in_a)
    assert one is not None
    assert len(one.edges) == 9
    assert one.codes[-1] == -1
    assert one.codes[100] == one.dimension.size - 1
    assert one.conditions(9, 10) == [{"field": "f", "op": ">=", "value": one.edges[8]}]
    assert one.conditions(0, 2) == [{"field": "f", "op": "<", "value": one.edges[1]}]
    assert [c["op"] for c in one.conditions(3, 4)] == [">=", "<"]
    few = numbers("f", np.array([500.0, 2000.0, 500.0]), np.array([True, True, False]))
    assert few is not None
    assert (few.values, few.codes.tolist()) == ((500, 2000), [0, 1, 0])


def test_what_runs_say_is_flattened() -> None:
    runs = [
        {
            "pipeline": "p", "environment": None, "code_version": f"v{n // 2}", "variant": None,
            "input": f'{{"kind": "k{n % 2}", "deep": {{"n": {n % 2}, "deeper": {{"x": {n % 2}}}}}, "on": true}}',
            "metadata": "no json" if n else None,
        }
        for n in range(4)
    ]  # fmt: skip
    found, left = of_runs(runs, np.array([False, False, True, True]))
    assert sorted(one.field for one in found) == ["input.deep.n", "input.kind"]
    assert left == [
        LeftOut("input.deep.deeper", "it holds lists, or objects more than two levels deep"),
        LeftOut("code_version", "it tells the two sets apart by itself"),
    ]
    assert "code_version" in {one.field for one in of_runs(runs, np.array([False, False, True, True]), apart=True)[0]}


def test_keys_past_the_two_hundredth_are_counted_and_said() -> None:
    runs = [
        {
            "pipeline": "p", "environment": None, "code_version": None, "variant": None, "metadata": None,
            "input": "{" + ", ".join(f'"k{key:03}": {n % 2}' for key in range(203)) + ', "tags": [1], "on": [2]}',
        }
        for n in range(4)
    ]  # fmt: skip
    found, left = of_runs(runs, np.array([False, False, True, True]))
    assert len(found) == 200
    assert [one.why for one in left] == [
        "each of 2 keys holds lists, or objects more than two levels deep, such as input.on, input.tags",
        "3 keys beyond the first 200 of input and metadata were not looked at, such as input.k200",
    ]


def test_what_there_is_no_time_to_combine_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(2)
    codes = [chance.integers(0, size, 4_000) for size in (9, 9, 2)]
    in_b, kind = np.arange(4_000) >= 2_000, np.where(chance.random(4_000) < 0.2, 0, -1)
    many = Rows([Dimension(9), Dimension(9), Dimension(2)], codes, in_b, kind, np.ones(4_000))
    assert (causes(many).too_large, causes(many).apart) == ([], [])
    monkeypatch.setattr("dxray.server.reasoning.slices._CELLS", 4 * 10 * 10 - 1)
    assert causes(many).too_large == [(0, 1)]
    monkeypatch.setattr("dxray.server.reasoning.slices.COMBINED", 2)
    assert len(causes(many).apart) == 1


# The funnel


def flows(cells: list[tuple[int, int, float, float]], in_b: list[bool]) -> Flows:
    """Of (run, step, in, out)."""
    run, name, came, went = (np.array([cell[n] for cell in cells]) for n in range(4))
    names = [f"s{n}" for n in range(int(name.max()) + 1)]
    return Flows(names, run, name, came.astype(float), went.astype(float), np.array(in_b))


def test_the_split_is_exact_and_tells_mix_from_rate() -> None:
    """Two kinds of runs pass 90 and 30 %; only their numbers change: all of it is mix."""
    kinds = [0, 0, 0, 1, 0, 1, 1, 1]
    cells = [(n, 0, 100, 90 if kind == 0 else 30) for n, kind in enumerate(kinds)]
    by = Attribute("input.kind", np.array(kinds), ("x", "y"))
    found = split(flows(cells, [n >= 4 for n in range(8)]), [by])
    step = found.steps[0]
    assert found.mix_by == "input.kind"
    assert step["delta_ln_pass"] == pytest.approx(log(0.45 / 0.75))
    assert step["mix"] == pytest.approx(step["delta_ln_pass"])
    assert step["rate"] == pytest.approx(0, abs=1e-12)
    cells = [(n, 0, 100, (90 if kind == 0 else 30) / (2 if n >= 4 else 1)) for n, kind in enumerate(kinds[:4] * 2)]
    same = split(flows(cells, [n >= 4 for n in range(8)]), [Attribute("k", np.array(kinds[:4] * 2), ("x", "y"))])
    assert same.steps[0]["rate"] == pytest.approx(log(0.5))


def test_the_split_adds_up_over_steps_and_says_what_is_not_known() -> None:
    chance = np.random.default_rng(5)
    cells = []
    for run in range(20):
        left = float(chance.integers(50, 100))
        for step in range(4):
            after = float(chance.integers(1, int(left) + 1))
            cells.append((run, step, left, after))
            left = after
    side = [n >= 8 for n in range(20)]
    found = split(flows(cells, side), [])
    total = (found.delta_ln_input or 0) + sum(one["delta_ln_pass"] for one in found.steps)
    assert total == pytest.approx(found.delta_ln_output)
    cells[5] = (1, 1, 60, float("nan"))
    unknown = split(flows(cells, side), [])
    assert unknown.delta_ln_output is None
    assert [one["delta_ln_pass"] is None for one in unknown.steps] == [False, True, True, False]
    nothing = split(Flows([], *(np.zeros(0, dtype=int),) * 2, *(np.zeros(0),) * 2, np.array([False, True])), [])
    assert nothing.steps == []
