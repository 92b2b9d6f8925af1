"""A batch counts once, a bad record costs only itself, and an answer comes after the commit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import msgspec
import pytest

from dxray.server.errors import BadRequest, Busy, Conflict, StoreError, TooLarge
from dxray.server.ingest import Ingest, Receipt, batches
from dxray.server.ingest import threads as ingest_module
from dxray.server.store.base import Commit
from dxray.server.store.duckdb import DuckStore
from dxray.wire import codec
from dxray.wire.records import AnyRecord, Events, Run, Step
from dxray.wire.sequences import Sequences


class Slow(DuckStore):
    """A store whose commits wait for `gate`, and fail while `broken`."""

    gate: threading.Event
    broken: Any = None

    def insert(self, commit: Commit) -> None:
        self.gate.wait(30)
        if self.broken is not None and self.broken(commit):
            raise StoreError("disk full")
        super().insert(commit)


@pytest.fixture
def store() -> Iterator[Slow]:
    opened = Slow()
    opened.gate = threading.Event()
    opened.gate.set()
    yield opened
    opened.gate.set()
    opened.close()


@pytest.fixture
def ingest(store: Slow) -> Iterator[Ingest]:
    opened = Ingest(store)
    yield opened
    store.gate.set()
    opened.close()


def run(run_id: str = "r", **more: Any) -> Run:
    return Run(run_id=run_id, version=1, pipeline="q", **{"status": "completed", **more})


def events(n: int = 3, run_id: str = "r", evidence: Any = None) -> Events:
    b = [evidence] * n if evidence else None
    return Events(run_id=run_id, step_id="s", first=0, at=1, ops=bytes([1]) * n, ids=[str(i) for i in range(n)], b=b)


def body(seq: int, *records: AnyRecord, producer: str = "me", raw: tuple[bytes, ...] = ()) -> bytes:
    return codec.pack_batch(producer, seq, "p", [*(codec.pack_record(r) for r in records), *raw])


def count(store: DuckStore, source: str) -> int:
    found: int = store.project("p").count_by(source, ())["n"][0].as_py()
    return found


def done(future: Future[Any]) -> Any:
    return future.result(30)


def test_what_is_answered_is_there(ingest: Ingest, store: Slow) -> None:
    assert done(ingest.submit(body(1, run(), events()), "zstd")) == Receipt(2)
    assert (count(store, "runs"), count(store, "events")) == (1, 3)
    assert ingest.counters.as_dict()["commits"] == 1


def test_a_batch_counts_once(ingest: Ingest, store: Slow) -> None:
    store.gate.clear()
    futures = [ingest.submit(body(1, events()), "zstd") for _ in range(4)]
    assert not any(future.done() for future in futures)
    store.gate.set()
    receipts = [done(future) for future in futures]
    assert [r.duplicate for r in receipts] == [False, True, True, True]
    assert done(ingest.submit(body(1, events()), "zstd")).duplicate
    assert count(store, "events") == 3
    again = Ingest(store)  # as after a restart: what was seen is in the store
    assert done(again.submit(body(1, events()), "zstd")).duplicate
    assert not done(again.submit(body(2, events()), "zstd")).duplicate
    assert not done(again.submit(body(1, events(), producer="you"), "zstd")).duplicate
    again.close()
    assert count(store, "events") == 9


def test_a_batch_that_was_not_committed_is_not_remembered(ingest: Ingest, store: Slow) -> None:
    store.broken = lambda _: True
    with pytest.raises(StoreError, match="disk full"):
        done(ingest.submit(body(1, run(), events(evidence={"k": 1})), "zstd"))
    store.broken = None
    assert done(ingest.submit(body(1, run(), events(evidence={"k": 1})), "zstd")) == Receipt(2)
    assert count(store, "events") == 3
    assert count(store, "shapes") == 1


def test_one_bad_batch_does_not_fail_the_others(ingest: Ingest, store: Slow) -> None:
    store.gate.clear()
    first = ingest.submit(body(1, run("r1")), "zstd")
    store.broken = lambda commit: "bad" in commit.tables["runs"]["run_id"].to_pylist()
    futures = [ingest.submit(body(i, run(name)), "zstd") for i, name in enumerate(("r2", "bad", "r3"), 2)]
    store.gate.set()
    done(first)
    done(futures[0])
    done(futures[2])
    with pytest.raises(StoreError):
        done(futures[1])
    assert count(store, "runs") == 3
    assert not done(ingest.submit(body(2, run("r2")), "zstd")).accepted


def test_a_bad_record_costs_only_itself(ingest: Ingest, store: Slow) -> None:
    newer = msgspec.msgpack.encode({"t": "hologram", "run_id": "r"})
    torn = Events(run_id="r", step_id="s", first=0, at=1, ops=b"\x01\x01", ids=["a"])
    receipt = done(ingest.submit(body(1, run(), torn, events(), raw=(newer,)), "zstd"))
    assert receipt.accepted == 2
    assert [index for index, _ in receipt.rejected] == [1, 3]
    assert "ids has 1 rows" in receipt.rejected[0][1]
    assert "hologram" in receipt.rejected[1][1]
    assert count(store, "events") == 3
    assert done(ingest.submit(body(1, run(), torn), "zstd")).duplicate


def test_unknown_fields_are_ignored(ingest: Ingest, store: Slow) -> None:
    made = msgspec.msgpack.encode(
        {"t": "run", "run_id": "r", "version": 1, "pipeline": "q", "status": "running", "later": 1}
    )
    assert done(ingest.submit(body(1, raw=(made,)), "zstd")) == Receipt(1)
    assert count(store, "runs") == 1


def test_a_heartbeat_keeps_runs_alive(ingest: Ingest, store: Slow) -> None:
    done(ingest.submit(body(1, run(status="running")), "zstd"))
    before = store.marks()[0]
    assert done(ingest.submit(body(9), "zstd")) == Receipt(0)
    after = store.marks()[0]
    assert after.seen_at > before.seen_at
    assert after.ranges == before.ranges == ((1, 1),)


@pytest.mark.parametrize(
    ("data", "encoding", "error"),
    [
        (b"nonsense", "zstd", BadRequest),
        (b"nonsense", "identity", BadRequest),
        (b"nonsense", "br", BadRequest),
        (body(1)[:-3], "zstd", BadRequest),
        (msgspec.msgpack.encode({"v": 99, "producer": "x", "seq": 1}), "identity", BadRequest),
        (msgspec.msgpack.encode({"v": 1, "producer": "x", "seq": -1}), "identity", BadRequest),
        (b"\0" * (codec.MAX_INFLATED + 1), "identity", TooLarge),
    ],
)
def test_what_is_no_batch_is_refused(ingest: Ingest, data: bytes, encoding: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        done(ingest.submit(data, encoding))


def test_too_much_at_once_is_refused_and_told_when_to_come_back(store: Slow) -> None:
    ingest = Ingest(store, waiting_bytes=200)
    store.gate.clear()
    first = ingest.submit(body(1, events()), "zstd")
    big = body(2, events(200))
    assert len(big) > 200
    with pytest.raises(Busy) as raised:
        ingest.submit(big, "zstd")
    assert raised.value.retry_after > 0
    assert ingest.counters.refused == 1
    store.gate.set()
    done(first)
    ingest.close()
    with pytest.raises(Busy):
        ingest.submit(body(10), "zstd")


def test_closing_commits_what_waits(store: Slow) -> None:
    ingest = Ingest(store)
    futures = [ingest.submit(body(i, events()), "zstd") for i in range(5)]
    ingest.close()
    assert all(done(future).accepted for future in futures)
    assert count(store, "events") == 15


def test_batches_that_wait_together_are_committed_together(ingest: Ingest, store: Slow) -> None:
    store.gate.clear()
    futures = [ingest.submit(body(i, events(run_id=f"r{i}")), "zstd") for i in range(20)]
    store.gate.set()
    for future in futures:
        done(future)
    assert ingest.counters.commits <= 4
    assert count(store, "events") == 60


def test_parts_of_a_batch_are_one_commit(ingest: Ingest, store: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_module, "PART_ROWS", 2)
    done(ingest.submit(body(1, run(), *(events(5, f"r{i}", {"k": i}) for i in range(4))), "zstd"))
    assert ingest.counters.commits == 1
    assert count(store, "events") == 20
    assert count(store, "shapes") == 1


def test_a_record_that_cannot_become_a_row_costs_only_itself(
    ingest: Ingest, store: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = batches.build

    def build(sent: Any, *more: Any) -> Any:
        sent = list(sent)
        if any(record.run_id == "bad" for one in sent for record in one.records):
            raise RuntimeError("a bug")
        return made(sent, *more)

    monkeypatch.setattr(batches, "build", build)
    store.gate.clear()
    futures = [ingest.submit(body(i, run(name)), "zstd") for i, name in enumerate(("r1", "r2", "bad", "r3"))]
    mixed = ingest.submit(body(7, run("r4"), events(run_id="bad"), events(run_id="r4")), "zstd")
    store.gate.set()
    for i in (0, 1, 3):
        assert done(futures[i]) == Receipt(1)
    assert done(futures[2]) == Receipt(0, [(0, "a bug")])
    assert done(mixed) == Receipt(2, [(1, "a bug")])
    assert (count(store, "runs"), count(store, "events")) == (4, 3)
    assert done(ingest.submit(body(7, run("r4")), "zstd")).duplicate
    with pytest.raises(StoreError, match="a bug"):
        done(ingest.post_run("p", [run("bad")], "h"))


def test_a_whole_run_is_made_once(ingest: Ingest, store: Slow) -> None:
    step = Step(run_id="r", step_id="s", version=1, name="n", position=0)
    store.gate.clear()
    futures = [ingest.post_run("p", [run(), step, events()], "h") for _ in range(5)]
    other = ingest.post_run("p", [run(environment="other")], "other")
    with pytest.raises(Conflict):
        done(other)
    store.gate.set()
    assert sorted(done(future) for future in futures) == [False] * 4 + [True]
    assert done(ingest.post_run("p", [run()], "h")) is False
    with pytest.raises(Conflict, match="'r'"):
        done(ingest.post_run("p", [run()], "other"))
    assert (count(store, "runs"), count(store, "events")) == (1, 3)
    assert done(ingest.post_run("elsewhere", [run()], "other")) is True


def test_a_run_the_sdk_recorded_is_not_replaced(ingest: Ingest) -> None:
    done(ingest.submit(body(1, run()), "zstd"))
    with pytest.raises(Conflict):
        done(ingest.post_run("p", [run()], "h"))


def test_a_post_that_failed_can_be_made_again(ingest: Ingest, store: Slow) -> None:
    store.broken = lambda _: True
    with pytest.raises(StoreError):
        done(ingest.post_run("p", [run()], "h"))
    store.broken = None
    assert done(ingest.post_run("p", [run()], "h")) is True


def test_100_000_keys_leave_the_server_answering(ingest: Ingest, store: Slow) -> None:
    """Keys come from users: past the limit of shapes evidence is kept, as text."""
    keys = 100_000
    wild = [
        Events(
            run_id="r", step_id="s", first=i, at=1, ops=bytes([1]) * 500, ids=[str(i + j) for j in range(500)],
            b=[{f"key_{i + j}": j} for j in range(500)],
        )
        for i in range(0, keys, 500)
    ]  # fmt: skip
    done(ingest.submit(body(1, run(), *wild), "zstd"))
    assert count(store, "events") == keys
    assert len(store.shapes()) <= 4_096
    last = store.project("p").select("events", ["evidence_text", "marks"], order=["-event_no"], limit=1).to_pylist()
    assert last == [{"evidence_text": '{"key_99999":499}', "marks": '["evidence: kept as text, not queryable by key"]'}]


def test_sequences() -> None:
    seen = Sequences([("p", "me", ((1, 3), (7, 7)))])
    assert [seq for seq in range(9) if seen.has("p", "me", seq)] == [1, 2, 3, 7]
    seen.add(("p", "me"), [5, 4, 8])
    assert seen.with_(("p", "me"), [6]) == ((1, 8),)
    assert not seen.has("p", "me", 6)
    assert not seen.has("p", "you", 1)


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\xa1x" + b"\x91" * 1500 + b"\xc0",
        msgspec.msgpack.encode({"v": 1, "seq": 1, "producer": "aa"}).replace(b"aa", b"\xff\xff"),
    ],
    ids=["deep", "no UTF-8"],
)
def test_odd_bytes_are_refused_and_the_next_batch_is_stored(ingest: Ingest, store: Slow, data: bytes) -> None:
    with pytest.raises(BadRequest):
        done(ingest.submit(data, "identity"))
    assert done(ingest.submit(body(1, run()), "zstd")) == Receipt(1)


def test_a_thread_that_dies_leaves_nobody_waiting(store: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: Any) -> None:
        raise SystemExit

    for work in ("_decode_into", "_commit_group"):
        with monkeypatch.context() as patched:
            patched.setattr(Ingest, work, dies)
            ingest = Ingest(store)
            with pytest.raises(StoreError, match="restart"):
                done(ingest.submit(body(1, run()), "zstd"))
            assert not ingest.is_alive
            with pytest.raises(StoreError, match="restart"):
                ingest.submit(body(2, run()), "zstd")
            ingest.close()
