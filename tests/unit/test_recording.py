"""What a pipeline says is what travels."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import dxray.testing
from dxray import XRay
from dxray.sdk.capture import EXTRAS_PER_REASON, FULL_EVENTS, item_hash
from dxray.testing import Capture
from dxray.wire.records import Events, Op


@pytest.fixture
def captured() -> Iterator[Capture]:
    with dxray.testing.capture() as capture:
        yield capture


@pytest.fixture
def xray(captured: Capture) -> XRay:
    return XRay("shop", capture="full")


def test_a_run_travels_with_all_that_was_said_of_it(captured: Capture, xray: XRay) -> None:
    with xray.run(input={"product": "case"}, metadata={"version": 2}, variant="b", code_version="v41") as run:
        run.set_metadata("shop", "de")
        run.set_output({"selected": "x"})
    (recorded,) = captured.runs
    assert (recorded.pipeline, recorded.status, recorded.input) == ("shop", "completed", '{"product":"case"}')
    assert (recorded.variant, recorded.code_version) == ("b", "v41")
    assert recorded.metadata == '{"version":2,"shop":"de"}'
    assert recorded.ended_at is not None and recorded.started_at is not None
    assert recorded.duration_ms == (recorded.ended_at - recorded.started_at) / 1000
    assert run.run_id == recorded.run_id and run.url.endswith(f"/ui/runs/{run.run_id}")


def test_an_exception_passes_and_is_recorded(captured: Capture, xray: XRay) -> None:
    with pytest.raises(ZeroDivisionError), xray.run() as run, run.step("divide"):
        1 / 0  # noqa: B018
    assert captured.runs[0].status == "failed"
    assert '"type":"ZeroDivisionError"' in (captured.runs[0].error or "")
    assert '"type":"ZeroDivisionError"' in (captured.steps[0].error or "")


def test_outcomes_reasons_and_evidence(captured: Capture, xray: XRay) -> None:
    with xray.run() as run, run.step("f", "filter") as step:
        step.reject("a", "price_too_high", {"price": 129.0})
        step.accept(7)
        step.accept("8", "fine", {"price": 1}, by="model")
        step.merge("c", into="a")
        step.produce("d", name="Dee", evidence={"source": "web"})
    assert captured.outcomes("f") == {"a": "rejected", "7": "accepted", "8": "accepted", "c": "merged", "d": "produced"}
    assert captured.events[0].evidence == {"price": 129.0}
    chunk = next(record for record in captured.records if isinstance(record, Events))
    assert chunk.by == {2: "model"}, "who decided belongs to the row it was said of"


def test_a_dict_reused_in_a_loop_records_what_it_held_at_each_call(captured: Capture, xray: XRay) -> None:
    facts: dict[str, int] = {}
    with xray.run() as run, run.step("f") as step:
        for number in range(2000):
            facts["n"] = number
            step.reject(number, "odd", facts)
    assert [event.evidence for event in captured.events] == [{"n": number} for number in range(2000)]


def test_parents_are_consumed_once_and_travel_with_the_item(captured: Capture, xray: XRay) -> None:
    with xray.run() as run, run.step("search", "retrieve") as step:
        step.produce("p1", parents=["kw:stand", "kw:case"])
        step.produce("p2", parents=["kw:stand"])
    assert [e.item_id for e in captured.events if e.outcome == "consumed"] == ["kw:stand", "kw:case"]


def test_decide_names_winners_and_alternatives(captured: Capture, xray: XRay) -> None:
    with xray.run() as run:
        with run.step("one") as step:
            step.decide(
                "pick", selected="a", reason="best", score=0.9, alternatives=[{"id": "b", "score": 0.8}, "c", "a"]
            )
        with run.step("many") as step:
            step.decide("pick", selected=["a", "b"])
        with run.step("none") as step:
            step.decide("pick", selected=None, reason="nothing fits")
    assert captured.outcomes("one") == {"b": "outranked", "c": "outranked", "a": "selected"}
    assert captured.outcomes("many") == {"a": "selected", "b": "selected"}
    assert [decision.selected for decision in captured.decisions] == [["a"], ["a", "b"], []]


def test_a_rule_answers_and_leaves_what_it_observed(captured: Capture, xray: XRay) -> None:
    with xray.run() as run, run.step("f") as step:
        cap = step.require("price", "<=", 100, reason="price_too_high")
        assert [cap.passes(i, v) for i, v in enumerate([50, 100, 101, None, math.nan, "x"])] == [True, True] + [
            False
        ] * 4
        assert step.require("price", "<=", 100, reason="price_too_high") is cap, "the same rule is one rule"
    (rule,) = captured.steps[0].rules
    assert (rule.field, rule.op, rule.threshold, rule.evaluated, rule.failed) == ("price", "<=", "100", 6, 4)
    assert rule.uncomparable == 3, "None, NaN and a text"
    assert captured.events[0].outcome is None and captured.events[2].reason == "price_too_high"


@pytest.mark.parametrize(
    ("op", "threshold", "inside", "outside"),
    [
        ("<", 3, 2, 3), ("<=", 3, 3, 4), (">", 3, 4, 3), (">=", 3, 3, 2), ("==", "a", "a", "b"), ("!=", "a", "b", "a"),
        ("in", ["a", "b"], "a", "c"), ("not_in", ["a"], "b", "a"), ("between", [1, 3], 3, 4),
    ],
)  # fmt: skip
@pytest.mark.parametrize("disabled", [False, True])
def test_every_operator(captured: Capture, op: str, threshold: Any, inside: Any, outside: Any, disabled: bool) -> None:
    with XRay("p", disabled=disabled).run() as run, run.step("f") as step:
        rule = step.require("x", op, threshold)
        assert rule.passes("in", inside) and not rule.passes("out", outside)
        assert not rule.passes("none", None) and not rule.passes("nan", math.nan)


def test_an_unknown_operator_never_passes_and_does_not_raise(captured: Capture, xray: XRay) -> None:
    with xray.run() as run, run.step("f") as step:
        assert step.require("price", "=<", 100).passes("a", 1) is False
    assert captured.runs[0].status == "completed"


def test_all_rules_are_evaluated_and_the_first_failure_gives_the_reason(captured: Capture, xray: XRay) -> None:
    with xray.run() as run, run.step("f") as step:
        rules = step.require_all([("price", "<=", 100, "dear"), ("rating", ">=", 3, "bad"), ("stock", ">", 0, "gone")])
        assert not rules.passes("a", {"price": 500, "rating": 1, "stock": 5})
        assert rules.passes("b", {"price": 5, "rating": 4, "stock": 5})
        assert not rules.passes("c", {"price": 5, "rating": 4})
    assert [(rule.evaluated, rule.failed) for rule in captured.steps[0].rules] == [(3, 1), (3, 1), (3, 1)]
    assert [e.reason for e in captured.events if e.outcome == "rejected"] == ["dear", "gone"]


def test_a_rule_with_an_array_is_the_same_rule_each_time(captured: Capture, xray: XRay) -> None:
    with xray.run() as run, run.step("f") as step:
        answers = [step.require("cat", "in", np.array(["a", "b"]), "bad").passes(i, c) for i, c in enumerate("abc")]
    assert answers == [True, True, False]
    assert captured.steps[0].rules[0].evaluated == 3


@pytest.mark.parametrize("disabled", [False, True])
def test_a_rule_that_cannot_be_made_passes_nothing_alone_or_in_company(captured: Capture, disabled: bool) -> None:
    with XRay("p", disabled=disabled).run() as run, run.step("f") as step:
        assert not step.require("price", "=<", 100).passes("i", 1)
        assert not step.require_all([("price", "=<", 100, "x"), ("price", "<=", 100, "y")]).passes("i", {"price": 1})


@pytest.mark.parametrize("capture", ["auto", "sample", "none", "full"])
def test_columns_of_reasons_survive_sampling(captured: Capture, capture: str) -> None:
    n = 30_000
    reasons = np.where(np.arange(n) % 2 == 0, "even", "odd")
    with XRay("p", capture=capture).run() as run, run.step("f") as step:
        step.reject_many(np.arange(n), reasons, {"price": np.arange(n) * 0.5})
        step.score_many(list(range(n)), [1.0] * n, parts={"a": [0.5] * n})
    outcomes = captured.outcomes("f")
    assert len(outcomes) == n, "every verdict is kept"
    assert captured.steps[0].events == 2 * n and captured.losses == {}
    kept = [event for event in captured.events if event.outcome == "rejected" and event.evidence]
    if capture == "full":
        assert len(kept) == n
    elif capture == "none":
        assert kept == []
    else:
        late = [e for e in kept if capture == "sample" or int(e.item_id) >= FULL_EVENTS]
        assert {event.reason for event in late} == {"even", "odd"}
        assert 0.005 * n < len(late) < 0.02 * n


def test_what_cannot_be_recorded_is_counted(captured: Capture, xray: XRay) -> None:
    with xray.run() as run, run.step("f") as step:
        assert step.filtered([{"x": 1}, {"x": 2}], [{"x": 1}], reason="r") == [{"x": 1}]
        step.reject_many(5, "r")  # type: ignore[arg-type]
    assert captured.losses == {"not_recorded": 3}
    assert captured.events == []


def test_alternatives_that_cannot_be_read_cost_only_themselves(captured: Capture, xray: XRay) -> None:
    def alternatives() -> Iterator[str]:
        yield "b"
        raise RuntimeError("the cursor is closed")

    with xray.run() as run, run.step("f") as step:
        step.decide("pick", selected=["a", "c"], reason="best", alternatives=alternatives())
        step.decide("pick", selected="d", score=0.5, alternatives=["e"])
    assert captured.outcomes("f") == {"a": "selected", "c": "selected", "d": "selected", "e": "outranked"}
    told = [(one.selected, one.reason, one.alternatives) for one in captured.decisions]
    assert told == [(["a", "c"], "best", None), (["d"], None, '[{"id":"e","score":null,"reason":null}]')]
    assert captured.losses == {"not_recorded": 1}


def test_decide_takes_an_array_of_winners(captured: Capture, xray: XRay) -> None:
    with xray.run() as run, run.step("f") as step:
        step.decide("pick", selected=np.array(["a", "b"]), alternatives=[{"id": "c"}])
    assert captured.outcomes("f") == {"a": "selected", "b": "selected", "c": "outranked"}


def test_columns_in_bulk_are_the_same_as_item_by_item(captured: Capture, xray: XRay) -> None:
    ids, prices = ["a", "b", "c"], [1.0, 2.5, 3.0]
    with xray.run() as run, run.step("f") as step:
        step.reject("first", "single")
        step.reject_many(ids, "dear", evidence={"price": prices})
        step.accept_many(str(i) for i in range(3))
        step.reject_many(np.arange(3), "np", evidence={"price": np.array(prices)})
        step.reject_many(pa.array(ids), "arrow", evidence={"price": pa.array(prices)})
        step.reject_many(ids, ["r1", "r2", "r3"])
        step.produce_many(["p", "q"], names=["P", "Q"], parents=["kw"])
        step.reject_many(ids, "short", evidence={"price": [1.0]})  # without it: lengths differ
    told = [(event.item_id, event.reason, event.evidence) for event in captured.events]
    assert ("1", "np", {"price": 2.5}) in told
    assert ("c", "arrow", {"price": 3.0}) in told
    assert ("b", "r2", None) in told
    assert ("b", "short", None) in told
    chunks = [record for record in captured.records if isinstance(record, Events)]
    assert [chunk.first for chunk in sorted(chunks, key=lambda c: c.first)] == [0, 1, 4, 7, 10, 13, 16, 19]
    assert sum(len(chunk.ops) for chunk in chunks) == captured.steps[0].events == 22
    wide = [chunk for chunk in chunks if chunk.wide]
    assert wide[0].wide == {"price": prices} and wide[0].a == "dear"


def test_a_filter_that_was_a_comprehension(captured: Capture, xray: XRay) -> None:
    before = [{"id": number, "price": number * 50} for number in range(5)]
    with xray.run() as run, run.step("f") as step:
        after = step.filtered(before, [item for item in before if item["price"] <= 100], reason="dear")
    assert [item["id"] for item in after] == [0, 1, 2]
    assert captured.outcomes("f") == {
        "0": "accepted",
        "1": "accepted",
        "2": "accepted",
        "3": "rejected",
        "4": "rejected",
    }


def test_a_mask_over_an_array(captured: Capture, xray: XRay) -> None:
    items = np.array([10, 20, 30])
    with xray.run() as run, run.step("f") as step:
        kept = step.mask(items, items > 15, reason="small", id=items)
    assert kept.tolist() == [20, 30]
    assert captured.outcomes("f") == {"20": "accepted", "30": "accepted", "10": "rejected"}


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Offer:
    price: decimal.Decimal
    at: dt.date


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


HOSTILE: list[Any] = [
    math.nan, math.inf, "\ud800", "nul \x00", 10**5000, 2**80, -(2**70), b"\xff", {1, 2}, Colour.RED, Hostile(),
    Offer(decimal.Decimal("1.10"), dt.date(2026, 1, 2)), dt.datetime(2026, 1, 2, tzinfo=dt.UTC), np.float64(1.5),
    np.int64(300), np.array([1, 2]), {"deep": {1: {2: 3}}}, "x" * 5_000_000, object(), Ellipsis, lambda: 1, range(3),
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: type(value).__name__)
def test_a_hostile_value_costs_nobody_else_anything(captured: Capture, xray: XRay, value: Any) -> None:
    cyclic: dict[str, Any] = {"v": value}
    cyclic["self"] = cyclic
    with xray.run(input=value, metadata={"v": value}) as run, run.step("f") as step:
        for number in range(99):
            step.accept(number)
        step.reject("odd", "r", {"v": value})
        step.reject("cyclic", "r", cyclic)
        step.reject(value, "id")
        step.reject("reason", value)
        step.accept("bare", evidence=value)
        step.score("s", value)
        step.require("v", "<=", value).passes("r", value)
        step.reject_many(["m"], "many", evidence={"v": [value]})
        step.set_config(v=value)
        run.set_output(cyclic)
    recorded = captured.outcomes("f")
    assert all(recorded[str(number)] == "accepted" for number in range(99))
    assert recorded["odd"] == recorded["cyclic"] == "rejected" == recorded["m"]
    assert captured.steps[0].events == len(captured.events)
    assert captured.runs[0].status == "completed"


def test_depth_is_cut_and_marked(captured: Capture, xray: XRay) -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    with xray.run(input=deep) as run, run.step("f") as step:
        step.reject("a", "r", {"deep": deep})
    assert any("depth" in mark for mark in captured.runs[0].marks)
    assert captured.outcomes("f") == {"a": "rejected"}
    del deep  # freed here, where a deep chain of decrefs is nobody else's concern


def test_a_value_past_the_cap_is_cut_and_marked(captured: Capture, xray: XRay) -> None:
    with xray.run(input={"text": "x" * 100_000}) as run, run.step("f") as step:
        step.reject("a", "r", {"text": "y" * 1_000_000, "n": 1})
    (recorded,) = captured.runs
    assert recorded.input is not None and len(recorded.input) <= 70_000
    assert recorded.marks == ["input: cut at 65536 characters", "input: cut at 65536 bytes"] or recorded.marks
    assert captured.events[0].evidence is not None and len(captured.events[0].evidence["text"]) <= 65_536
    chunk = next(record for record in captured.records if isinstance(record, Events))
    assert chunk.marks == {0: ["text: cut at 65536 characters"]}
    assert captured.losses == {"truncated": 2}, "the run's input, and one item's text"


def test_auto_keeps_the_first_events_whole_and_samples_after(captured: Capture) -> None:
    n = FULL_EVENTS + 20_000
    with XRay("p", capture="auto").run() as run, run.step("f") as step:
        for number in range(n):
            step.reject(number, "late" if number >= FULL_EVENTS else "early", {"n": number})
    chunks = sorted((r for r in captured.records if isinstance(r, Events)), key=lambda chunk: chunk.first)
    assert sum(len(chunk.ops) for chunk in chunks) == n, "every verdict is kept"
    causes = {chunk.first + row: cause for chunk in chunks for row, cause in chunk.kept.items()}
    kept = {n: causes.get(n, "chance") for n, event in enumerate(captured.events) if event.evidence is not None}
    assert all(number in kept for number in range(FULL_EVENTS))
    late = {number: cause for number, cause in kept.items() if number >= FULL_EVENTS}
    chosen = {number for number in range(FULL_EVENTS, n) if item_hash(number) < 0.01 * 2**32}
    assert {number for number, cause in late.items() if cause == "chance"} == chosen
    assert sum(cause == "first_of_reason" for cause in late.values()) == EXTRAS_PER_REASON
    assert {chunk.p for chunk in chunks} == {None, 0.01}


def test_the_sample_is_the_same_for_text_and_number_and_near_its_share() -> None:
    assert item_hash(7) == item_hash("7")
    share = sum(item_hash(f"item_{number}") < 0.01 * 2**32 for number in range(100_000)) / 100_000
    assert 0.009 < share < 0.011


def test_none_keeps_no_evidence_and_every_verdict(captured: Capture) -> None:
    with XRay("p", capture="none").run() as run, run.step("f") as step:
        for number in range(100):
            step.reject(number, f"r{number}", {"n": number})
    assert len(captured.outcomes("f")) == 100
    kept = [e for e in captured.events if e.evidence is not None]
    assert len(kept) == 0


def test_counts_survive_a_step_of_many_threads(captured: Capture, xray: XRay) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def work(worker: int) -> None:
        step = dxray.current_step()
        for number in range(5_000):
            step.reject(f"{worker}:{number}", "r", {"n": number}, by="model" if number % 100 == 0 else None)

    with xray.run() as run, run.step("f"), ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(captured.outcomes("f")) == 40_000 == captured.steps[0].events
    chunks = [record for record in captured.records if isinstance(record, Events)]
    assert sum(len(chunk.by) for chunk in chunks) == 400
    assert all(chunk.ids[row].endswith("00") or chunk.ids[row].endswith(":0") for chunk in chunks for row in chunk.by)
    assert Op.REJECTED in chunks[0].ops


def test_large_rows_travel_in_several_records_and_stay_whole(captured: Capture, xray: XRay) -> None:
    with xray.run() as run, run.step("f", capture="full") as step:
        for number in range(300):
            step.reject(f"i{number}", "r" if number % 2 else "s", {"text": "x" * 20_000, "n": number}, by="model")
    chunks = sorted((r for r in captured.records if isinstance(r, Events)), key=lambda chunk: chunk.first)
    assert len(chunks) > 3
    assert [chunk.first for chunk in chunks] == [sum(len(c.ops) for c in chunks[:i]) for i in range(len(chunks))]
    assert [event.evidence["n"] for event in captured.events if event.evidence] == list(range(300))
    assert all(len(chunk.by) == len(chunk.ops) and not chunk.marks for chunk in chunks)
    assert captured.steps[0].events == 300


def test_a_row_has_a_bound_however_many_its_values(captured: Capture, xray: XRay) -> None:
    with xray.run() as run, run.step("f") as step:
        step.reject("a", "r", {f"k{number}": "x" * 60_000 for number in range(40)})
        step.reject("b", "r", {"n": 1})
    chunk = next(record for record in captured.records if isinstance(record, Events))
    assert chunk.marks == {0: ["k8: cut, with all behind it, at 524288 bytes of evidence"]}
    assert chunk.b is not None and sorted(chunk.b[0]) == [f"k{number}" for number in range(8)]
    assert chunk.b[1] == {"n": 1}


@pytest.mark.parametrize(
    ("rows", "by_key"),
    [
        ([{"n": 1, "t": "x"}, {"t": "y", "n": None}], True),
        ([{"n": [1, {"deep": 2}]}, {"n": float("inf")}], True),
        ([{"n": 1}, {"n": 2, "t": "x"}], False),
        ([{"n": 1, "t": "x"}, {"n": 2}], False),
        ([{"n": 1, "t": 2}, {"n": 2, "u": 3}], False),
        ([{"n": 1}, None], False),
        ([None, {"n": 1}], False),
        ([{}, {}], False),
        ([{1: "x"}, {1: "y"}], False),
    ],
)
def test_evidence_with_the_same_keys_travels_by_key(
    captured: Capture, xray: XRay, rows: list[Any], by_key: bool
) -> None:
    with xray.run() as run, run.step("f") as step:
        for number, evidence in enumerate(rows):
            step.reject(number, "r", evidence)
    (chunk,) = (record for record in captured.records if isinstance(record, Events))
    assert ((chunk.wide is not None), (chunk.b is not None)) == (by_key, not by_key)
    told = [None if row is None else {str(key): value for key, value in row.items()} for row in rows]
    got = [event.evidence if event.evidence is None else {**event.evidence} for event in captured.events]
    assert [None if e is None else {str(k): v for k, v in e.items()} for e in got] == told


def test_large_columns_travel_in_several_records_and_stay_whole(captured: Capture, xray: XRay) -> None:
    ids = [f"i{number}" for number in range(400)]
    texts = [f"{number}:" + "x" * 20_000 for number in range(400)]
    texts[7] += "y" * 100_000
    with xray.run() as run, run.step("f", capture="full") as step:
        step.reject_many(ids, "r", evidence={"text": texts, "n": np.arange(400)})
    chunks = sorted((r for r in captured.records if isinstance(r, Events)), key=lambda chunk: chunk.first)
    assert len(chunks) > 3
    assert [event.evidence["n"] for event in captured.events if event.evidence] == list(range(400))
    assert [event.evidence["text"][:4] for event in captured.events if event.evidence] == [t[:4] for t in texts]
    assert [mark for chunk in chunks for mark in chunk.marks.values()] == [["text: cut at 65536 characters"]]
    assert captured.losses == {"truncated": 1}


def test_many_parents_keep_their_names(captured: Capture, xray: XRay) -> None:
    parents = [f"document_{number:08}" for number in range(9_000)]
    with xray.run() as run, run.step("f") as step:
        step.produce("a", "name", parents=parents)
        step.produce("b", parents=np.array([1, 2]))
        step.produce("c", parents=(str(n) for n in range(2)))
    found: dict[Any, Any] = {}
    for chunk in (record for record in captured.records if isinstance(record, Events)):
        found.update(zip(chunk.ids, chunk.b or [None] * len(chunk.ids), strict=True))
    assert {item: parents for item, parents in found.items() if parents} == {
        "a": parents,
        "b": [1, 2],
        "c": ["0", "1"],
    }


def test_who_decided_is_any_text(captured: Capture, xray: XRay) -> None:
    with xray.run() as run, run.step("f") as step:
        for number in range(40):
            step.accept(number)
        step.reject("odd", "r", by="\ud800" + "x" * 10_000)
        step.decide("pick", selected="a\ud800", reason="\ud800")
    assert len(captured.outcomes("f")) == 42
    assert len(captured.decisions) == len(captured.steps) == 1
    assert all(
        len(who) <= 64 for record in captured.records if isinstance(record, Events) for who in record.by.values()
    )
