"""Bounds on batches, on memory and on time, and that every event arrives or is counted where one of them is reached."""

from __future__ import annotations

import logging
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dxray import XRay
from dxray.sdk import channel as channels
from dxray.sdk import chunk, wide
from dxray.sdk.channel import Channel
from dxray.sdk.contents import OWN_LIMIT
from dxray.sdk.deliver import Delivery
from dxray.sdk.memory import PENDING_BYTES, Pending
from dxray.sdk.offline import sync_spool
from dxray.sdk.spool import Frame
from dxray.sdk.transport import Answer, Fate, Transport
from dxray.wire.codec import MAX_INFLATED, inflate, pack_batch, unpack_batch, unpack_record
from dxray.wire.ids import uuid7_hex
from dxray.wire.records import AnyRecord, Batch, Decision, Events, Loss, Run, Step

TOO_LARGE = Answer(Fate.TOO_LARGE, "HTTP 413")
BUSY = Answer(Fate.RETRY, "HTTP 503")


class Taker:
    """In place of the way to a server: takes what a server takes, each batch once. `before` may answer otherwise."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:9/{uuid7_hex()}"  # of its own: what other tests left tries to go on
        self.before: Callable[[Batch], Answer | None] = lambda batch: None
        self.sizes: list[int] = []  # of posted batches, inflated
        self.records: list[AnyRecord] = []
        self.posted = threading.Event()
        self._committed: dict[tuple[str, int], Batch] = {}

    def post(self, data: bytes) -> Answer:
        whole = inflate(data, "zstd", OWN_LIMIT)
        self.sizes.append(len(whole))
        self.posted.set()
        batch = unpack_batch(whole)
        answer = self.before(batch)
        if answer is None:
            answer = TOO_LARGE if len(whole) > MAX_INFLATED else Answer(Fate.COMMITTED)
        if answer.fate is Fate.COMMITTED and self._committed.setdefault((batch.producer, batch.seq), batch) is batch:
            self.records += [unpack_record(raw) for raw in batch.records]
        return answer

    @property
    def chunks(self) -> list[Events]:
        return sorted((r for r in self.records if isinstance(r, Events)), key=lambda one: (one.step_id, one.first))

    @property
    def ids(self) -> list[Any]:
        return [item for one in self.chunks for item in wide.listed(one.ids)]

    @property
    def marks(self) -> dict[int, list[str]]:
        return {one.first + row: marks for one in self.chunks for row, marks in one.marks.items()}

    def evidence(self, key: str) -> list[Any]:
        found: list[Any] = []
        for one in self.chunks:
            by_key = (one.wide or {}).get(key)
            found += wide.listed(by_key) if by_key is not None else [(row or {}).get(key) for row in one.b or ()]
        return found


@pytest.fixture
def taker(monkeypatch: pytest.MonkeyPatch) -> Taker:
    made = Taker()

    def post(transport: Any, data: bytes) -> Answer:
        return made.post(data) if transport._url.startswith(made.url) else Answer(Fate.RETRY, "elsewhere")

    monkeypatch.setattr(Transport, "post", post)
    return made


Make = Callable[..., XRay]


@pytest.fixture
def make(taker: Taker, tmp_path: Path) -> Iterator[Make]:
    before = set(channels._channels)

    def one(**more: Any) -> XRay:
        return XRay("p", **{"api_url": taker.url, "spool_dir": str(tmp_path), "capture": "full", **more})

    yield one
    for key in [key for key in channels._channels if key not in before]:
        channels._channels.pop(key).close(0.1)


@pytest.fixture
def no_flusher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test asks for is collected."""
    monkeypatch.setattr(Channel, "_start", lambda _: None)


def channel_of(xray: XRay) -> Channel:
    assert xray._channel is not None
    return xray._channel


# --- what is large ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "row", "size"), [(512, 0, 400_000), (100, 50, 5_000_000)])
def test_one_long_text_is_cut_and_costs_no_verdict(
    make: Make, taker: Taker, no_flusher: None, n: int, row: int, size: int
) -> None:
    xray = make()
    with xray.run() as run:
        with run.step("before") as step:  # something waits already
            step.accept_many(range(1_000))
        with run.step("f") as step:
            for number in range(n):
                step.reject(1_000 + number, "r", {"page": "z" * size} if number == row else {"page": "short"})
    assert xray.flush(10)
    assert channel_of(xray).losses == {"truncated": 1}
    assert taker.ids == list(range(1_000 + n))
    assert taker.marks == {row: ["page: cut at 65536 characters"]}
    assert [len(text) for text in taker.evidence("page")] == [5] * row + [65_536] + [5] * (n - row - 1)


def test_long_texts_in_bulk_find_room_as_they_come(make: Make, taker: Taker) -> None:
    xray = make()
    n = 16_384
    with xray.run() as run, run.step("f") as step:
        for start in (0, n):
            step.reject_many(list(range(start, start + n)), "r", {"text": ["z" * 4_200] * n})  # 69 MB
    assert xray.flush(20)
    assert channel_of(xray).losses == {}
    assert taker.ids == list(range(2 * n))


def test_a_chunk_of_large_rows_becomes_batches_that_a_server_takes(make: Make, taker: Taker) -> None:
    xray = make()
    with xray.run() as run, run.step("f") as step:
        for number in range(512):
            step.reject(number, "r", {"page": "z" * 40_000})
    assert xray.flush(10)
    assert channel_of(xray).losses == {}
    assert taker.ids == list(range(512))
    assert {len(text) for text in taker.evidence("page")} == {40_000}
    assert max(taker.sizes) <= MAX_INFLATED / 2, "none comes near, so that none is sent in vain"


@pytest.mark.parametrize("column", [list, tuple, pa.array, lambda values: np.array(values, dtype=object)])
def test_a_bulk_value_that_no_batch_can_hold_costs_nobody_else(make: Make, taker: Taker, column: Any) -> None:
    xray = make()
    with xray.run() as run, run.step("f") as step:
        for number in range(50):
            step.reject(number, "r", {"k": number})
        step.reject_many([50, 51], "r", {"text": column(["z" * 20_000_000, "short"])})
    xray.flush(10)
    assert channel_of(xray).losses == {"truncated": 1}
    assert taker.ids == list(range(52))
    assert taker.marks == {50: ["text: cut at 65536 characters"]}


def test_a_batch_that_is_too_large_all_the_same_is_divided(
    make: Make, taker: Taker, monkeypatch: pytest.MonkeyPatch, no_flusher: None
) -> None:
    monkeypatch.setattr(channels, "BATCH_BYTES", 10**9)
    xray = make()
    with xray.run() as run, run.step("f") as step:
        for number in range(512):
            step.reject(number, "r", {"page": "z" * 40_000})
    assert xray.flush(10)
    assert max(taker.sizes) > MAX_INFLATED
    assert channel_of(xray).losses == {}
    assert taker.ids == list(range(512))


# --- collecting, while others record ----------------------------------------------------------------------


def test_collecting_ends_although_as_much_comes_as_is_packed(
    make: Make, taker: Taker, monkeypatch: pytest.MonkeyPatch, no_flusher: None
) -> None:
    xray = make()
    most = 40
    calls: list[int] = []
    monkeypatch.setattr(channels, "BATCH_BYTES", 20_000)
    with xray.run() as run, run.step("f") as step:

        def meanwhile(*arguments: Any) -> bytes:
            calls.append(1)
            if len(calls) < most:
                step.reject_many(np.arange(10_000), "r")
            return pack_batch(*arguments)

        monkeypatch.setattr(channels, "pack_batch", meanwhile)
        step.reject_many(np.arange(10_000), "r")
        channel_of(xray).collect()
    assert len(calls) < 10


def test_an_answer_is_taken_while_somebody_collects(make: Make, taker: Taker) -> None:
    xray = make()
    channel = channel_of(xray)
    with channel._collecting:
        with xray.run() as run, run.step("f") as step:
            step.accept("a")
        channel.collect()
        assert channel._shipper.wait(5)
    assert taker.ids == ["a"]


def test_batches_are_settled_and_a_flush_ends_while_another_thread_records(make: Make, taker: Taker) -> None:
    xray = make()
    channel = channel_of(xray)
    settled, stop, settle = threading.Semaphore(0), threading.Event(), channel._shipper._settled
    ids, values = np.arange(16_384), np.random.default_rng(1).random(16_384)

    def counted(frame: Frame, delivery: Delivery) -> None:
        settle(frame, delivery)
        settled.release()

    def work() -> None:
        with xray.run() as run, run.step("f") as step:
            while not stop.is_set():
                step.reject_many(ids, "r", {"a": values})

    def ends(what: Callable[[], Any]) -> bool:
        thread = threading.Thread(target=what, daemon=True)
        thread.start()
        thread.join(4)
        return not thread.is_alive()

    channel._shipper._settled = counted
    records = threading.Thread(target=work)
    records.start()
    try:
        for what in (channel.collect, lambda: xray.flush(0.3)):
            assert all(settled.acquire(timeout=5) for _ in range(5))
            assert ends(what)
    finally:
        stop.set()
        records.join(10)
    assert not records.is_alive()


# --- the end of the process -------------------------------------------------------------------------------


def slow(monkeypatch: pytest.MonkeyPatch, entered: threading.Event | None = None) -> None:
    """Encoding takes 20 ms a chunk, as it does for rows that have to be mended one by one."""
    original = chunk.records

    def records(event: Events) -> list[tuple[bytes, int]]:
        if entered is not None:
            entered.set()
        time.sleep(0.02)
        return original(event)

    monkeypatch.setattr("dxray.sdk.ledger.records", records)


@pytest.mark.parametrize("with_flusher", [False, True])
def test_what_cannot_be_encoded_before_the_end_is_counted(
    make: Make, taker: Taker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any, with_flusher: bool
) -> None:
    entered, n = threading.Event(), 512 * 150
    slow(monkeypatch, entered)
    if not with_flusher:
        monkeypatch.setattr(Channel, "_start", lambda _: None)
    taker.before = lambda batch: BUSY
    xray = make()
    channel = channel_of(xray)
    with channel._collecting, xray.run() as run, run.step("f") as step:
        for number in range(n):
            step.accept(number)
    assert not with_flusher or entered.wait(5), "the flusher is at work when the end comes"
    start = time.monotonic()
    with caplog.at_level(logging.WARNING, "dxray"):
        channel.close(0.4)
    assert time.monotonic() - start < 1.0
    lost = channel.losses["memory_at_exit"]
    assert lost > 0
    assert any(f"lost {channel._lost.events()} events" in message for message in caplog.messages)
    if channel._thread is not None:
        channel._thread.join(10)
    taker.before = lambda batch: None
    sync_spool(tmp_path, taker.url)
    assert len(taker.ids) == len(set(taker.ids))
    missing = n - len(taker.ids)
    assert missing <= lost <= missing + 3, "the last versions of the step and of the run count as one each"


# --- memory -----------------------------------------------------------------------------------------------


def test_rows_are_counted_as_about_what_they_take(make: Make, no_flusher: None) -> None:
    xray = make()
    pending = channel_of(xray)._pending
    keys = [f"k{number}" for number in range(50)]
    with xray.run() as run, run.step("f") as step:
        tracemalloc.start()
        try:
            for row in range(512 * 8):
                step.reject(row, "r", {key: row + 0.5 + place for place, key in enumerate(keys)})
            took = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert took / 2 <= pending.bytes <= took * 2


def test_short_runs_do_not_pile_up_while_nobody_collects(make: Make, taker: Taker) -> None:
    xray = make()
    channel = channel_of(xray)
    most = 0
    with channel._collecting:
        for number in range(5_000):  # ten thousand that end
            with xray.run() as run, run.step("f") as step:
                step.accept(number)
            most = max(most, len(channel._ended))
    assert most <= 4_097
    assert xray.flush(20)
    assert channel.losses == {}
    assert sorted(taker.ids) == list(range(5_000))
    assert sum(isinstance(record, Run) and record.status == "completed" for record in taker.records) == 5_000


def test_a_record_without_events_that_finds_no_room_counts(
    make: Make, taker: Taker, monkeypatch: pytest.MonkeyPatch, no_flusher: None
) -> None:
    monkeypatch.setattr(channels, "MOST_ENDED", 0)  # the caller finishes what it ends
    xray = make()
    channel = channel_of(xray)
    with xray.run() as run:
        channel._pending.bytes += PENDING_BYTES  # as if others kept it full
        channel._pending.put(Pending(b"", 0, run.run_id))
        with run.step("f") as step:
            step.decide("d", selected="a")
        channel._pending.bytes -= PENDING_BYTES
        channel._pending.clear()
    assert channel.losses == {"queue_full": 3}, "an event, a decision and a step"
    xray.flush(5)
    assert not any(isinstance(record, Step | Decision) for record in taker.records)


def test_what_is_turned_up_by_the_flusher_is_never_refused(make: Make, taker: Taker, no_flusher: None) -> None:
    xray = make()
    channel = channel_of(xray)
    with xray.run() as run, run.step("f") as step:
        step.decide("d", selected="a")
    channel._pending.bytes += PENDING_BYTES  # as if others kept it full
    channel.collect()
    channel._pending.bytes -= PENDING_BYTES
    assert xray.flush(5)
    assert (channel.losses, channel._pending.bytes) == ({}, 0)
    assert {Decision, Step, Run, Events} <= set(map(type, taker.records))


# --- somebody interrupts ----------------------------------------------------------------------------------


def interrupting(original: Any, at: int, after: bool) -> Any:
    """An encoder that is interrupted once, before its work or after it."""
    calls: list[int] = []

    def records(event: Events) -> list[tuple[bytes, int]]:
        calls.append(1)
        if len(calls) == at and not after:
            raise KeyboardInterrupt
        made: list[tuple[bytes, int]] = original(event)
        if len(calls) == at:
            raise KeyboardInterrupt
        return made

    return records


EVIDENCE: list[Callable[[int], Any]] = [
    lambda number: None,
    lambda number: {"n": number},
    lambda number: {"n": number} if number % 2 else {"m": 1, "n": number},
    lambda number: {"n": number, "text": "x" * (70_000 if number % 600 == 0 else 1)},
]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("evidence", EVIDENCE)
def test_an_interrupted_flush_loses_nothing(
    make: Make, taker: Taker, monkeypatch: pytest.MonkeyPatch, no_flusher: None, evidence: Any, after: bool
) -> None:
    monkeypatch.setattr("dxray.sdk.ledger.records", interrupting(chunk.records, 4, after))
    xray = make()
    channel, n = channel_of(xray), 512 * 6
    with xray.run() as run, run.step("f") as step:
        for number in range(n):
            step.accept(number, "fine", evidence(number))
    with pytest.raises(KeyboardInterrupt):
        xray.flush(5)
    assert xray.flush(5)
    assert taker.ids == list(range(n))
    facts = [evidence(number) or {} for number in range(n)]
    assert [e for e in taker.evidence("n") if e is not None] == [one["n"] for one in facts if "n" in one]
    cut = {n: ["text: cut at 65536 characters"] for n, one in enumerate(facts) if len(one.get("text", "")) > 65_536}
    assert taker.marks == cut
    assert channel.losses == ({"truncated": len(cut)} if cut else {})
    assert channel._pending.bytes == 0


@pytest.mark.parametrize("after", [False, True])
def test_an_interrupted_flush_loses_nothing_in_bulk(
    make: Make, taker: Taker, monkeypatch: pytest.MonkeyPatch, no_flusher: None, after: bool
) -> None:
    monkeypatch.setattr(wide, "records", interrupting(wide.records, 2, after))
    xray = make()
    with xray.run() as run, run.step("f") as step:
        for start in range(0, 300, 100):
            texts = ["x" * (70_000 if number % 50 == 0 else 1) for number in range(100)]
            step.reject_many(list(range(start, start + 100)), "r", {"text": texts, "list": [[1]] * 100})
    with pytest.raises(KeyboardInterrupt):
        xray.flush(5)
    assert xray.flush(5)
    assert taker.ids == list(range(300))
    assert sorted(taker.marks) == list(range(0, 300, 50))
    assert {len(marks) for marks in taker.marks.values()} == {1}
    assert channel_of(xray).losses == {"truncated": 6}
    assert channel_of(xray)._pending.bytes == 0


@pytest.mark.parametrize("rows_before", [0, 1])
def test_a_handler_that_records_in_bulk_does_not_wait_for_what_it_interrupted(
    make: Make, taker: Taker, monkeypatch: pytest.MonkeyPatch, no_flusher: None, rows_before: int
) -> None:
    for module in ("ledger", "wide"):
        monkeypatch.setattr(f"dxray.sdk.{module}.HANDLER_S", 0.1)
    xray = make()
    with xray.run() as run, run.step("f") as step:
        for number in range(rows_before):
            step.accept(number)
        handler = threading.Thread(target=lambda: step.reject_many([7, 8, 9], "r"), daemon=True)
        with step._lock:  # type: ignore[union-attr]
            handler.start()
            handler.join(5)
            assert not handler.is_alive()
    assert channel_of(xray).losses == {"not_recorded": 3}
    xray.flush(5)
    assert taker.ids == list(range(rows_before))


# --- a server that takes some of it -----------------------------------------------------------------------


def test_of_a_divided_batch_only_what_did_not_arrive_is_lost(make: Make, taker: Taker, no_flusher: None) -> None:
    def answer(batch: Batch) -> Answer | None:
        if "." not in batch.producer:
            return TOO_LARGE
        return BUSY if batch.seq == 2 else None

    xray = make(offline_mode="drop")
    with xray.run() as run:
        for number in range(8):
            with run.step(f"s{number}") as step:
                step.accept(number)
    taker.before = answer
    assert not xray.flush(5)
    there = len(taker.ids)
    assert 0 < there < 8
    assert channel_of(xray).losses == {"server_away": 8 - there}


def test_a_wait_that_a_server_asks_for_is_not_cut_short_by_another_failure(make: Make, no_flusher: None) -> None:
    shipper = channel_of(make())._shipper
    start = time.monotonic()
    shipper._later(Frame(1, 10), Delivery([], Fate.RETRY, "HTTP 503", 60.0))
    asked = shipper._not_before
    assert asked - start >= 60
    shipper._later(Frame(2, 10), Delivery([], Fate.RETRY, "NewConnectionError"))
    assert shipper._not_before >= asked
    assert shipper._failures == 1, "it was under way when the other failed"


def test_what_a_sync_found_lost_is_told_when_the_server_is_back(make: Make, taker: Taker, tmp_path: Path) -> None:
    taker.before = lambda batch: BUSY
    xray = make()
    with xray.run() as run, run.step("f") as step:
        step.accept("a")
    channel_of(xray).close(0.2)
    (segment,) = tmp_path.rglob("*.seg")
    segment.write_bytes(segment.read_bytes()[:-3])
    assert sync_spool(tmp_path, taker.url)["quarantined"] == {"damaged": 1}
    taker.before = lambda batch: None
    sync_spool(tmp_path, taker.url)
    assert [one.cause for one in taker.records if isinstance(one, Loss)] == ["damaged"]
