"""The number by which a store finds a run's rows without reading those of other times."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxray.server.errors import Invalid
from dxray.server.filters import Clause
from dxray.server.ingest import Ingest
from dxray.server.posted import read
from dxray.server.store.duckdb import DuckStore
from dxray.server.store.run_numbers import numbered, run_no, span
from dxray.wire.ids import new_run_id


def generated(millis: int, chance: int) -> str:
    return f"run_{millis:012x}7{chance:019x}"


TIMES, CHANCES = st.integers(0, 2**48 - 1), st.integers(0, 2**76 - 1)


@given(TIMES, CHANCES, TIMES, CHANCES)
def test_generated_ids_are_numbered_in_the_order_of_time(a: int, b: int, c: int, d: int) -> None:
    one, other = run_no(generated(a, b)), run_no(generated(c, d))
    assert 0 <= one < 2**63
    assert (one < other) == (a < c) or a == c


@given(st.lists(st.text("abc.:_-019", min_size=1, max_size=40), min_size=1, max_size=20))
def test_every_id_has_one_number_that_fits(ids: list[str]) -> None:
    table = numbered(pa.table({"run_id": pa.array([*ids, new_run_id()], pa.string())}))
    assert table["run_no"].to_pylist() == [run_no(one) for one in table["run_id"].to_pylist()]
    assert all(span(ids)["lo"] <= run_no(one) <= span(ids)["hi"] for one in ids)
    assert all(-(2**63) <= number < 2**63 for number in table["run_no"].to_pylist())


@pytest.mark.parametrize("clause", [Clause("run_id", "==", "\ud800"), Clause("run_id", "in", ["a", "b\udfff"])])
def test_half_a_character_is_no_id(clause: Clause) -> None:
    store = DuckStore()
    try:
        for source in ("runs", "steps", "events"):
            with pytest.raises(Invalid, match="half a character") as error:
                store.project("p").select(source, ["run_id"], [clause])
            assert error.value.field == "run_id"
    finally:
        store.close()


@pytest.mark.parametrize("kind", ["generated", "own", "mixed"])
def test_runs_are_found_whatever_their_ids_are(kind: str) -> None:
    made, own = [generated(1_790_000_000_000 + 60_000 * n, n) for n in range(6)], [f"order-{n}" for n in range(6)]
    ids = {"generated": made, "own": own, "mixed": made[:3] + own[3:]}[kind]
    store = DuckStore()
    ingest = Ingest(store)
    for run_id in ids:
        steps = [{"name": "s", "events": [{"item_id": "i", "outcome": "accepted"}]}]
        run = read(json.dumps({"run_id": run_id, "pipeline": "p", "steps": steps}).encode())
        ingest.post_run("p", run.records, run.request_hash).result(30)
    reader = store.project("p")
    for source in ("runs", "steps", "events"):
        for run_id in ids:
            assert reader.select(source, ["run_id"], [Clause("run_id", "==", run_id)])["run_id"].to_pylist() == [run_id]
        some = [Clause("run_id", "in", [ids[0], ids[3], "order-99"])]
        assert set(reader.select(source, ["run_id"], some)["run_id"].to_pylist()) == {ids[0], ids[3]}
        beside = pa.table({"run_id": pa.array(ids[2:4], pa.string()), "place": [7, 8]})
        found = reader.select(source, ["run_id", "place"], beside=beside).to_pylist()
        assert {(row["run_id"], row["place"]) for row in found} == {(ids[2], 7), (ids[3], 8)}
        assert reader.count_by(source, [], [Clause("run_id", "in", [])])["n"].to_pylist() == [0]
    ingest.close()
    store.close()
