"""What one commit does to a DuckDB file, inside a transaction that is open already."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from dxray.server.errors import StoreError
from dxray.server.store.base import Commit, Mark
from dxray.server.store.queries import SQL, read_queries
from dxray.server.store.tallies import Counts, Declared, StepKey, rows_of, step_numbers, tally
from dxray.server.store.tallies import table as tally_table
from dxray.wire.columns import row_key

TOO_MANY = 50_000  # events of an open step that are not counted again with each commit

_INSERT = read_queries(SQL / "duckdb" / "insert.sql")
_APPENDED = ("events", "lineage", "decisions", "labels")
_VERSIONED = ("runs", "steps", "rules")
_STEP_KEY = ("project", "run_id", "step_id")

Known = dict[int, tuple[Declared, Counts | None]]


def write(con: duckdb.DuckDBPyConnection, commit: Commit) -> set[StepKey]:
    """Insert everything, and count the steps it touches. Returns steps that are left to be counted later."""
    tables = {name: table for name, table in commit.tables.items() if table.num_rows}
    for name, table in tables.items():
        _insert(con, name, table)
    if commit.marks:
        _put_marks(con, commit.marks)
    return _tally(con, tables)


def left_open(con: duckdb.DuckDBPyConnection) -> set[StepKey]:
    """Open steps with more events than are counted with each commit."""
    return set(con.execute(_INSERT["left_open"], {"too_many": TOO_MANY}).fetchall())


def count_again(con: duckdb.DuckDBPyConnection, keys: Iterable[StepKey]) -> None:
    """Count these steps from all their events."""
    listed = list(keys)
    known = _known_steps(con, listed)
    counts = _count_again(con, {i: (listed[i], known[i][0].cutoff) for i in known})
    _put_tallies(con, [(listed[i], counts.get(i, Counts()), declared) for i, (declared, _) in known.items()])


def query(con: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, Any] | None = None) -> pa.Table:
    """The answer to a query, as Arrow."""
    relation = con.sql(sql, params=dict(values or {}))
    assert relation is not None  # it is a query
    return relation.to_arrow_table()


@contextmanager
def _registered(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[None]:
    con.register(name, table)
    try:
        yield
    finally:
        con.unregister(name)


def _insert(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    with _registered(con, f"in_{name}", table):
        if name in _VERSIONED:
            newest = query(con, _INSERT[f"newest_{name}"])
            if newest.num_rows:
                with _registered(con, "newest", newest):
                    con.execute(_INSERT[f"drop_{name}"])
                    con.execute(f"INSERT INTO {name} BY NAME SELECT * FROM newest")  # noqa: S608 - a name of ours
        elif name == "shapes":
            con.execute(_INSERT["add_shapes"])
        elif name in _APPENDED:
            con.execute(f"INSERT INTO {name} BY NAME SELECT * FROM in_{name}")  # noqa: S608 - a name of ours
        else:
            raise StoreError(f"there is no table {name!r} to insert into")


def _put_marks(con: duckdb.DuckDBPyConnection, marks: Sequence[Mark]) -> None:
    table = pa.table(
        {
            "project": [m.project for m in marks],
            "producer": [m.producer for m in marks],
            "ranges": pa.array([[end for pair in m.ranges for end in pair] for m in marks], pa.list_(pa.int64())),
            "seen_at": pa.array([m.seen_at for m in marks], pa.int64()),
        }
    )
    with _registered(con, "in_marks", table):
        con.execute(_INSERT["drop_marks"])
        con.execute("INSERT INTO marks BY NAME SELECT * FROM in_marks")


def _tally(con: duckdb.DuckDBPyConnection, tables: Mapping[str, pa.Table]) -> set[StepKey]:
    """Count the steps of this commit: from its events those that are new, from the store those that go on.

    Returns those that were left for later, because they are open and have very many events.
    """
    events, steps = tables.get("events"), tables.get("steps")
    keys, no = step_numbers(events) if events is not None else ([], np.zeros(0, dtype=np.int64))
    with_events = len(keys)
    if steps is not None:
        mentioned = dict.fromkeys(zip(*(steps[key].to_pylist() for key in _STEP_KEY), strict=True))
        keys += mentioned.keys() - set(keys)
    if not keys:
        return set()
    known = _known_steps(con, keys)
    fresh = np.array([not _events_so_far(known[i]) for i in range(with_events)], dtype=np.bool_)
    counts: dict[int, Counts] = {}
    if events is not None and fresh.any():
        rows = rows_of(events, no, None if fresh.all() else fresh[no])
        cutoffs = {i: d.cutoff for i, (d, _) in known.items() if d.cutoff is not None and i < with_events and fresh[i]}
        counts = tally(with_events, rows, cutoffs)
    again, left = _to_count_again(known, with_events)
    counts.update(_count_again(con, {i: (keys[i], known[i][0].cutoff) for i in again}))
    _put_tallies(con, [(keys[i], counts.get(i) or so_far or Counts(), d) for i, (d, so_far) in known.items()])
    return {keys[i] for i in left}


def _events_so_far(known: tuple[Declared, Counts | None]) -> int:
    return known[1].events if known[1] is not None else 0


def _to_count_again(known: Known, with_events: int) -> tuple[list[int], list[int]]:
    """Steps to count from the store, and steps that are left for later."""
    again, left = [], []
    for i, (declared, so_far) in known.items():
        if so_far is None or not so_far.events:
            continue
        if so_far.events > TOO_MANY and declared.events is None:
            left.append(i)
        elif i < with_events or declared.cutoff is not None or so_far.events > TOO_MANY:
            again.append(i)
    return again, left


def _known_steps(con: duckdb.DuckDBPyConnection, keys: list[StepKey]) -> Known:
    """What the steps declare and their counts so far, by their number here."""
    numbers = pa.array(range(len(keys)), pa.int32())
    table = pa.table({"no": numbers, "step_key": pa.array([row_key(*key) for key in keys], pa.int64())})
    with _registered(con, "in_changed", table):
        rows = con.execute(_INSERT["known_steps"]).fetchall()
    return {
        row[0]: (
            Declared(row[1], row[2], _rejections(row[3]), row[4], row[5]),
            None if row[6] is None else Counts(*row[6:]),
        )
        for row in rows
    }


def _rejections(text: str | None) -> dict[str, int] | None:
    if text is None:
        return None
    found: dict[str, int] = json.loads(text)
    return found


def _count_again(con: duckdb.DuckDBPyConnection, steps: Mapping[int, tuple[StepKey, int | None]]) -> dict[int, Counts]:
    """Counts of steps from all their events in the store."""
    if not steps:
        return {}
    columns = [pa.array(column, pa.string()) for column in zip(*(key for key, _ in steps.values()), strict=True)]
    cutoffs = pa.array([cutoff for _, cutoff in steps.values()], pa.int32())
    table = pa.table([pa.array(list(steps), pa.int32()), *columns, cutoffs], ["no", *_STEP_KEY, "cutoff"])
    with _registered(con, "touched", table):
        rows = con.execute(_INSERT["tally"]).fetchall()
    return {row[0]: Counts(*row[1:]) for row in rows}


def _put_tallies(con: duckdb.DuckDBPyConnection, rows: Sequence[tuple[StepKey, Counts, Declared]]) -> None:
    with _registered(con, "in_tallies", tally_table(rows)):
        con.execute(_INSERT["drop_tallies"])
        con.execute("INSERT INTO tallies BY NAME SELECT * FROM in_tallies")
