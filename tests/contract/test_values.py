"""Values inside rows, and columns of a table beside a source, read like columns of its own."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxray.server.errors import Invalid
from dxray.server.filters import Clause
from dxray.server.store import evidence_keys
from dxray.server.store.base import Commit, Reader, Value
from dxray.server.store.duck_reader import DuckReader
from dxray.server.store.duckdb import DuckStore
from dxray.wire.columns import PipelineMemory, Sent, build
from dxray.wire.evidence import ShapeBook
from dxray.wire.records import Events, Op, Run, Step

PRICES: list[Any] = [5, 7.5, None, "cheap", True, Decimal("12.5"), 2**53 + 1, float("inf"), 5, -1]
NUMBERS = [5.0, 7.5, None, None, None, 12.5, float(2**53 + 1), None, 5.0, -1.0]


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    store = DuckStore()
    records: list[Any] = []
    for run_id, metadata in (("r1", '{"who": {"age": 41}}'), ("r2", '{"who": {"age": "old"}}'), ("r3", None)):
        records += [
            Run(run_id=run_id, version=1, pipeline="q", status="completed", started_at=1, metadata=metadata),
            Step(run_id=run_id, step_id="s", version=1, name="n", position=0),
            Events(
                run_id=run_id,
                step_id="s",
                first=0,
                at=5,
                ops=bytes([Op.ACCEPTED]) * len(PRICES),
                ids=[f"i{n}" for n in range(len(PRICES))],
                b=[{"price": price, "Price": -1.5, 'a "key"; --': "x"} for price in PRICES],
            ),
        ]
    store.insert(Commit(build([Sent("p", "me", 7, tuple(records))], ShapeBook(), PipelineMemory()).tables))
    yield store.project("p")
    store.close()


HERE = [Clause("run_id", "==", "r1")]
PRICE = Value("evidence.price", "number")


def test_evidence_as_numbers_and_as_texts(reader: Reader) -> None:
    columns: list[str | Value] = ["item_id", PRICE, Value("evidence.price", "text"), Value("evidence.none", "number")]
    found = reader.select("events", columns, HERE, ["event_no"])
    assert found.column_names == ["item_id", "number:evidence.price", "text:evidence.price", "number:evidence.none"]
    assert found["number:evidence.price"].to_pylist() == NUMBERS
    texts = found["text:evidence.price"].to_pylist()
    assert texts[:7] == [None, None, None, "cheap", "true", None, None]
    assert found["number:evidence.none"].null_count == len(PRICES)


def test_a_key_may_hold_any_character(reader: Reader) -> None:
    value = Value('evidence.a "key"; --', "text")
    assert set(reader.select("events", [value], HERE)[value.name].to_pylist()) == {"x"}
    counted = reader.count_by("events", [value], HERE)
    assert counted.to_pylist() == [{value.name: "x", "n": len(PRICES)}]


def test_keys_tell_upper_from_lower_case(reader: Reader) -> None:
    upper = Value("evidence.Price", "number")
    found = reader.select("events", [PRICE, upper], HERE, ["event_no"])
    assert found[PRICE.name].to_pylist() == NUMBERS
    assert set(found[upper.name].to_pylist()) == {-1.5}
    assert {row[upper.name] for row in reader.count_by("events", [PRICE, upper], HERE).to_pylist()} == {-1.5}


def test_values_of_json_texts(reader: Reader) -> None:
    number, text = Value("metadata.who.age", "number"), Value("metadata.who.age", "text")
    found = reader.select("runs", ["run_id", number, text], order=["run_id"]).to_pylist()
    assert [one[number.name] for one in found] == [41.0, None, None]
    assert [one[text.name] for one in found] == ["41", "old", None]


def test_a_key_of_many_shapes(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    columns: list[str | Value] = ["event_no", PRICE, Value("evidence.price", "text")]
    clauses = [
        Clause("evidence.price", "==", 5),
        Clause("evidence.price", "!=", "cheap"),
        Clause("evidence.price", ">", 6),
        Clause("evidence.price", "in", [True]),
        Clause("evidence.price", "==", 2**53 + 1),
        Clause("evidence.price", "not_null"),
    ]
    wheres = [HERE, *([*HERE, clause] for clause in clauses)]

    def read() -> list[Any]:
        return [reader.select("events", columns, where, ["event_no"]).to_pylist() for where in wheres]

    named = read()
    monkeypatch.setattr(evidence_keys, "MANY", 1)  # from here on they are joined
    assert read() == named
    assert all(named)


@given(st.lists(st.sampled_from([-2.0, -1.0, 0.0, 4.9, 5.0, 5.1, 7.5, 12.5, 1e300]), min_size=1, max_size=40))
def test_a_bin_is_how_many_edges_the_number_reaches(reader: Reader, edges: list[float]) -> None:
    edges = sorted(edges)
    value = Value("evidence.price", "number", tuple(edges))
    counted = reader.count_by("events", [value], HERE).to_pylist()
    expected = Counter(None if one is None else bisect_right(edges, one) for one in NUMBERS)
    assert {row[value.name]: row["n"] for row in counted} == expected


def test_a_table_beside_a_source(reader: Reader) -> None:
    beside = pa.table({"run_id": ["r1", "r3"], "side": ["a", "b"], 'odd "name': [1, 2]})
    counted = reader.count_by("events", ["side", 'odd "name', "outcome"], beside=beside).to_pylist()
    assert sorted((row["side"], row['odd "name'], row["n"]) for row in counted) == [("a", 1, 10), ("b", 2, 10)]
    found = reader.select(
        "events", ["run_id", "side", PRICE], [Clause("item_id", "==", "i1")], ["run_id"], beside=beside
    )
    assert found.to_pylist() == [
        {"run_id": "r1", "side": "a", PRICE.name: 7.5},
        {"run_id": "r3", "side": "b", PRICE.name: 7.5},
    ]
    by_step = pa.table({"run_id": ["r1", "r1", "r2"], "step_id": ["s", "t", "t"], "name": ["x", "y", "z"]})
    assert reader.count_by("events", ["name"], beside=by_step).to_pylist() == [{"name": "x", "n": 10}]


def test_rows_of_an_item_at_a_step_share_a_key(reader: Reader) -> None:
    found = reader.select("events", ["run_id", "item_id", "item_key"]).to_pylist()
    assert len({row["item_key"] for row in found}) == len({(row["run_id"], row["item_id"]) for row in found}) == 30


def test_names_that_are_not_there_are_refused(reader: Reader) -> None:
    beside = pa.table({"run_id": ["r1"], "side": ["a"]})
    with pytest.raises(Invalid, match="no column 'sides'") as caught:
        reader.count_by("events", ["sides"], beside=beside)
    assert caught.value.fix == "did you mean 'side'?"
    with pytest.raises(Invalid, match="no values in"):
        reader.select("events", [Value("input.key", "text")])
    with pytest.raises(Invalid, match="no values in"):
        reader.select("runs", [Value("evidence.price", "number")])
    with pytest.raises(Invalid, match="run_id or step_id"):
        reader.count_by("labels", ["x"], beside=pa.table({"step_id": ["s"], "x": [1]}))


def test_evidence_of_a_new_shape_is_there_or_not_with_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a key lies is read before the rows: what is committed in between is in neither."""
    store, book, pipelines = DuckStore(), ShapeBook(), PipelineMemory()

    def put(number: int, item: str, evidence: dict[str, Any]) -> None:
        records = (
            Run(run_id="r", version=number, pipeline="q", status="running", started_at=1),
            Step(run_id="r", step_id="s", version=number, name="n", position=0),
            Events(run_id="r", step_id="s", first=number - 1, at=5, ops=bytes([Op.ACCEPTED]), ids=[item], b=[evidence]),
        )
        store.insert(Commit(build([Sent("p", "me", number, records)], book, pipelines).tables))

    def without() -> list[str]:
        found: list[str] = (
            store.project("p")
            .select("events", ["item_id"], [Clause("evidence.price", "is_null")])["item_id"]
            .to_pylist()
        )
        return found

    put(1, "a", {"price": 5})
    read = DuckReader._places

    def read_and_commit(self: DuckReader, *asked: Any) -> Any:
        found = read(self, *asked)
        monkeypatch.setattr(DuckReader, "_places", read)
        put(2, "b", {"price": 500, "brand": "x"})
        return found

    monkeypatch.setattr(DuckReader, "_places", read_and_commit)
    assert without() == []
    assert without() == []
    assert store.project("p").count_by("events", ())["n"].to_pylist() == [2]
    store.close()
