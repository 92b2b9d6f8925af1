"""A commit that fails is as if it had never been: what it brought comes again, and is stored whole."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dxray.server.errors import StoreError
from dxray.server.filters import Clause
from dxray.server.ingest import Ingest
from dxray.server.store import duck_commit
from dxray.server.store.base import Commit
from dxray.server.store.duckdb import DuckStore
from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.evidence import ShapeReader
from dxray.wire.records import Decision, Events, Loss, Op, Rule, Run, Step

EVIDENCE = {"price": 5, "title": "case"}


def batch(seq: int, run_id: str) -> bytes:
    rule = Rule("price", "<=", "100", "dear", 2, 0, 0)
    records = (
        Run(run_id=run_id, version=1, pipeline="q", status="completed", started_at=1),
        Step(run_id=run_id, step_id="s", version=1, name="n", position=0, ended_at=2, events=2, rules=[rule]),
        Events(
            run_id=run_id, step_id="s", first=0, at=1, ops=bytes([Op.ACCEPTED] * 2), ids=["a", "b"], b=[EVIDENCE] * 2
        ),
        Decision(run_id=run_id, step_id="s", number=0, decision="d", selected=["a"], at=1),
        Loss(run_id=run_id, cause="truncated", n=1),
    )
    return pack_batch("me", seq, "p", map(pack_record, records))


def rows(store: DuckStore) -> dict[str, int]:
    return {name: n for name, n in store.stats().items() if n and name != "bytes"}


def check_whole(store: DuckStore, runs: int) -> None:
    per_run = {"runs": 1, "steps": 1, "events": 2, "decisions": 1, "rules": 1, "losses": 1, "tallies": 1}
    assert rows(store) == {name: n * runs for name, n in per_run.items()} | {"shapes": 2}
    reader = store.project("p")
    evidence = ShapeReader.of_table(reader.select("shapes")).column(reader.select("events"))
    assert evidence == [EVIDENCE] * 2 * runs
    assert reader.count_by("events", (), [Clause("evidence.price", "==", 5)])["n"].to_pylist() == [2 * runs]
    assert reader.select("steps", ["accepted"])["accepted"].to_pylist() == [2] * runs
    assert [mark.ranges for mark in store.marks()] == [((1, runs),)]


@pytest.mark.parametrize("where", ["write", "_put_marks"])
def test_the_same_batch_again_is_stored_whole(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DuckStore()
    ingest = Ingest(store)
    original = getattr(duck_commit, where)

    def then_fails(*arguments: Any) -> None:
        original(*arguments)
        raise duckdb.IOException("No space left on device")

    try:
        with monkeypatch.context() as patch:
            patch.setattr(duck_commit, where, then_fails)
            with pytest.raises(StoreError, match="No space"):
                ingest.submit(batch(1, "r1"), "zstd").result(30)
        assert (rows(store), store.marks()) == ({}, [])
        receipt = ingest.submit(batch(1, "r1"), "zstd").result(30)
        assert (receipt.accepted, receipt.duplicate) == (5, False)
        check_whole(store, 1)
        assert ingest.submit(batch(1, "r1"), "zstd").result(30).duplicate
    finally:
        ingest.close()
        store.close()


def test_batches_that_failed_together_are_stored_one_by_one() -> None:
    class Once(DuckStore):
        gate, entered = threading.Event(), threading.Event()
        failed = 0

        def insert(self, commit: Commit) -> None:
            self.entered.set()
            assert self.gate.wait(30)
            if len(commit.tables["runs"]) > 1:
                self.failed += 1
                raise StoreError("disk full")
            super().insert(commit)

    store = Once()
    ingest = Ingest(store)
    try:
        alone = ingest.submit(batch(1, "r1"), "zstd")
        assert store.entered.wait(30)
        together = [ingest.submit(batch(seq, f"r{seq}"), "zstd") for seq in range(2, 21)]  # more than groups can wait
        store.gate.set()
        assert [one.result(30).accepted for one in (alone, *together)] == [5] * 20
        assert ingest.submit(batch(21, "r21"), "zstd").result(30).accepted == 5
        assert store.failed >= 1
        check_whole(store, 21)
    finally:
        store.gate.set()
        ingest.close()
        store.close()


@contextmanager
def no_file_grows_past(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_cannot_grow(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    store = DuckStore(path)
    ingest = Ingest(store)
    try:
        with no_file_grows_past(4_096):  # of the log, that is; the file itself is larger already
            for _ in range(2):
                with pytest.raises(StoreError, match="commit"):
                    ingest.submit(batch(1, "r1"), "zstd").result(30)
            assert rows(store) == {}
        assert ingest.submit(batch(1, "r1"), "zstd").result(30).accepted == 5
        check_whole(store, 1)
    finally:
        ingest.close()
        store.close()
    store = DuckStore(path)
    check_whole(store, 1)
    store.close()
