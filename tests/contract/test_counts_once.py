"""What a server says of a batch that comes again, whole or in parts; and evidence that comes back as it went."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dxray.sdk.contents import halves
from dxray.sdk.deliver import Delivery
from dxray.sdk.transport import Answer, Fate
from dxray.server.errors import TooLarge
from dxray.server.ingest import Ingest
from dxray.server.store.base import Commit
from dxray.server.store.duckdb import DuckStore
from dxray.wire.codec import inflate, pack_batch, pack_record, unpack_batch
from dxray.wire.columns import PipelineMemory, Refused, Sent, build, check
from dxray.wire.evidence import ShapeBook, ShapeReader
from dxray.wire.records import AnyRecord, Events, Op, Rule


class Slow(DuckStore):
    """A store whose commits wait for `gate`."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()

    def insert(self, commit: Commit) -> None:
        self.entered.set()
        assert self.gate.wait(30)
        super().insert(commit)


@pytest.fixture
def store() -> Iterator[Slow]:
    opened = Slow()
    yield opened
    opened.gate.set()
    opened.close()


@pytest.fixture
def ingest(store: Slow) -> Iterator[Ingest]:
    opened = Ingest(store)
    yield opened
    store.gate.set()
    opened.close()


def events(first: int, n: int = 1, run_id: str = "r", **more: Any) -> Events:
    ids = [str(number) for number in range(first, first + n)]
    return Events(
        run_id=run_id, step_id="s", first=first, at=1, **{"ops": bytes([Op.ACCEPTED]) * n, "ids": ids, **more}
    )


def batch(seq: int, *records: AnyRecord, producer: str = "me") -> bytes:
    return pack_batch(producer, seq, "p", map(pack_record, records))


def done(future: Future[Any]) -> Any:
    return future.result(30)


def numbers(store: DuckStore) -> list[int]:
    return sorted(store.project("p").select("events", ["event_no"])["event_no"].to_pylist())


# --- again ------------------------------------------------------------------------------------------------

TORN = events(1, 2, ids=["only one"])
UNKNOWN = msgspec.msgpack.encode({"t": "hologram", "run_id": "r"})
PARTLY = pack_batch("me", 1, "p", [pack_record(events(0)), pack_record(TORN), UNKNOWN])


def test_a_batch_that_comes_again_names_the_same_records(ingest: Ingest, store: Slow) -> None:
    first = done(ingest.submit(PARTLY, "zstd"))
    assert (first.accepted, first.duplicate, [index for index, _ in first.rejected]) == (1, False, [1, 2])
    again = done(ingest.submit(PARTLY, "zstd"))
    assert (again.accepted, again.duplicate, again.rejected) == (0, True, first.rejected)
    restarted = Ingest(store)
    later = done(restarted.submit(PARTLY, "zstd"))
    restarted.close()
    assert (later.duplicate, later.rejected) == (True, first.rejected)
    assert numbers(store) == [0]


def test_so_does_one_that_comes_while_the_first_is_on_its_way(ingest: Ingest, store: Slow) -> None:
    store.gate.clear()
    first = ingest.submit(PARTLY, "zstd")
    assert store.entered.wait(30)
    following = [ingest.submit(PARTLY, "zstd") for _ in range(3)]
    assert not any(one.done() for one in following), "an answer comes after the commit"
    store.gate.set()
    assert not done(first).duplicate
    for one in following:
        assert (done(one).duplicate, done(one).rejected) == (True, done(first).rejected)
    assert numbers(store) == [0]


def test_a_batch_of_which_nothing_could_be_stored_is_known_too(ingest: Ingest, store: Slow) -> None:
    body = batch(1, TORN)
    first, again = (done(ingest.submit(body, "zstd")) for _ in range(2))
    assert (first.accepted, first.duplicate) == (0, False)
    assert (again.duplicate, again.rejected) == (True, first.rejected)
    assert numbers(store) == []


# --- in parts ---------------------------------------------------------------------------------------------

WHOLE = batch(7, *(events(number) for number in range(8)))
LARGE = batch(9, *(events(number) for number in range(100)))


def part_of(data: bytes, path: str) -> bytes:
    for which in path:
        data = halves(data)[int(which)]
    return data


@pytest.mark.parametrize("path", ["0", "1", "01", "110"])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_batch_of_which_a_part_is_here_is_sent_in_parts_again(
    ingest: Ingest, store: Slow, path: str, restarted: bool
) -> None:
    done(ingest.submit(part_of(WHOLE, path), "zstd"))
    now = Ingest(store) if restarted else ingest
    with pytest.raises(TooLarge, match="a part of this batch is here already"):
        done(now.submit(WHOLE, "zstd"))
    delivery = Delivery([WHOLE])
    assert delivery.go_on(Posts(now)) is Fate.COMMITTED
    assert (delivery.rejected, delivery.refused) == ([], [])
    assert numbers(store) == list(range(8))
    if restarted:
        now.close()


class Posts:
    """The way to a server, without HTTP between."""

    def __init__(self, ingest: Ingest, most_records: int = 10**9) -> None:
        self._ingest = ingest
        self.most_records = most_records
        self.busy_after = 10**9

    def post(self, data: bytes) -> Answer:
        if len(unpack_batch(inflate(data, "zstd")).records) > self.most_records:
            return Answer(Fate.TOO_LARGE, "HTTP 413")
        self.busy_after -= 1
        if self.busy_after < 0:
            return Answer(Fate.RETRY, "HTTP 503")
        try:
            receipt = self._ingest.submit(data, "zstd").result(30)
        except TooLarge as error:
            return Answer(Fate.TOO_LARGE, str(error))
        return Answer(Fate.COMMITTED, rejected=tuple(index for index, _ in receipt.rejected))


@pytest.mark.parametrize("committed", range(5))
def test_another_process_that_sends_it_whole_counts_nothing_twice(ingest: Ingest, store: Slow, committed: int) -> None:
    """The one that divided it died after so many parts; the next has no such limit before it."""
    dead = Posts(ingest, most_records=2)
    dead.busy_after = committed
    assert Delivery([WHOLE]).go_on(dead) is (Fate.RETRY if committed < 4 else Fate.COMMITTED)
    assert len(numbers(store)) == 2 * committed
    assert Delivery([WHOLE]).go_on(Posts(ingest)) is Fate.COMMITTED
    assert numbers(store) == list(range(8))


@pytest.mark.parametrize("restarted", [False, True])
def test_a_batch_that_was_divided_down_to_single_records_counts_once(
    ingest: Ingest, store: Slow, restarted: bool
) -> None:
    assert Delivery([LARGE]).go_on(Posts(ingest, most_records=1)) is Fate.COMMITTED
    now = Ingest(store) if restarted else ingest
    assert Delivery([LARGE]).go_on(Posts(now)) is Fate.COMMITTED
    assert numbers(store) == list(range(100))
    if restarted:
        now.close()


def test_a_part_that_is_on_its_way_counts_as_here(ingest: Ingest, store: Slow) -> None:
    store.gate.clear()
    part = ingest.submit(part_of(WHOLE, "0"), "zstd")
    assert store.entered.wait(30)
    whole = ingest.submit(WHOLE, "zstd")
    with pytest.raises(TooLarge):
        done(whole)
    assert not part.done()
    store.gate.set()
    assert done(part).accepted == 4


def test_parts_of_others_are_nobodys_concern(ingest: Ingest, store: Slow) -> None:
    done(ingest.submit(part_of(WHOLE, "0"), "zstd"))
    others = (
        batch(8, events(20)),
        batch(70, events(21)),
        batch(7, events(22), producer="you"),
        pack_batch("me", 7, "q", [pack_record(events(0))]),
    )
    assert [done(ingest.submit(body, "zstd")).accepted for body in others] == [1] * 4
    assert numbers(store) == [0, 1, 2, 3, 20, 21, 22]


# --- a record that says its evidence twice ----------------------------------------------------------------

RULE = Rule("price", "<", "1", "dear")
TWICE: list[Events] = [
    events(0, b=[{"a": 111.0}], wide={"a": [222.0]}),
    events(0, b=[None], wide={"a": [222.0]}),
    events(0, ops=bytes([Op.RULE_FAILED]), a=[0], rules=[RULE], wide={"a": [222.0]}),
    events(0, ops=bytes([Op.RULE_PASSED]), a=[0], b=[5.0], rules=[RULE], wide={"a": [222.0]}),
    events(0, 2, ops=bytes([Op.ACCEPTED, Op.RULE_ALSO_FAILED]), a=[None, 0], rules=[RULE], wide={"a": [1.0, 2.0]}),
    events(0, 2, b=[{"a": 1.0}, None], wide={"a": [222.0]}, wide_rows=[1]),
]


@pytest.mark.parametrize("record", TWICE)
def test_a_record_with_evidence_by_row_and_by_key_is_refused(record: Events) -> None:
    with pytest.raises(Refused, match="evidence by key beside evidence by row"):
        check(msgspec.structs.replace(record))


@pytest.mark.parametrize("record", TWICE)
def test_and_costs_no_other_its_evidence(ingest: Ingest, store: Slow, record: Events) -> None:
    store.gate.clear()
    bystander = [{"a": float(number)} for number in range(1, 4)]
    good = events(0, 3, run_id="good", b=bystander)
    odd = msgspec.structs.replace(record, run_id="odd")
    waiting = ingest.submit(batch(1, events(0)), "zstd")
    assert store.entered.wait(30)
    together = [
        ingest.submit(batch(2, odd, good), "zstd"),
        ingest.submit(pack_batch("you", 1, "q", [pack_record(good)]), "zstd"),
    ]
    store.gate.set()
    assert done(waiting).accepted == 1
    receipts = [done(one) for one in together]
    assert [receipt.accepted for receipt in receipts] == [1, 1]
    ((index, said),) = receipts[0].rejected
    assert index == 0 and said.startswith("events: evidence by key beside evidence by row")
    for project in ("p", "q"):
        reader = store.project(project)
        found = reader.select("events").to_pylist()
        back = ShapeReader.of_table(reader.select("shapes"))
        assert [
            back.evidence(row["shape_id"], row["num"], row["str"]) for row in found if row["run_id"] == "good"
        ] == bystander


# --- evidence, by row and by key --------------------------------------------------------------------------

VALUES = (
    st.none()
    | st.booleans()
    | st.integers(2**53 - 2, 2**53 + 2)
    | st.integers(-(2**53) - 2, -(2**53) + 2)
    | st.sampled_from([0, 1, 7, 2**63 - 1, -(2**63), 2**64 - 1])
    | st.floats()
    | st.sampled_from([0.5, 2.0**53, 2.0**60, math.nan])
    | st.text("aü5", max_size=2)
)
SIMPLE = st.sampled_from([None, 7, 8, 2**53 + 1, 1.5, 2.5])  # few, so that what was learned is used again


def column_of(chunks: list[list[dict[str, Any]]], by_key: bool) -> list[Any]:
    """The evidence of chunks that come one after the other, as it comes back."""
    book, pipelines = ShapeBook(), PipelineMemory()
    shapes: list[dict[str, Any]] = []
    tables = []
    for first, rows in enumerate(chunks):
        told = {"wide": {key: [row[key] for row in rows] for key in rows[0]}} if by_key else {"b": rows}
        record = events(first * 100, len(rows), **told)
        check(record)
        built = build([Sent("p", "me", 1, [record])], book, pipelines)
        shapes += built.tables["shapes"].to_pylist() if "shapes" in built.tables else []
        tables.append(built.tables["events"])
    reader = ShapeReader((s["shape_id"], s["key"], s["class"], s["position"]) for s in shapes)
    return [row for table in tables for row in reader.column(table)]


def as_read(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def check_both_ways(chunks: list[list[dict[str, Any]]]) -> None:
    expected = [{key: as_read(value) for key, value in row.items()} for rows in chunks for row in rows]
    for by_key in (False, True):
        found = column_of(chunks, by_key)
        assert found == expected
        for one, other in zip(found, expected, strict=True):
            assert {key: type(v) is bool for key, v in one.items()} == {
                key: type(v) is bool for key, v in other.items()
            }


def test_an_exact_integer_beside_a_null_survives() -> None:
    check_both_ways([
        [{"seller": 7, "price": 1.5}],
        [{"seller": 2**53 + 1, "price": 2.5}, {"seller": 8, "price": None}],
    ])  # fmt: skip


@pytest.mark.parametrize("values", [VALUES, SIMPLE])
def test_evidence_is_the_same_by_row_and_by_key(values: st.SearchStrategy[Any]) -> None:
    @settings(max_examples=60)
    @given(
        st.lists(
            st.lists(st.fixed_dictionaries({"a": values, "b": values}), min_size=1, max_size=3), min_size=1, max_size=4
        )
    )
    def same(chunks: list[list[dict[str, Any]]]) -> None:
        check_both_ways(chunks)

    same()


def test_a_producer_with_very_many_points_in_its_name_costs_little(ingest: Ingest, store: Slow) -> None:
    done(ingest.submit(batch(1, events(0), producer=".1" * 20_000), "zstd"))
    done(ingest.submit(batch(1, events(1), producer="svc.blue"), "zstd"))
    done(ingest.submit(batch(1, events(2), producer="svc"), "zstd"))
    assert numbers(store) == [0, 1, 2]
    assert len(ingest._known._divided) <= 40
