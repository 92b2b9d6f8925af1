"""Whatever a bulk call's columns hold: every verdict arrives, and what was changed is marked on its own row."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import dxray.testing
from dxray import XRay
from dxray.sdk import chunk, wide
from dxray.sdk.capture import EXTRAS_PER_REASON, FULL_EVENTS
from dxray.testing import Capture
from dxray.wire.codec import pack_record, unpack_record
from dxray.wire.columns import check
from dxray.wire.records import Events

LONG = "z" * 70_000
CUT = "cut at 65536 characters"


@pytest.fixture
def captured() -> Iterator[Capture]:
    with dxray.testing.capture() as capture:
        yield capture


@pytest.fixture
def xray(captured: Capture) -> XRay:
    return XRay("shop", capture="full")


def chunks(captured: Capture) -> list[Events]:
    """What travels; a server takes all of it."""
    found = [record for record in captured.records if isinstance(record, Events)]
    for one in found:
        check(unpack_record(pack_record(one)))
    return sorted(found, key=lambda one: one.first)


def marks(captured: Capture) -> dict[int, list[str]]:
    return {one.first + row: said for one in chunks(captured) for row, said in one.marks.items()}


def facts(captured: Capture, key: str) -> list[Any]:
    """The evidence under a key, in order; of rows that have some."""
    chunks(captured)
    return [event.evidence[key] for event in captured.events if event.evidence is not None]


# --- arrays -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capture", ["full", "sample"])
@pytest.mark.parametrize("shape", [(4, 8), (4, 2, 3), (4, 0)])
def test_each_row_of_an_array_is_its_items_list(captured: Capture, capture: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape)).reshape(shape) * 0.5
    with XRay("p", capture=capture).run() as run, run.step("f") as step:
        step.reject_many(np.arange(4), "r", {"vector": array})
        step.accept_many(np.arange(4), evidence={"vector": array, "n": np.arange(4)})
    assert facts(captured, "vector") == array.tolist() * 2
    assert [event.outcome for event in captured.events] == ["rejected"] * 4 + ["accepted"] * 4
    assert captured.losses == {}


@pytest.mark.parametrize("capture", ["full", "sample"])
def test_a_masked_value_is_null(captured: Capture, capture: str) -> None:
    masked = np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False])
    with XRay("p", capture=capture).run() as run, run.step("f") as step:
        step.reject_many(np.arange(3), "r", {"v": masked, "all": np.ma.array([1, 2, 3])})
        step.score_many(["a", "b", "c"], [1.0, 2.0, 3.0], parts={"v": masked})
    assert facts(captured, "v") == [1.0, None, 3.0] * 2
    assert captured.losses == {}


COLUMNS: dict[str, Callable[[list[Any]], Any]] = {
    "array": lambda values: pa.array(values),
    "chunked": lambda values: pa.chunked_array([values[:1], values[1:]]),
    "text": lambda values: pa.array([str(value) for value in values]),
    "dictionary": lambda values: pa.array([str(value) for value in values]).dictionary_encode(),
    "lists": lambda values: pa.array([[value] for value in values]),
    "nulls": lambda values: pa.array([None, *values[1:]]),
    "texts of numpy": lambda values: np.array([str(value) for value in values]),
    "objects of numpy": lambda values: np.array([None, *values[1:]], dtype=object),
    "times": lambda values: np.array(["2026-01-02"] * len(values), dtype="datetime64[D]"),
}


@pytest.mark.parametrize("capture", ["full", "sample", "none"])
@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_arrive_as_values_sampled_or_not(captured: Capture, kind: str, capture: str) -> None:
    column = COLUMNS[kind]([0.5, 0.25, 4.0])
    with XRay("p", capture=capture).run() as run, run.step("f") as step:
        step.reject_many(pa.array([1, 2, 3]), "r", {"v": column})
    assert captured.outcomes("f") == dict.fromkeys("123", "rejected")
    expected = ["2026-01-02"] * 3 if kind == "times" else wide.listed(column)
    assert [str(v) for v in facts(captured, "v")] == ([] if capture == "none" else [str(v) for v in expected])
    assert captured.losses == {}


def test_sampling_picks_the_same_rows_of_every_column(captured: Capture) -> None:
    n = 3_000
    with XRay("p", capture="sample").run() as run, run.step("f") as step:
        step.reject_many(
            pa.array(range(n)),
            pa.array(["even", "odd"] * (n // 2)),
            {"arrow": pa.array(range(n)), "numpy": np.arange(n), "list": list(range(n))},
        )
    kept = [event for event in captured.events if event.evidence is not None]
    assert 2 * EXTRAS_PER_REASON < len(kept) < 0.05 * n
    assert all(event.evidence == dict.fromkeys(("arrow", "numpy", "list"), int(event.item_id)) for event in kept)
    assert len(captured.outcomes("f")) == n
    chunks(captured)


# --- what is no column -----------------------------------------------------------------------------------


def broken() -> Iterator[int]:
    yield 1
    raise RuntimeError("the cursor is closed")


class Unreadable(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("no")


NO_COLUMNS: dict[str, Callable[[], Any]] = {
    "short": lambda: [1],
    "long": lambda: np.arange(9),
    "one value": lambda: 5,
    "one text": lambda: "abc",
    "one date": lambda: dt.date(2026, 1, 2),
    "breaks off": broken,
    "endless": lambda: itertools.count(),
    "one number of numpy": lambda: np.array(7),
    "arrow, short": lambda: pa.array([1]),
}


@pytest.mark.parametrize("capture", ["full", "sample", "none"])
@pytest.mark.parametrize("kind", NO_COLUMNS)
def test_evidence_that_is_no_column_costs_no_verdict(captured: Capture, kind: str, capture: str) -> None:
    with XRay("p", capture=capture).run() as run, run.step("f") as step:
        step.reject_many(["a", "b", "c"], "r", {"odd": NO_COLUMNS[kind](), "n": [1, 2, 3]})
        step.produce_many(["p", "q", "s"], ["P", "Q", "S"], ["k"], {"odd": NO_COLUMNS[kind](), "n": [1, 2, 3]})
    outcomes = dict.fromkeys("abc", "rejected") | dict.fromkeys("pqs", "produced")
    assert {item: said for item, said in captured.outcomes("f").items() if item != "k"} == outcomes
    kept = {event.item_id: event.evidence for event in captured.events if event.evidence is not None}
    assert kept == ({} if capture == "none" else {item: {"n": n % 3 + 1} for n, item in enumerate("abcpqs")})
    assert captured.losses == {"truncated": 6}, "a value of each item"
    assert captured.steps[0].marks == ["odd: left out, not one value for each item"]
    chunks(captured)


@pytest.mark.parametrize("evidence", [[{"n": 1}, {"n": 2}], 5, Unreadable(n=[1, 2])])
def test_evidence_that_has_no_columns_costs_no_verdict(captured: Capture, xray: XRay, evidence: Any) -> None:
    with xray.run() as run, run.step("f") as step:
        step.accept_many(["a", "b"], "fine", evidence)
    assert [(event.item_id, event.reason, event.evidence) for event in captured.events] == [
        ("a", "fine", None),
        ("b", "fine", None),
    ]
    assert captured.losses == {"truncated": 2}
    assert captured.steps[0].marks == ["evidence: left out, not one value for each item"]


class Why(enum.Enum):
    DEAR = "too_dear"
    COUNT = 7
    PAIR = (1, 2)


ODD_REASONS: list[tuple[Any, str]] = [
    (Why.DEAR, "too_dear"), (Why.COUNT, "7"), (Why.PAIR, "PAIR"), (dt.date(2026, 1, 2), "2026-01-02"),
    (b"bytes", "Ynl0ZXM="), (7, "7"), (object, "<class 'object'>"),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "text"), ODD_REASONS)
@pytest.mark.parametrize("capture", ["full", "sample"])
def test_an_odd_reason_is_told_by_its_text(captured: Capture, reason: Any, text: str, capture: str) -> None:
    with XRay("p", capture=capture).run() as run, run.step("f") as step:
        step.reject_many(["a", "b"], reason, {"n": [1, 2]})
    assert [(event.item_id, str(event.reason), event.evidence) for event in captured.events] == [
        ("a", text, {"n": 1}),
        ("b", text, {"n": 2}),
    ]
    assert captured.losses == {}
    chunks(captured)


@pytest.mark.parametrize("reasons", [["r"], broken(), np.array([["x", "y"]])], ids=["short", "breaks off", "a row"])
def test_reasons_that_are_no_column_cost_no_verdict(captured: Capture, xray: XRay, reasons: Any) -> None:
    with xray.run() as run, run.step("f") as step:
        step.reject_many(["a", "b"], reasons, {"n": [1, 2]})
    assert [(event.outcome, event.reason, event.evidence) for event in captured.events] == [
        ("rejected", None, {"n": 1}),
        ("rejected", None, {"n": 2}),
    ]
    assert captured.losses == {"truncated": 2}
    assert captured.steps[0].marks == ["reason: left out, not one value for each item"]
    chunks(captured)


def test_a_column_may_be_any_sequence(captured: Capture, xray: XRay) -> None:
    class Rows:
        def __len__(self) -> int:
            return 2

        def __getitem__(self, place: int) -> str:
            return ["x", "y"][place]

    with xray.run() as run, run.step("f") as step:
        step.reject_many(["a", "b"], Rows(), {"v": Rows()})
        step.score_many(["a", "b"], decimal.Decimal("1.5"))
    assert [(event.reason, event.evidence) for event in captured.events] == [
        ("x", {"v": "x"}),
        ("y", {"v": "y"}),
        (None, None),
        (None, None),
    ]
    assert [chunk.a for chunk in chunks(captured)] == [["x", "y"], 1.5]
    assert captured.losses == {}


# --- what is changed --------------------------------------------------------------------------------------


def test_what_is_changed_is_marked_on_its_own_row(captured: Capture, xray: XRay) -> None:
    texts = ["ok"] * 1_000
    texts[300] = texts[301] = LONG
    texts[900] = "\ud800"
    numbers: list[Any] = [1] * 1_000
    numbers[301] = 2**80
    with xray.run() as run, run.step("f") as step:
        step.reject_many(["first"], "r")
        step.reject_many(list(range(1_000)), "r", {"text": texts, "n": numbers})
    assert marks(captured) == {
        301: [f"text: {CUT}"],
        302: [f"text: {CUT}", "n: integer past 64 bits: kept as text"],
        901: ["text: lone surrogate replaced"],
    }
    found = facts(captured, "text")
    assert [row for row, text in enumerate(found) if text != "ok"] == [300, 301, 900]
    assert found[300] == "z" * 65_536
    assert facts(captured, "n")[301] == str(2**80)
    assert captured.losses == {"truncated": 2}


def test_marks_stay_with_their_rows_where_a_record_becomes_several(captured: Capture, xray: XRay) -> None:
    texts = [f"{number}:" + "x" * (70_000 if number % 3 == 0 else 9_000) for number in range(300)]
    with xray.run() as run, run.step("f") as step:
        step.reject_many(list(range(300)), "r", {"text": texts})
    assert len(chunks(captured)) > 5
    assert marks(captured) == {number: [f"text: {CUT}"] for number in range(0, 300, 3)}
    assert facts(captured, "text") == [text[:65_536] for text in texts]
    assert captured.losses == {"truncated": 100}


def test_marks_of_sampled_rows_name_the_rows(captured: Capture) -> None:
    n = FULL_EVENTS + 2_000
    texts = [LONG if number == n - 1_990 else "ok" for number in range(n)]
    with XRay("p", capture="auto").run() as run, run.step("f") as step:
        step.reject_many(list(range(n)), ["early"] * FULL_EVENTS + ["late"] * 2_000, {"text": texts})
    assert marks(captured) == {n - 1_990: [f"text: {CUT}"]}
    (event,) = [event for event in captured.events if event.item_id == str(n - 1_990)]
    assert event.evidence == {"text": "z" * 65_536}
    assert captured.losses == {"truncated": 1}


def test_ids_and_reasons_are_changed_like_evidence(captured: Capture, xray: XRay) -> None:
    with xray.run() as run, run.step("f") as step:
        step.reject_many(["a", "b\ud800", LONG], ["r", LONG, {1, 2}], {"k\ud800": [1, 2, 3]})
        step.produce_many(("p", 2**70), names=("n", "m"))
    named = {row: {mark.partition(":")[0] for mark in said} for row, said in marks(captured).items()}
    assert named == {1: {"item_id", "reason"}, 2: {"item_id"}, 4: {"item_id"}}
    ids = [event.item_id for event in captured.events]
    assert ids == ["a", "b" + "\ufffd" * 3, "z" * 65_536, "p", str(2**70)]
    assert facts(captured, next(iter(captured.events[0].evidence or ()))) == [1, 2, 3]
    assert captured.losses == {"truncated": 2}


@pytest.mark.parametrize("column", [list, tuple, lambda values: np.array([*values, None], dtype=object)[:-1]])
def test_a_million_leaves_are_cut_before_they_are_encoded(
    captured: Capture, xray: XRay, monkeypatch: pytest.MonkeyPatch, column: Any
) -> None:
    sizes: list[int] = []

    def encode(value: Any) -> bytes:
        made = chunk.encode(value)
        sizes.append(len(made))
        return made

    monkeypatch.setattr(wide, "encode", encode)
    leaves: list[Any] = [0] * 10
    for _ in range(5):
        leaves = [leaves] * 10
    start = time.monotonic()
    with xray.run() as run, run.step("f") as step:
        step.reject_many([0, 1, 2], "r", {"v": column([1, leaves, [2]])})
        for number in range(3, 50):
            step.reject(number, "r", {"k": 1})
    said = marks(captured)
    assert time.monotonic() - start < 2
    assert max(sizes) < 200_000
    assert list(said) == [1]
    assert all(mark.startswith("v: cut at ") for mark in said[1])
    assert len(captured.outcomes("f")) == 50
    assert [event.evidence for event in captured.events[::2]][:2] == [{"v": 1}, {"v": [2]}]
    assert captured.losses == {"truncated": 1}


HOSTILE: list[Any] = [
    10**5000, b"\xff", {1, 2}, object(), np.float64(1.5), np.array([1, 2]), {"deep": {1: {2: 3}}}, [LONG],
    float("nan"), [float("inf")], ..., range(3), {"a\ud800": 1}, pa.scalar(5),
]  # fmt: skip


@pytest.mark.parametrize("capture", ["full", "sample"])
@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: type(value).__name__)
def test_an_odd_value_costs_no_other_row(captured: Capture, capture: str, value: Any) -> None:
    n = 30
    values = [value if number == 7 else number for number in range(n)]
    with XRay("p", capture=capture).run() as run, run.step("f") as step:
        step.reject_many(list(range(n)), "r", {"v": values, "n": np.arange(n)})
    assert captured.outcomes("f") == {str(number): "rejected" for number in range(n)}
    found = facts(captured, "v")
    assert found[:7] + found[8:] == [number for number in range(n) if number != 7]
    assert set(marks(captured)) <= {7}
    assert facts(captured, "n") == list(range(n))
    assert set(captured.losses) <= {"truncated"}
