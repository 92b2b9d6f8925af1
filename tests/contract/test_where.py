"""What a clause means, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from dxray.server.errors import Invalid
from dxray.server.filters import Clause
from dxray.server.store.base import Commit, Reader
from dxray.server.store.duckdb import DuckStore
from dxray.wire.columns import PipelineMemory, Sent, build
from dxray.wire.evidence import ShapeBook
from dxray.wire.records import Events, Op, Run, Step

LARGE = 2**53
EVIDENCE: dict[str, dict[str, Any]] = {
    "small": {"price": 5},
    "large": {"price": LARGE},
    "next": {"price": LARGE + 1},
    "huge": {"price": 1e300},
    "exact": {"price": Decimal("12.5")},
    "text": {"price": "12"},
    "endless": {"price": float("inf")},
    "unclear": {"price": Decimal("NaN")},
    "null": {"price": None},
    "other": {"p|q": "x", "yes": True},
}


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    store = DuckStore()
    events = Events(
        run_id="r1",
        step_id="s",
        first=0,
        at=5,
        ops=bytes([Op.ACCEPTED]) * len(EVIDENCE),
        ids=list(EVIDENCE),
        b=list(EVIDENCE.values()),
    )
    records = (
        Run(run_id="r1", version=1, pipeline="q", status="running", metadata='{"a|b": 1}', started_at=1),
        Run(run_id="r2", version=1, pipeline="q", status="running", metadata='{"a": 1, "b": 1}', started_at=2),
        Step(run_id="r1", step_id="s", version=1, name="n", position=0, after=["3"], after_inferred=True),
        Step(run_id="r2", step_id="s", version=1, name="n", position=0),
        events,
    )
    store.insert(Commit(build([Sent("p", "me", 7, records)], ShapeBook(), PipelineMemory()).tables))
    yield store.project("p")
    store.close()


def found(reader: Reader, source: str, column: str, *where: Clause) -> set[str]:
    return set(reader.select(source, [column], where)[column].to_pylist())


def items(reader: Reader, op: Any, value: Any, key: str = "price") -> set[str]:
    return found(reader, "events", "item_id", Clause(f"evidence.{key}", op, value))


def test_only_columns_are_split(reader: Reader) -> None:
    assert found(reader, "runs", "run_id", Clause("metadata.a|b", "==", 1)) == {"r1"}
    assert items(reader, "==", "x", "p|q") == {"other"}
    assert found(reader, "runs", "run_id", Clause("run_id|pipeline", "==", "r2")) == {"r2"}
    with pytest.raises(Invalid, match="nope"):
        reader.select("runs", where=[Clause("run_id|nope", "==", "r2")])


@pytest.mark.parametrize("value", [True, "true"])
def test_a_truth_is_true_or_false(reader: Reader, value: Any) -> None:
    no = "false" if value == "true" else False
    assert found(reader, "steps", "run_id", Clause("after_inferred", "==", value)) == {"r1"}
    assert found(reader, "steps", "run_id", Clause("after_inferred", "==", no)) == {"r2"}
    assert found(reader, "steps", "run_id", Clause("after_inferred", "in", [no])) == {"r2"}


@pytest.mark.parametrize(
    ("source", "clause"),
    [
        ("steps", Clause("after_inferred", "==", "no")),
        ("steps", Clause("after_inferred", "==", 1)),
        ("steps", Clause("after_inferred", "==", None)),
        ("steps", Clause("after_inferred", "in", [[]])),
        ("steps", Clause("after", "==", 3)),
        ("steps", Clause("after", "contains", None)),
        ("steps", Clause("reason_counts", "==", "many")),
        ("steps", Clause("position", "==", True)),
        ("steps", Clause("position", "<", 10**400)),
        ("events", Clause("evidence.price", "<", 10**400)),
        ("runs", Clause("step_count", ">", 1)),
    ],
)
def test_values_that_do_not_fit_are_refused(reader: Reader, source: str, clause: Clause) -> None:
    with pytest.raises(Invalid):
        reader.select(source, where=[clause])


def test_lists_are_searched(reader: Reader) -> None:
    assert found(reader, "steps", "run_id", Clause("after", "==", "3")) == {"r1"}
    assert found(reader, "steps", "run_id", Clause("reason_counts", "==", 3)) == set()


def test_columns_that_come_late_give_no_order_and_no_groups(reader: Reader) -> None:
    with pytest.raises(Invalid, match="step_count"):
        reader.select("runs", ["run_id"], order=["-step_count"])
    with pytest.raises(Invalid, match="step_count"):
        reader.count_by("runs", ["step_count"])
    assert reader.select("runs", ["step_count"], limit=1)["step_count"].to_pylist() == [1]


def test_numbers_kept_as_digits_are_numbers(reader: Reader) -> None:
    assert items(reader, ">", 10) == {"large", "next", "huge", "exact"}
    assert items(reader, "<", 12.75) == {"small", "exact"}
    assert items(reader, "==", 12.5) == items(reader, "==", Decimal("12.5")) == {"exact"}
    assert items(reader, "in", [5, 12.5]) == {"small", "exact"}
    assert items(reader, "!=", 12.5) == EVIDENCE.keys() - {"exact"}
    assert items(reader, ">", 10**39) == {"huge"}


def test_large_integers_are_told_apart(reader: Reader) -> None:
    assert items(reader, "==", LARGE) == items(reader, "in", [LARGE]) == {"large"}
    assert items(reader, "==", LARGE + 1) == {"next"}
    assert items(reader, "!=", LARGE + 1) == EVIDENCE.keys() - {"next"}


def test_a_text_is_no_number(reader: Reader) -> None:
    assert items(reader, "==", 12) == set()
    assert items(reader, "==", "12") == {"text"}
    assert items(reader, "==", True, "yes") == {"other"}
    assert "null" not in items(reader, "not_null", None)
