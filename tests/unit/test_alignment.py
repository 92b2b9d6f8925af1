"""Which steps of two runs are the same step, and the label that follows from what is the same of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxray.server.reasoning import alignment
from dxray.server.reasoning.alignment import Compared, Said, align, both, keys_of, texts, verdict_of
from dxray.server.reasoning.flow import Flow, Stage, flow_of

YES, NO, ABSENT, UNKNOWN = Said.SAME, Said.OTHER, Said.ABSENT, Said.UNKNOWN


def line(*names: str) -> Flow:
    """A run whose steps follow one another."""
    ids = [f"s{n}" for n in range(len(names))]
    return flow_of(
        [
            Stage(step_id, name, position=n, after=tuple(ids[max(n - 1, 0) : n]))
            for n, (step_id, name) in enumerate(zip(ids, names, strict=True))
        ]
    )


def named(a: Flow, b: Flow) -> list[tuple[str | None, str | None]]:
    return [(pair.a and pair.a.name, pair.b and pair.b.name) for pair in align(a, b)]


def test_steps_of_the_same_name_stand_side_by_side() -> None:
    assert named(line("x", "y"), line("x", "y")) == [("x", "x"), ("y", "y")]


def test_an_inserted_and_a_dropped_step_stand_where_they_were() -> None:
    found = named(line("ask", "old", "filter", "pick"), line("ask", "filter", "new", "pick"))
    assert found == [("ask", "ask"), ("old", None), ("filter", "filter"), (None, "new"), ("pick", "pick")]


def test_a_step_that_moved_is_still_the_same_step() -> None:
    pairs = align(line("search", "filter", "rank"), line("search", "rank", "filter"))
    assert [(pair.a and pair.a.name, pair.b and pair.b.name) for pair in pairs] == [
        ("search", "search"),
        ("filter", "filter"),
        ("rank", "rank"),
    ]
    assert [pair.moved for pair in pairs].count(True) == 1


def test_two_steps_of_one_name_are_told_apart_by_their_order() -> None:
    keys = keys_of(line("check", "check", "pick"))
    assert [(key.name, key.occurrence) for key in keys.values()] == [("check", 1), ("check", 2), ("pick", 1)]
    assert named(line("check", "check"), line("check")) == [("check", "check"), ("check", None)]


def test_a_step_is_found_inside_the_same_turn_of_a_loop() -> None:
    def loop(*inside: str | None) -> Flow:
        stages = []
        for n, name in enumerate(inside):
            stages.append(Stage(f"t{n}", "turn", position=2 * n, after=(f"t{n - 1}",) if n else ()))
            if name is not None:
                stages.append(Stage(f"i{n}", name, position=2 * n + 1, parent=f"t{n}"))
        return flow_of(stages)

    pairs = align(loop("score", "score"), loop(None, "score"))
    alone = [pair.a.step_id for pair in pairs if pair.a is not None and pair.b is None]
    assert alone == ["i0"]


def test_another_type_is_another_step() -> None:
    one = flow_of([Stage("s0", "pick", type="rank")])
    other = flow_of([Stage("s0", "pick", type="select")])
    assert named(one, other) == [("pick", None), (None, "pick")]


def test_a_superseded_attempt_is_no_step_of_its_own_and_is_remembered() -> None:
    stages = [
        Stage("s0", "ask", position=0, failed=True),
        Stage("s1", "ask", position=1, attempt=2, after=("s0",)),
        Stage("s2", "pick", position=2, after=("s1",)),
    ]
    retried = flow_of(stages)
    assert named(retried, line("ask", "pick")) == [("ask", "ask"), ("pick", "pick")]
    assert {one: [s.step_id for s in some] for one, some in alignment.superseded_by(retried, stages).items()} == {
        "s1": ["s0"]
    }


@given(st.lists(st.sampled_from("abcd"), max_size=9), st.lists(st.sampled_from("abcd"), max_size=9))
def test_every_step_is_in_the_alignment_once_and_in_its_order(one: list[str], other: list[str]) -> None:
    a, b = line(*one), line(*other)
    pairs = align(a, b)
    assert [pair.a for pair in pairs if pair.a is not None] == list(a.stages)
    assert sorted(pair.b.position for pair in pairs if pair.b is not None) == list(range(len(other)))
    in_line = [pair.b.position for pair in pairs if pair.b is not None and not pair.moved]
    assert in_line == sorted(in_line)
    both_have = set(keys_of(a).values()) & set(keys_of(b).values())
    assert sum(pair.a is not None and pair.b is not None for pair in pairs) == len(both_have)


@pytest.mark.parametrize(
    ("seen", "label", "differs"),
    [
        (Compared(YES, YES, YES), "same", False),
        (Compared(YES, ABSENT, YES), "same", False),
        (Compared(ABSENT, ABSENT, ABSENT), "same", False),
        (Compared(YES, YES, NO), "nondeterministic_here", True),
        (Compared(YES, ABSENT, NO), "unknown_cause", True),
        (Compared(YES, UNKNOWN, NO), "unknown_cause", True),
        (Compared(ABSENT, YES, NO), "unknown_cause", True),
        (Compared(YES, NO, YES), "config_changed", True),
        (Compared(NO, NO, NO), "config_changed", True),
        (Compared(NO, YES, NO), "inherited", True),
        (Compared(NO, YES, YES), "inherited", True),
        (Compared(YES, YES, UNKNOWN), "unknown_cause", None),
        (Compared(NO, YES, NO, astray=True), "unknown_cause", True),
        # the version of the code is config where it may be the cause, and no difference by itself
        (Compared(YES, ABSENT, NO, run_config=YES), "nondeterministic_here", True),
        (Compared(YES, YES, NO, run_config=NO), "config_changed", True),
        (Compared(YES, YES, YES, run_config=NO), "same", False),
        # the order of the same items
        (Compared(YES, YES, YES, output_order=False), "nondeterministic_here", True),
        (Compared(YES, YES, YES, input_order=False, output_order=False), "inherited", True),
        (Compared(YES, YES, YES, input_order=False), "same", False),
        (Compared(YES, YES, NO, input_order=False), "inherited", True),
    ],
)
def test_the_label_follows_from_what_is_the_same(seen: Compared, label: str, differs: bool | None) -> None:
    verdict = verdict_of(seen)
    assert (verdict.label, verdict.differs) == (label, differs)


def test_several_things_together() -> None:
    assert both() is ABSENT
    assert both(YES, ABSENT) is YES
    assert both(YES, UNKNOWN) is UNKNOWN
    assert both(YES, UNKNOWN, NO) is NO


def row(text: str | None, fingerprint: str | None = None, marks: list[str] | None = None) -> dict[str, Any]:
    return {"input": text, "input_fingerprint": fingerprint, "marks": None if marks is None else json.dumps(marks)}


@pytest.mark.parametrize(
    ("a", "b", "found"),
    [
        (row(None), row(None), ABSENT),
        (row("1"), row(None), UNKNOWN),
        (row('{"a":1,"b":2}'), row('{"b":2,"a":1}'), YES),
        (row("1"), row("2"), NO),
        # fingerprints were taken of the whole, before it was cut
        (row('"cut"', "f1"), row('"cut"', "f2"), NO),
        (row('"x"', "f1"), row('"y"', "f1"), YES),
        (row('"cut"', "f1"), row('"whole"', None), NO),
        (row('"cut"', "f1", ["input: cut at 65536 characters"]), row('"whole"', None), UNKNOWN),
    ],
)
def test_recorded_values_are_compared_by_fingerprint_else_by_value(a: Any, b: Any, found: Said) -> None:
    assert texts(a, b, "input") is found


def rule(field: str, threshold: Any, reason: str = "no", op: str = "<=") -> dict[str, Any]:
    return {"field": field, "op": op, "threshold": json.dumps(threshold), "reason": reason}


def test_a_rule_that_changed_stands_beside_what_it_was() -> None:
    a, b = rule("price", 100, "dear"), rule("price", 80, "dear")
    kept, gone, new = rule("age", 3), rule("size", 1, "small", ">="), rule("brand", "x", "brand", "==")
    found = list(alignment.rule_changes([kept, a, gone], [new, b, kept]))
    assert [
        (one["reason"], one["a"] and one["a"]["threshold"], one["b"] and one["b"]["threshold"]) for one in found
    ] == [
        ("dear", 100, 80),
        ("small", 1, None),
        ("brand", None, "x"),
    ]


def test_a_config_is_compared_leaf_by_leaf() -> None:
    one, other = '{"model":"m","llm":{"t":0.1,"top":5},"k":1}', '{"llm":{"t":0.2,"top":5},"model":"m","n":null}'
    found = [(change["field"], change["a"], change["b"]) for change in alignment.value_changes(one, other)]
    assert found == [("llm.t", 0.1, 0.2), ("k", 1, None), ("n", None, None)]
