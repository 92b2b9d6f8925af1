"""A run that several processes tell of is the same in whatever order their versions arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dxray.server.filters import Clause
from dxray.server.store.base import Commit
from dxray.server.store.duckdb import DuckStore
from dxray.wire.columns import PipelineMemory, Sent, build
from dxray.wire.evidence import ShapeBook
from dxray.wire.records import Run

FIRST = {"version": 100, "started_at": 10, "input": '"in"', "environment": "prod", "metadata": '"m"'}


@pytest.fixture(scope="module")
def opened() -> Iterator[DuckStore]:
    opened = DuckStore()
    yield opened
    opened.close()


@pytest.fixture
def store(opened: DuckStore) -> DuckStore:
    opened.delete("p", ["r", "a", "b"])
    return opened


def run(**more: Any) -> Run:
    return Run(**{"run_id": "r", "pipeline": "q", "status": "running", **more})


def put(store: DuckStore, *runs: Run, at: int = 7) -> None:
    store.insert(Commit(build([Sent("p", "me", at, runs)], ShapeBook(), PipelineMemory()).tables))


def only(store: DuckStore, *where: Clause) -> dict[str, Any]:
    (row,) = store.project("p").select("runs", where=[Clause("run_id", "==", "r"), *where]).to_pylist()
    found: dict[str, Any] = row
    return found


def after(store: DuckStore, commits: Iterable[Iterable[Run]]) -> dict[str, Any]:
    store.delete("p", ["r"])
    for runs in commits:
        put(store, *runs)
    return only(store)


def test_what_the_first_process_said_may_arrive_second(store: DuckStore) -> None:
    put(store, run(version=200, status="completed", ended_at=60, output='"out"'))
    put(store, run(status="waiting", **FIRST), at=9)
    found = only(store)
    assert (found["version"], found["status"], found["producer"], found["received_at"]) == (200, "completed", "me", 7)
    assert [found[name] for name in ("input", "environment", "metadata", "output")] == ['"in"', "prod", '"m"', '"out"']
    assert (found["started_at"], found["ended_at"], found["duration_ms"]) == (10, 60, 0.05)


def test_a_start_that_nobody_has_told_is_the_first_word_heard(store: DuckStore) -> None:
    put(store, run(version=200, ended_at=9), at=7)
    put(store, run(version=300, status="completed", ended_at=60), at=9)
    assert (only(store)["started_at"], only(store)["duration_ms"]) == (7, None)
    put(store, run(status="waiting", **FIRST), at=70)
    assert only(store, Clause("started_at", ">=", 10))["duration_ms"] == 0.05
    assert store.project("p").count_by("runs", (), [Clause("started_at", "<", 10)])["n"].to_pylist() == [0]


def test_every_later_version_of_the_first_process_counts_too(store: DuckStore) -> None:
    put(store, run(version=300, output='"late"'))
    put(store, run(**FIRST))
    put(store, run(**{**FIRST, "version": 150, "metadata": '"more"', "output": '"early"'}))
    put(store, run(**FIRST))
    assert (only(store)["metadata"], only(store)["output"]) == ('"more"', '"late"')


@pytest.mark.parametrize("together", [False, True])
def test_a_failed_run_that_goes_on_has_its_own_end(store: DuckStore, together: bool) -> None:
    failed = run(**FIRST, status="failed", ended_at=20, duration_ms=0.01, error='{"type":"E"}')
    resumed = run(version=200)
    completed = run(version=300, status="completed", ended_at=460)
    for first, second in ((failed, resumed), (resumed, failed)):
        found = after(store, [[first, second]] if together else [[first], [second]])
        assert found["status"] == "running"
        assert (found["ended_at"], found["duration_ms"], found["error"], found["started_at"]) == (None, None, None, 10)
    for order in permutations([failed, resumed, completed]):
        found = after(store, [order] if together else [[one] for one in order])
        assert (found["status"], found["ended_at"], found["duration_ms"], found["error"]) == (
            "completed", 460, 0.45, None,
        )  # fmt: skip


def test_marks_of_all_processes_stay(store: DuckStore) -> None:
    put(store, run(version=200, marks=["output: cut"]))
    put(store, run(**FIRST, marks=["input: cut"]))
    assert only(store)["marks"] == '["input: cut", "output: cut"]'


def test_other_runs_of_the_commit_are_as_before(store: DuckStore) -> None:
    put(store, run(run_id="a", version=2, started_at=1, status="completed"), run(version=200))
    put(store, run(run_id="a", version=1, started_at=1), run(run_id="b", version=1, started_at=2), run(**FIRST))
    rows = store.project("p").select("runs", ["run_id", "version", "status", "input"], order=["run_id"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("a", 2, "completed", None),
        ("b", 1, "running", None),
        ("r", 200, "running", '"in"'),
    ]


SAID = st.lists(st.sampled_from(["input", "output", "metadata", "variant"]), max_size=3)  # by one process


@settings(max_examples=40, deadline=None)
@given(st.lists(SAID, min_size=2, max_size=5), st.integers(0, 2), st.randoms(use_true_random=False))
def test_the_order_of_arrival_makes_no_difference(
    opened: DuckStore, said: list[list[str]], failed: int, chance: Any
) -> None:
    versions = []
    for number, names in enumerate(said):
        more: dict[str, Any] = dict.fromkeys(names, f'"{number}"')
        if number == 0:
            more["started_at"] = 10
        if number == failed:
            more.update(status="failed", ended_at=number + 20, error='"e"')
        versions.append(run(version=number + 1, **more))
    expected = after(opened, [[one] for one in versions])
    shuffled = chance.sample(versions, len(versions))
    cut = chance.randint(0, len(versions))
    assert after(opened, [part for part in (shuffled[:cut], shuffled[cut:], shuffled[:1]) if part]) == expected
