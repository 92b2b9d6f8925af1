"""A reader that is stopped: in a query, between two, and never after them; and the store's version."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pytest

from dxray.server.ingest import Ingest
from dxray.server.posted import read
from dxray.server.reasoning.replay import History, replay
from dxray.server.store.base import Commit, Mark, Reader
from dxray.server.store.cancel import Cancel, Cancelled, check
from dxray.server.store.duckdb import DuckStore


@pytest.fixture
def store() -> Iterator[DuckStore]:
    opened = DuckStore()
    yield opened
    opened.close()


def record(store: DuckStore, run_id: str = "r", events: int = 1000) -> None:
    body = b'{"run_id": "%b", "pipeline": "p", "steps": [{"name": "s", "events": [%b]}]}' % (
        run_id.encode(),
        b",".join(b'{"item_id": "%d", "outcome": "accepted"}' % n for n in range(events)),
    )
    run = read(body)
    ingest = Ingest(store)
    ingest.post_run("p", run.records, run.request_hash).result(30)
    ingest.close()


def slow(reader: Reader, rows: int = 3_000_000) -> int:
    """Every event beside so many rows: seconds in one query."""
    beside = pa.table({"run_id": pa.repeat("r", rows), "x": np.arange(rows)})
    counted = reader.count_by("events", ["item_id", "x"], beside=beside)
    return counted.num_rows


def stopped(ask: Callable[[Reader], object], store: DuckStore, after: float) -> float:
    """How long the question went on after it was stopped. It must have been stopped, and not have failed otherwise."""
    cancel, ended = Cancel(), threading.Event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            with cancel.asking():
                ask(store.project("p", cancel))
        except BaseException as error:  # noqa: BLE001 - looked at below
            errors.append(error)
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert not ended.wait(after), "the question is over too soon to show anything"
    began = time.monotonic()
    while not ended.wait(0.02):
        cancel.set()
        assert time.monotonic() < began + 30
    thread.join()
    assert [type(error) for error in errors] == [Cancelled], errors
    return time.monotonic() - began


def test_a_query_is_stopped_and_the_store_goes_on(store: DuckStore) -> None:
    record(store)
    assert stopped(slow, store, after=0.7) < 3.0
    assert store.project("p").count_by("events", ())["n"].to_pylist() == [1000]
    record(store, "another", 3)
    assert store.project("p").count_by("runs", ())["n"].to_pylist() == [2]


def test_a_question_is_stopped_between_its_queries(store: DuckStore) -> None:
    def small(reader: Reader) -> None:
        while True:
            reader.select("runs", ["run_id"], limit=1)

    assert stopped(small, store, after=0.2) < 3.0


def test_a_question_is_stopped_while_it_works_things_out(store: DuckStore) -> None:
    def replays_for_ever(_: Reader) -> None:
        while True:
            replay(History("r", [], [], []), ())

    assert stopped(replays_for_ever, store, after=0.2) < 3.0
    check()  # nothing is asked in this thread


def test_what_is_stopped_does_not_begin(store: DuckStore) -> None:
    cancel = Cancel()
    reader = store.project("p", cancel)
    assert reader.count_by("runs", ())["n"].to_pylist() == [0]
    cancel.set()
    with pytest.raises(Cancelled):
        reader.count_by("runs", ())
    with pytest.raises(Cancelled):
        reader.select("runs")
    assert store.project("p").count_by("runs", ())["n"].to_pylist() == [0]


def test_an_interrupt_reaches_only_its_own_query() -> None:
    cancel, other, said = Cancel(), Cancel(), []
    with cancel.stopping(lambda: said.append("mine")):
        with other.stopping(lambda: said.append("other")):
            pass
        other.set()
        cancel.set()
    cancel.set()
    assert said == ["mine"]
    with pytest.raises(ValueError, match="its own"), Cancel().stopping(lambda: None):
        raise ValueError("its own")


def test_the_version_grows_with_every_change(store: DuckStore) -> None:
    seen = [store.version]

    def grew() -> bool:
        seen.append(store.version)
        return seen[-1] > seen[-2]

    assert not grew()
    record(store)
    assert grew()
    store.project("p").count_by("runs", ())
    assert not grew()
    now = int(time.time() * 1e6)
    store.insert(Commit({}, [Mark("p", "producer", (), now)]))  # the first heartbeat: a run may be abandoned no more
    assert grew()
    store.insert(Commit({}, [Mark("p", "producer", (), now + 1)]))
    assert not grew()
    store.delete("p", ["r"])
    assert grew()
