"""Losses of a run add up, go with the run, and count once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dxray.server.filters import Clause
from dxray.server.ingest import Ingest
from dxray.server.questions.steps import steps
from dxray.server.reasoning.losses import losses_of
from dxray.server.store.base import Commit
from dxray.server.store.duckdb import DuckStore
from dxray.wire.codec import pack_batch, pack_record
from dxray.wire.columns import PipelineMemory, Sent, build
from dxray.wire.evidence import ShapeBook
from dxray.wire.records import AnyRecord, Events, Loss, Op, Run, Step


@pytest.fixture
def store() -> Iterator[DuckStore]:
    opened = DuckStore()
    yield opened
    opened.close()


def put(store: DuckStore, *records: AnyRecord, project: str = "p", at: int = 7) -> None:
    store.insert(Commit(build([Sent(project, "me", at, records)], ShapeBook(), PipelineMemory()).tables))


def loss(cause: str, n: int, run_id: str = "r", step_id: str | None = None) -> Loss:
    return Loss(run_id=run_id, cause=cause, n=n, step_id=step_id)


def step(step_id: str, run_id: str, events: int = 2, **more: Any) -> Step:
    position = int(step_id[1:])
    return Step(
        run_id=run_id, step_id=step_id, version=1, name="n", position=position, ended_at=9, events=events, **more
    )


def events(step_id: str, run_id: str) -> Events:
    return Events(run_id=run_id, step_id=step_id, first=0, at=1, ops=bytes([Op.ACCEPTED] * 2), ids=["a", "b"])


def test_losses_add_up_by_run_step_and_cause(store: DuckStore) -> None:
    put(store, loss("queue_full", 3, step_id="s1"), loss("queue_full", 2), loss("redacted", 9, step_id="s2"))
    put(store, loss("queue_full", 4, step_id="s1"), loss("spool_full", 1, step_id="s1"), loss("refused", 8, "other"))
    found = losses_of(store.project("p"), ["r", "nothing"])
    assert found.keys() == {"r"}
    assert found["r"].run == {"queue_full": 9, "redacted": 9, "spool_full": 1}
    assert found["r"].at("s1") == {"queue_full": 7, "spool_full": 1}
    assert found["r"].at("s3") == {}
    assert [found["r"].events_at(step) for step in ("s1", "s2", "s3")] == [True, False, False]
    assert found["r"].events_elsewhere({"s1", "s2"})
    assert store.lost() == {"queue_full": 9, "redacted": 9, "refused": 8, "spool_full": 1}


def test_losses_at_known_steps_are_nowhere_else(store: DuckStore) -> None:
    put(store, loss("queue_full", 3, step_id="s1"), loss("truncated", 2))
    found = losses_of(store.project("p"), ["r"])["r"]
    assert not found.events_elsewhere({"s1"})
    assert found.events_elsewhere({"s2"}), "no record of that step arrived"


def test_losses_belong_to_a_project_and_go_with_their_run(store: DuckStore) -> None:
    put(store, Run(run_id="r", version=1, pipeline="q", status="completed"), loss("refused", 2), loss("damaged", 1, ""))
    put(store, loss("refused", 5), project="other")
    assert store.project("third").count_by("losses", ())["n"].to_pylist() == [0]
    assert losses_of(store.project("p"), ["r"])["r"].run == {"refused": 2}
    assert store.stats()["losses"] == 3
    assert store.delete("p", ["r"]) == 1
    assert losses_of(store.project("p"), ["r"]) == {}
    assert losses_of(store.project("other"), ["r"])["r"].run == {"refused": 5}
    (left,) = store.project("p").select("losses").to_pylist()
    assert left == {"project": "p", "run_id": "", "step_id": None, "cause": "damaged", "n": 1, "at": 7}
    assert store.lost() == {"damaged": 1, "refused": 5}


def test_what_is_unaccounted_in_a_page_of_steps_heeds_the_losses(store: DuckStore) -> None:
    for run_id in ("r", "t"):
        put(
            store,
            Run(run_id=run_id, version=1, pipeline="q", status="completed", started_at=1),
            step("s1", run_id=run_id),
            step("s2", run_id=run_id, type="filter"),
            step("s3", run_id=run_id, type="filter", input_count=5),
            step("s4", run_id=run_id, type="rank", events=3),  # a third never came
            *(events(f"s{number}", run_id) for number in range(1, 5)),
        )

    def unaccounted(run_id: str = "r", **more: Any) -> list[int | None]:
        page = steps(store.project("p"), q=f"run_id:{run_id}", **more)
        return [one["unaccounted"] for one in page["steps"]]

    assert unaccounted() == [0, 0, 3, None]
    put(store, loss("redacted", 1, step_id="s1"), loss("queue_full", 2, step_id="s3"))
    assert unaccounted() == [0, 0, 3, None], "no step lost an event of which it is not known how many came in"
    put(store, loss("queue_full", 2, step_id="s2"))
    assert unaccounted() == [0, None, 3, None]
    assert unaccounted(step_type="filter") == [None, 3]
    put(store, loss("queue_full", 2))
    assert unaccounted() == [None, None, 3, None]
    assert unaccounted("t") == [0, 0, 3, None]
    put(store, loss("queue_full", 2, "t", step_id="s9"))
    assert unaccounted("t", step_type="filter") == [None, 3], "it may have been of any step"


def test_losses_are_there_when_the_store_is_opened_again(tmp_path: Path) -> None:
    store = DuckStore(tmp_path / "x.duckdb")
    put(store, loss("refused", 2))
    store.close()
    store = DuckStore(tmp_path / "x.duckdb")
    assert losses_of(store.project("p"), ["r"])["r"].run == {"refused": 2}
    assert losses_of(store.project("other"), ["r"]) == {}
    store.close()


def test_a_sum_too_large_for_64_bits_stops_there(store: DuckStore) -> None:
    most = 2**63 - 1
    put(store, loss("refused", most), loss("refused", most))
    assert store.lost() == {"refused": most}
    assert losses_of(store.project("p"), ["r"])["r"].run == {"refused": most}


def test_the_cause_heard_of_first_is_first(store: DuckStore) -> None:
    put(store, loss("b", 1), at=2)
    put(store, loss("a", 1), loss("b", 1), at=3)
    put(store, loss("c", 1), at=1)
    assert list(store.lost()) == ["c", "b", "a"]


def test_a_batch_of_losses_counts_once(store: DuckStore) -> None:
    ingest = Ingest(store)
    try:
        body = pack_batch("me", 1, "p", [pack_record(loss("queue_full", 5)), pack_record(loss("damaged", 1, ""))])
        assert ingest.submit(body, "zstd").result(30).accepted == 2
        assert ingest.submit(body, "zstd").result(30).duplicate
        assert store.lost() == {"damaged": 1, "queue_full": 5}
        more = pack_batch("me", 2, "p", [pack_record(loss("queue_full", 5))])
        assert ingest.submit(more, "zstd").result(30).accepted == 1
        assert losses_of(store.project("p"), ["r"])["r"].run == {"queue_full": 10}
        found = store.project("p").select("losses", ["n"], [Clause("cause", "==", "queue_full")])
        assert found["n"].to_pylist() == [5, 5]
    finally:
        ingest.close()
