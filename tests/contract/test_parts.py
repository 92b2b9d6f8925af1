"""A commit made of several parts, whose columns came in different forms."""

from __future__ import annotations

from dxray.server.filters import Clause
from dxray.server.ingest import Ingest
from dxray.server.store.duckdb import DuckStore
from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.records import Events, Op


def chunk(run_id: str, n: int, reasons: list[str] | str | None, evidence: list[dict[str, str]] | None) -> bytes:
    return pack_record(
        Events(
            run_id=run_id,
            step_id="s1",
            first=0,
            at=0,
            ops=bytes((Op.REJECTED,)) * n,
            ids=[f"item_{number}" for number in range(n)],
            a=reasons,
            b=evidence,
        )
    )


def test_parts_of_a_commit_need_not_hold_their_columns_alike() -> None:
    n = 70_000  # more than one part takes
    store = DuckStore(":memory:")
    ingest = Ingest(store)
    bodies = [
        pack_batch("p", 1, "default", [chunk("one", n, "dear", None)]),
        pack_batch("p", 2, "default", [chunk("two", n, [f"r{number}" for number in range(n)], None)]),
        pack_batch("p", 3, "default", [chunk("three", 9, None, [{"a": "x" * number} for number in range(9)])]),
    ]
    futures = [ingest.submit(body, "zstd") for body in bodies]
    assert [future.result(30).rejected for future in futures] == [[], [], []]
    reader = store.project("default")
    counted = reader.count_by("events", ["run_id"]).to_pylist()
    assert {row["run_id"]: row["n"] for row in counted} == {"one": n, "two": n, "three": 9}
    found = reader.select("events", ["reason"], [Clause("run_id", "==", "two"), Clause("item_id", "==", "item_7")])
    assert found.to_pylist() == [{"reason": "r7"}]
    ingest.close()
    store.close()
