"""A commit made of several parts, whose columns came in different forms."""

from __future__ import annotations

from dxray.server.filters import Clause
from dxray.server.ingest.batches import joined
from dxray.server.store.base import Commit
from dxray.server.store.duckdb import DuckStore
from dxray.wire.columns import PipelineMemory, Sent, build, check
from dxray.wire.evidence import ShapeBook
from dxray.wire.records import Events, Op


def part(run_id: str, ids: list[str], reasons: list[str] | str, sampled: bool) -> Sent:
    record = Events(
        run_id=run_id,
        step_id="s1",
        first=0,
        at=0,
        ops=bytes((Op.REJECTED,)) * len(ids),
        ids=ids,
        a=reasons,
        b=[{"text": "x" * number} if number % 2 else None for number in range(len(ids))] if sampled else None,
        p=0.5 if sampled else None,
        by={3: "model"} if sampled else {},
    )
    check(record)
    return Sent("p", "me", 1, [record])


def test_parts_of_a_commit_need_not_hold_their_columns_alike() -> None:
    few, many = ["a", "b"] * 50, [f"item_{number}" for number in range(9_000)]
    sent = [part("one", few, "dear", True), part("two", many, [f"r{number}" for number in range(len(many))], False)]
    book, pipelines = ShapeBook(), PipelineMemory()
    parts = [build([one], book, pipelines) for one in sent]
    one, two = (part.tables["events"].schema for part in parts)
    assert one != two, "the forms differ, or this shows nothing"
    store = DuckStore()
    for order in (parts, parts[::-1]):
        store.insert(Commit(joined(order)))
        reader = store.project("p")
        counted = reader.count_by("events", ["run_id"]).to_pylist()
        assert {row["run_id"]: row["n"] for row in counted} == {"one": len(few), "two": len(many)}
        found = reader.select("events", ["reason"], [Clause("run_id", "==", "two"), Clause("item_id", "==", "item_7")])
        assert found.to_pylist() == [{"reason": "r7"}]
        assert reader.count_by("events", ["reason"], [Clause("run_id", "==", "one")])["n"].to_pylist() == [len(few)]
        store.delete("p", ["one", "two"])
    store.close()
