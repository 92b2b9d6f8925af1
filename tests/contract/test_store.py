"""What every engine promises, on the real one."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dxray.server.errors import Invalid, StoreError
from dxray.server.filters import Clause
from dxray.server.store import duck_commit
from dxray.server.store.base import Commit, Mark
from dxray.server.store.duckdb import DuckStore
from dxray.server.store.sources import SOURCES
from dxray.wire.columns import PipelineMemory, Sent, build
from dxray.wire.evidence import ShapeBook
from dxray.wire.records import OUTCOMES, AnyRecord, Decision, Events, Op, Rule, Run, Step


@pytest.fixture
def store() -> Iterator[DuckStore]:
    opened = DuckStore()
    yield opened
    opened.close()


def put(store: DuckStore, *records: AnyRecord, project: str = "p", producer: str = "me", at: int = 7) -> None:
    store.insert(Commit(build([Sent(project, producer, at, records)], ShapeBook(), PipelineMemory()).tables))


def run(run_id: str = "r", version: int = 1, **more: Any) -> Run:
    return Run(run_id=run_id, version=version, pipeline="q", **{"status": "running", **more})


def step(step_id: str = "s", version: int = 1, **more: Any) -> Step:
    return Step(run_id=more.pop("run_id", "r"), step_id=step_id, version=version, name="n", position=0, **more)


def chunk(ops: list[int], ids: list[Any], a: Any = None, b: Any = None, **more: Any) -> Events:
    given_ = {"run_id": "r", "step_id": "s", "first": 0, "at": 5, **more}
    return Events(ops=bytes(ops), ids=ids, a=a, b=b, **given_)


def only(store: DuckStore, source: str, *where: Clause) -> dict[str, Any]:
    rows: list[dict[str, Any]] = store.project("p").select(source, where=where).to_pylist()
    assert len(rows) == 1
    return rows[0]


# --- versions, projects, marks ----------------------------------------------------------------------------


def test_every_source_has_its_columns(store: DuckStore) -> None:
    put(store, run(), step(), chunk([1], ["a"], None, [{"k": 1}]))
    for source, columns in SOURCES.items():
        assert tuple(store.project("p").select(source).column_names) == columns
        assert tuple(store.project("p").select(source, limit=5).column_names) == columns


def test_the_newest_version_is_seen_in_whatever_order_they_come(store: DuckStore) -> None:
    put(store, run(version=2, status="completed"), run(version=1), step(version=5, type="filter"), step(version=4))
    put(store, run(version=1), step(version=3, type="rank"))
    assert only(store, "runs")["status"] == "completed"
    assert only(store, "steps")["step_type"] == "filter"
    put(store, run(version=3, status="failed"), step(version=6, type="select"))
    assert only(store, "runs")["status"] == "failed"
    assert only(store, "steps")["step_type"] == "select"
    assert only(store, "runs")["step_count"] == 1


def test_projects_do_not_see_each_other(store: DuckStore) -> None:
    put(store, run(), step(), chunk([1], ["a"]))
    put(store, run(status="completed"), step(), chunk([2, 2], ["a", "b"]), project="other")
    assert only(store, "runs")["status"] == "running"
    assert only(store, "steps")["accepted"] == 1
    assert store.project("other").select("steps")["rejected"].to_pylist() == [2]
    assert store.project("third").count_by("events", ()).to_pylist() == [{"n": 0}]
    assert store.delete("other", ["r", "nope"]) == 1
    assert store.project("other").count_by("events", ()).to_pylist() == [{"n": 0}]
    assert only(store, "events")["item_id"] == "a"


def test_marks_are_replaced(store: DuckStore) -> None:
    store.insert(Commit({}, [Mark("p", "me", ((1, 3), (5, 5)), 1)]))
    store.insert(Commit({}, [Mark("p", "me", ((1, 5),), 2), Mark("p", "you", (), 3)]))
    assert sorted(store.marks(), key=lambda m: m.producer) == [
        Mark("p", "me", ((1, 5),), 2),
        Mark("p", "you", (), 3),
    ]


def test_a_commit_that_fails_leaves_nothing(store: DuckStore) -> None:
    tables = build([Sent("p", "me", 7, [run(), chunk([1], ["a"])])], ShapeBook(), PipelineMemory()).tables
    with pytest.raises(StoreError):
        store.insert(Commit({**tables, "nonsense": tables["runs"]}))
    assert store.stats()["runs"] == store.stats()["events"] == 0
    put(store, run())
    assert store.stats()["runs"] == 1


def test_a_silent_run_is_abandoned_until_it_speaks() -> None:
    now = [1_000.0]
    store = DuckStore(clock=lambda: now[0], abandoned_after=60)
    put(store, run(), step(), at=int(1_000e6))
    assert only(store, "runs")["status"] == "running"
    now[0] += 61
    assert only(store, "runs", Clause("status", "==", "abandoned"))["seen_at"] == int(1_000e6)
    assert only(store, "steps")["run_status"] == "abandoned"
    store.insert(Commit({}, [Mark("p", "you", (), int(now[0] * 1e6)), Mark("other", "me", (), int(now[0] * 1e6))]))
    assert only(store, "runs")["status"] == "abandoned"
    store.insert(Commit({}, [Mark("p", "me", (), int(now[0] * 1e6))]))
    assert only(store, "runs")["status"] == "running"
    now[0] += 30
    store.keep_house()
    assert only(store, "steps", Clause("run_status", "==", "running"))["run_status"] == "running"
    now[0] += 31
    store.keep_house()
    assert only(store, "runs")["status"] == "abandoned"
    put(store, run(version=2, status="waiting"))
    now[0] += 1_000_000
    assert only(store, "runs")["status"] == "waiting"
    store.close()


# --- where, order -----------------------------------------------------------------------------------------


def test_clauses(store: DuckStore) -> None:
    put(
        store,
        run("r1", input='{"product": {"price": 7, "title": "iPhone Case"}}', started_at=1),
        run("r2", input='{"product": {"price": 30}}', metadata="no json", started_at=2),
        step(run_id="r1"),
        chunk([1, 2, 1], ["a", "b", "c"], None, [{"price": 5, "t": "x"}, {"price": 50}, {"t": True}], run_id="r1"),
    )
    reader = store.project("p")

    def runs(*where: Clause) -> list[str]:
        found: list[str] = reader.select("runs", ["run_id"], where, ["run_id"])["run_id"].to_pylist()
        return found

    def items(*where: Clause) -> list[str]:
        found: list[str] = reader.select("events", ["item_id"], where, ["item_id"])["item_id"].to_pylist()
        return found

    assert runs(Clause("input.product.price", ">", 7)) == ["r2"]
    assert runs(Clause("input.product.price", "==", 7)) == ["r1"]
    assert runs(Clause("input.product.title", "contains", "iphone")) == ["r1"]
    assert runs(Clause("metadata.x", "is_null")) == ["r1", "r2"]
    assert runs(Clause("run_id", "in", ["r2", "r3"])) == ["r2"]
    assert runs(Clause("run_id", "in", [])) == []
    assert runs(Clause("run_id|pipeline", "==", "q")) == ["r1", "r2"]
    assert runs(Clause("run_id", "!=", "r1"), Clause("environment", "!=", "prod")) == ["r2"]
    assert items(Clause("evidence.price", "<", 40)) == ["a"]
    assert items(Clause("evidence.t", "==", "x"), Clause("evidence.price", "==", 5)) == ["a"]
    assert items(Clause("evidence.t", "==", True)) == ["c"]
    assert items(Clause("evidence.price", "not_null")) == ["a", "b"]
    assert items(Clause("event_no", ">=", 1), Clause("event_no", "<", "2")) == ["b"]
    assert reader.select("runs", ["run_id"], order=["-started_at"], limit=1, offset=1)["run_id"].to_pylist() == ["r1"]
    assert reader.count_by("events", ["outcome"]).to_pylist() == [
        {"outcome": "accepted", "n": 2},
        {"outcome": "rejected", "n": 1},
    ]


@pytest.mark.parametrize("name", ["nope", "run_key", "run_id; DROP TABLE runs", "nope.KEY", "step_count"])
def test_names_that_are_not_there_are_refused(store: DuckStore, name: str) -> None:
    with pytest.raises(Invalid, match=r"run_key|nope|DROP|step_count"):
        store.project("p").select("runs", where=[Clause(name, "==", 1)])


def test_a_value_that_is_no_number_is_refused(store: DuckStore) -> None:
    with pytest.raises(Invalid, match="number"):
        store.project("p").select("runs", where=[Clause("started_at", ">", "yesterday")])


def test_rare_attributes_are_columns_again(store: DuckStore) -> None:
    made = chunk(
        [5, 1], ["a", "b"], ["b", None], [None, False], p=0.25, kept={0: "margin"}, by={0: "person"}, marks={1: ["m"]}
    )
    put(store, run(), step(type="merge"), made)
    first, second = store.project("p").select("events", order=["event_no"]).to_pylist()
    assert (first["ref_item"], first["ref_kind"], first["kept_because"], first["decided_by"], first["p"]) == (
        "b", "merged_into", "margin", "person", 0.25,
    )  # fmt: skip
    assert (second["evidence_state"], second["marks"], second["decided_by"]) == ("sampled_out", '["m"]', None)
    assert first["step_name"] == "n"
    assert first["step_type"] == "merge"


def test_rules_and_decisions(store: DuckStore) -> None:
    rule = Rule("price", "<=", "100", "dear")
    put(store, chunk([Op.RULE_FAILED], ["a"], [0], [200], rules=[rule]))
    assert only(store, "rules")["evaluated"] == 0
    put(store, step(version=3, rules=[Rule("price", "<=", "100", "dear", 9, 4, 1)]))
    put(store, chunk([Op.RULE_FAILED], ["b"], [0], [300], rules=[rule], first=1))
    found = only(store, "rules")
    assert (found["evaluated"], found["failed"], found["uncomparable"]) == (9, 4, 1)
    assert only(store, "events", Clause("item_id", "==", "a"))["rule_id"] == found["rule_id"]
    put(store, Decision(run_id="r", step_id="s", number=0, decision="d", selected=["a", "b"], score=0.5))
    assert only(store, "decisions")["selected"] == ["a", "b"]


# --- counts -----------------------------------------------------------------------------------------------


def facts(store: DuckStore, *names: str) -> tuple[Any, ...]:
    found = only(store, "steps")
    return tuple(found[name] for name in names)


def test_declared_counts_stand_where_nothing_was_recorded(store: DuckStore) -> None:
    put(store, run(), step(input_count=5_000, output_count=30))
    assert facts(store, "input_count", "output_count", "rejection_rate", "unaccounted", "accepted_by_count") == (
        5_000, 30, 1 - 30 / 5_000, 4_970, 30,
    )  # fmt: skip
    put(store, step(version=2, input_count=10, output_count=3, rejection_counts={"a": 5, "b": 2}))
    assert facts(store, "rejection_rate", "unaccounted", "rejection_counts") == (0.7, 0, '{"a":5,"b":2}')
    put(store, step(version=3, input_count=0, output_count=0))
    assert facts(store, "rejection_rate", "contradiction") == (None, False)
    put(store, step(version=4))
    assert facts(store, "input_count", "output_count", "rejection_rate", "unaccounted") == (None,) * 4
    put(store, step(version=5, input_count=3, output_count=4))
    assert facts(store, "rejection_rate", "unaccounted", "contradiction") == (None, -1, True)


def test_events_say_what_is_not_declared(store: DuckStore) -> None:
    put(store, run(), step(), chunk([2, 2, 1, 2], ["a", "b", "c", "a"], ["x", "y", None, "y"]))
    assert facts(store, "input_count", "output_count", "rejection_rate", "rejection_counts", "recorded_events") == (
        3, 1, 2 / 3, '{"y":2}', 4,
    )  # fmt: skip
    put(store, step(version=2, events=6, input_count=2))
    assert facts(store, "missing_events", "contradiction") == (2, True)


def test_a_step_that_only_produces_has_no_rejection_rate(store: DuckStore) -> None:
    put(store, run(), step(events=2), chunk([0, 0], ["a", "b"]))
    assert facts(store, "input_count", "output_count", "produced", "accepted", "rejection_rate", "unaccounted") == (
        0, 2, 2, 2, None, 0,
    )  # fmt: skip


def test_a_huge_open_step_is_counted_when_it_ends(store: DuckStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duck_commit, "TOO_MANY", 3)
    put(store, run(), step(), chunk([1] * 4, list("abcd")))
    put(store, chunk([1] * 2, list("ef"), first=4))
    assert facts(store, "accepted") == (4,)
    put(store, step(version=2, events=6))
    assert facts(store, "accepted", "missing_events") == (6, 0)
    put(store, chunk([2], ["a"], first=6))
    assert facts(store, "accepted", "rejected") == (5, 1)


def test_a_huge_step_that_never_ends_is_counted_by_housekeeping(
    store: DuckStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duck_commit, "TOO_MANY", 3)
    put(store, run(), step(), chunk([1] * 4, list("abcd")))
    put(store, chunk([1] * 2, list("ef"), first=4))
    store.keep_house()
    assert facts(store, "accepted") == (6,)


def test_housekeeping_that_fails_is_done_the_next_time(store: DuckStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duck_commit, "TOO_MANY", 3)
    put(store, run(), step(), chunk([1] * 4, list("abcd")))
    put(store, chunk([1] * 2, list("ef"), first=4))

    def full(*_: Any) -> None:
        raise duckdb.IOException("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(duck_commit, "count_again", full)
        with pytest.raises(StoreError, match="No space"):
            store.keep_house()
    assert facts(store, "accepted") == (4,)
    store.keep_house()
    assert facts(store, "accepted") == (6,)


def test_housekeeping_does_not_count_what_was_deleted(store: DuckStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duck_commit, "TOO_MANY", 3)
    for run_id in ("r", "gone"):
        put(store, run(run_id), step(run_id=run_id), chunk([1] * 4, list("abcd"), run_id=run_id))
        put(store, chunk([1] * 2, list("ef"), first=4, run_id=run_id))
    store.delete("p", ["gone"])
    store.keep_house()
    assert facts(store, "accepted") == (6,)
    assert store.stats()["tallies"] == 1


ROWS = st.lists(
    st.tuples(
        st.sampled_from("abcde"),
        st.sampled_from(range(Op.PRODUCED_WITH + 1)),
        st.sampled_from(["x", "y", None]),
        st.sampled_from([0.1, 0.5, 0.9]),
    ),
    min_size=1,
    max_size=25,
)


def recount(rows: list[tuple[str, int, Any, float]], cutoff: int | None, decided: bool) -> dict[str, Any]:
    """The same counts, the long way: item by item."""
    last: dict[str, tuple[int, Any]] = {}
    produced, score = set(), {}  # type: ignore[var-annotated]
    for item, op, reason, value in rows:
        outcome = Op.REJECTED if op == Op.RULE_FAILED else Op.PRODUCED if op == Op.PRODUCED_WITH else op
        if outcome <= Op.CONSUMED:
            last[item] = (outcome, "rule" if op == Op.RULE_FAILED else reason)
        if outcome == Op.PRODUCED:
            produced.add(item)
        if op in (Op.SCORED, Op.SELECTED, Op.OUTRANKED):
            score[item] = value
    chose = decided or any(outcome == Op.SELECTED for outcome, _ in last.values())
    found: Counter[str] = Counter()
    for item in {row[0] for row in rows}:
        outcome = OUTCOMES[last[item][0]] if item in last else "undecided"
        if item in score and outcome in ("undecided", "produced") and (chose or cutoff is not None):
            outcome = "outranked" if chose else by_cutoff(score[item], list(score.values()), cutoff or 0)
        found["accepted" if outcome == "produced" else outcome] += 1
    reasons = Counter(reason or "unspecified" for outcome, reason in last.values() if outcome == Op.REJECTED)
    items = {row[0] for row in rows}
    names = ("accepted", "rejected", "selected", "outranked", "merged", "consumed", "undecided")
    return {
        **{name: found[name] for name in names},
        "produced": len(produced),
        "entered": len(items - produced),
        "recorded_events": len(rows),
        "reasons": dict(reasons),
    }


def by_cutoff(own: float, scores: list[float], k: int) -> str:
    """Certain only where no order of equal scores would change it."""
    if len([score for score in scores if score >= own]) <= k:
        return "accepted"
    return "outranked" if len([score for score in scores if score > own]) >= k else "undecided"


def as_chunk(rows: list[tuple[str, int, Any, float]], first: int = 0) -> Events:
    a: list[Any] = []
    b: list[Any] = []
    for _, op, reason, score in rows:
        if op in (Op.RULE_PASSED, Op.RULE_FAILED, Op.RULE_ALSO_FAILED):
            a.append(0)
            b.append(score)
        elif op == Op.SCORED:
            a.append(score)
            b.append(None)
        else:
            a.append(["n", None, None] if op == Op.PRODUCED_WITH else reason)
            b.append(score if op in (Op.SELECTED, Op.OUTRANKED) else "kind" if op == Op.REFERS else None)
    return chunk(
        [row[1] for row in rows], [row[0] for row in rows], a, b, first=first, rules=[Rule("f", "<", "1", "rule")]
    )


def counted(store: DuckStore) -> dict[str, Any]:
    found = only(store, "steps")
    names = ("accepted", "rejected", "selected", "outranked", "merged", "consumed", "undecided")
    more = ("produced", "entered", "recorded_events")
    return {
        **{name: found[name] for name in (*names, *more)},
        "reasons": dict(zip(found["reasons"], found["reason_counts"], strict=True)),
    }


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(0, 25), st.sampled_from([None, 0, 1, 3]), st.booleans(), st.booleans())
def test_counts_are_those_of_the_long_way(
    rows: list[tuple[str, int, Any, float]], cut: int, cutoff: int | None, decided: bool, in_engine: bool
) -> None:
    """However the events are cut into commits, and wherever they are counted."""
    expected = recount(rows, cutoff, decided)
    decisions = [Decision(run_id="r", step_id="s", number=0, decision="pick", selected=[], at=1)] if decided else []
    store = DuckStore()
    try:
        put(store, run(), step(cutoff=cutoff), as_chunk(rows), *decisions)
        assert counted(store) == expected
        balance = sum(expected[n] for n in ("accepted", "rejected", "selected", "outranked", "merged", "consumed"))
        assert expected["entered"] + expected["produced"] == balance + expected["undecided"]
        if in_engine:
            store._uncounted = {("p", "r", "s")}
            store.keep_house()
            assert counted(store) == expected
        store.delete("p", ["r"])
        put(store, run(), step(cutoff=cutoff))
        if rows[cut:]:
            put(store, as_chunk(rows[cut:], first=min(cut, len(rows))))
        if rows[:cut]:
            put(store, as_chunk(rows[:cut]))
        if decided:
            put(store, *decisions)
        assert counted(store) == expected
    finally:
        store.close()


# --- the file ---------------------------------------------------------------------------------------------


def test_what_was_stored_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "it's.duckdb"
    store = DuckStore(path)
    put(store, run(), step(), chunk([1], ["a"], None, [{"k": 1}]))
    store.insert(Commit({}, [Mark("p", "me", ((1, 2),), 3)]))
    store.close()
    store.close()
    store = DuckStore(path)
    assert only(store, "events")["num"] == [1.0]
    assert store.marks() == [Mark("p", "me", ((1, 2),), 3)]
    assert [shape[3] for shape in store.shapes()] == [("k",)]
    assert store.stats()["bytes"] > 0
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.stats()


def _hold(path: str, ready: Any, done: Any) -> None:
    store = DuckStore(path)
    ready.set()
    done.wait(60)
    store.close()


def test_a_second_process_is_told_who_owns_the_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    owner = context.Process(target=_hold, args=(str(tmp_path / "x.duckdb"), ready, done))
    owner.start()
    try:
        assert ready.wait(60)
        with pytest.raises(StoreError, match=rf"process {owner.pid}\b"):
            DuckStore(tmp_path / "x.duckdb", wait=0)
        threading.Timer(0.5, done.set).start()
        DuckStore(tmp_path / "x.duckdb", wait=30).close()
    finally:
        done.set()
        owner.join(60)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    store = DuckStore(path)
    store._writer.execute("INSERT INTO migrations VALUES (999, '0999_later', 'x')")
    store.close()
    with pytest.raises(StoreError, match="newer version"):
        DuckStore(path)


def test_reads_beside_a_writer(store: DuckStore) -> None:
    failed: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                rows = store.project("p").select("steps", ["recorded_events", "accepted"]).to_pylist()
                assert all(row["recorded_events"] == row["accepted"] for row in rows)
        except BaseException as error:  # noqa: BLE001 - told by the test
            failed.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(15):
        put(store, run(f"r{i}"), step(run_id=f"r{i}"), chunk([1] * 9, list(range(9)), run_id=f"r{i}"))
    done.set()
    for thread in threads:
        thread.join()
    assert not failed


def test_marks_of_producers_that_are_long_silent_are_forgotten() -> None:
    now = [1_000_000_000.0]
    store = DuckStore(clock=lambda: now[0])
    try:
        for producer, age in (("silent", 91), ("heard", 89)):
            store.insert(Commit({}, [Mark("p", producer, ((1, 2),), int((now[0] - age * 86_400) * 1e6))]))
        store.keep_house()
        assert [mark.producer for mark in store.marks()] == ["heard"]
    finally:
        store.close()
