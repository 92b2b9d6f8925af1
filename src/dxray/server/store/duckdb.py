"""The embedded engine: one DuckDB file, one process that owns it, readers beside one writer."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from dxray.server.errors import StoreError
from dxray.server.filters import Clause
from dxray.server.store import migrate
from dxray.server.store.base import Commit, Mark, Reader
from dxray.server.store.queries import SQL, read_queries
from dxray.server.store.sources import LATE, SOURCES
from dxray.server.store.tallies import Counts, Declared, StepKey, rows_of, step_numbers, tally
from dxray.server.store.tallies import table as tally_table
from dxray.server.store.where import Where, column_name
from dxray.wire.columns import row_key

_FOLDER = SQL / "duckdb"
_INSERT = read_queries(_FOLDER / "insert.sql")
_SOURCES = read_queries(_FOLDER / "sources.sql")

# Rows go past the write-ahead log, and are compressed once, where a commit fills a row group; in DuckDB's default of
# 122,880 rows a commit of 60,000 costs twice as much, because the checkpoint writes it all again.
ROW_GROUP = 30_720
TOO_MANY = 50_000  # events of an open step that are not counted again with each commit
APPENDED = ("events", "lineage", "decisions", "labels")
TABLES = ("runs", "steps", "events", "shapes", "lineage", "decisions", "rules", "labels", "tallies")


class DuckStore:
    """A store in one file, or in memory (`:memory:`). Opens and migrates at once.

    Raises `StoreError` when another process still owns the file after `wait` seconds. A run is abandoned when its
    producer has been silent for `abandoned_after` seconds.
    """

    def __init__(
        self,
        path: Path | str = ":memory:",
        *,
        wait: float = 10.0,
        abandoned_after: float = 60.0,
        memory_limit: str = "256MB",
        threads: int = 2,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = str(path)
        self._abandoned_after = abandoned_after
        self._clock = clock
        self._db = _open(self._path, wait, {"memory_limit": memory_limit, "threads": threads})
        self._writer = self._cursor()
        self._write = threading.Lock()
        self._closed = False
        self._opened_at = int(clock() * 1e6)
        self._tables = {}  # type: ignore[var-annotated]
        try:
            self.migrate()
        except BaseException:
            self._db.close()
            raise
        self._types = {source: self._describe(source) for source in SOURCES}

    # --- schema ---

    def migrate(self) -> None:
        """Bring the schema to this version. Refuses a newer one."""
        con = self._writer
        with self._write, _errors():
            migrate.migrate(
                _FOLDER,
                con.execute,
                lambda: con.execute("SELECT number, name, checksum FROM migrations ORDER BY number").fetchall(),
                lambda *row: con.execute("INSERT INTO migrations VALUES (?, ?, ?)", row),
            )
            names = con.execute("SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'dxray'")
            tables: dict[str, list[str]] = {}
            for table, column in names.fetchall():
                tables.setdefault(table, []).append(column)
            self._tables = tables

    def _describe(self, source: str) -> dict[str, str]:
        values = {"project": "", **self._times(source)}
        rows = self._query(f"DESCRIBE {_SOURCES[source]}", values).to_pylist()  # noqa: S608 - our own text
        return {row["column_name"]: row["column_type"] for row in rows}

    # --- writing ---

    def insert(self, commit: Commit) -> None:
        """Commit everything or nothing, counts of the steps it touched included. Returns after the commit."""
        tables = {name: table for name, table in commit.tables.items() if table.num_rows}
        with self._write, _errors():
            con = self._writer
            con.execute("BEGIN")
            try:
                for name, table in tables.items():
                    _insert(con, name, table)
                if commit.marks:
                    _put_marks(con, commit.marks)
                _tally(con, tables)
            except BaseException:
                con.execute("ROLLBACK")
                raise
            con.execute("COMMIT")

    def delete(self, project: str, run_ids: Sequence[str]) -> int:
        """Remove runs with all that belongs to them. Returns how many runs there were."""
        values = {"project": project, "ids": list(run_ids)}
        with self._write, _errors():
            con = self._writer
            con.execute("BEGIN")
            try:
                for table in TABLES:
                    if table != "shapes":
                        removed = con.execute(_DELETE.format(table=table), values).fetchone()
                        if table == "runs":
                            runs = int(removed[0]) if removed else 0
            except BaseException:
                con.execute("ROLLBACK")
                raise
            con.execute("COMMIT")
        return runs

    # --- reading ---

    def marks(self) -> list[Mark]:
        """Every producer's mark."""
        rows = self._query("SELECT project, producer, ranges, seen_at FROM marks").to_pylist()
        return [
            Mark(r["project"], r["producer"], tuple(zip(r["ranges"][::2], r["ranges"][1::2], strict=True)), r["seen_at"])
            for r in rows
        ]

    def shapes(self) -> list[tuple[str, str, str, tuple[str, ...]]]:
        """Every shape as (project, pipeline that brought it, id, sorted keys)."""
        rows = self._query(
            "SELECT project, any_value(pipeline) AS pipeline, shape_id, list(key ORDER BY key) AS keys"
            " FROM shapes GROUP BY project, shape_id"
        ).to_pylist()
        return [(r["project"], r["pipeline"], r["shape_id"], tuple(sorted(r["keys"]))) for r in rows]

    def project(self, name: str) -> Reader:
        """A handle that sees one project's rows and no others."""
        return DuckReader(self, name)

    def stats(self) -> dict[str, int]:
        """Rows by table, and bytes held."""
        counts = " UNION ALL ".join(f"SELECT '{t}' AS name, count(*) AS n FROM {t}" for t in TABLES)  # noqa: S608
        found = {row["name"]: row["n"] for row in self._query(counts).to_pylist()}
        sizes = (Path(self._path), Path(self._path + ".wal"))
        found["bytes"] = sum(size.stat().st_size for size in sizes if size.exists())
        return found

    def read(self, source: str, head: str, tail: str, where: Where, late: Sequence[str] = ()) -> pa.Table:
        """`head` FROM the source's rows that fulfil `where`, then `tail`; `late` columns are added to that."""
        sql = f"SELECT {head} FROM ({_SOURCES[source]}) x {where.sql()} {tail}"
        if late:
            sql = f"WITH page AS ({sql}) {_SOURCES['late_' + source]}"
        return self._query(sql, {**self._times(source), **where.values})

    @property
    def types(self) -> Mapping[str, Mapping[str, str]]:
        """The engine's type of each column of each source."""
        return self._types

    def _times(self, source: str) -> dict[str, int]:
        if source not in ("runs", "steps"):
            return {}
        return {
            "opened_at": self._opened_at,
            "alive_since": int((self._clock() - self._abandoned_after) * 1e6),
        }

    def _query(self, sql: str, values: Mapping[str, Any] | None = None) -> pa.Table:
        with _errors():
            cursor = self._cursor()
            try:
                return _table(cursor, sql, values)
            finally:
                cursor.close()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        try:
            cursor = self._db.cursor()
            cursor.execute("USE dxray")
        except duckdb.ConnectionException as error:
            raise StoreError("the store is closed") from error
        return cursor

    # --- keeping house ---

    def checkpoint(self) -> None:
        """Bring the write-ahead log into the file. Call it from no request."""
        with self._write, _errors():
            self._writer.execute("CHECKPOINT")

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        with self._write:
            if not self._closed:
                self._closed = True
                self._writer.close()
                self._db.close()


class DuckReader:
    """Reads of one project."""

    def __init__(self, store: DuckStore, project: str) -> None:
        self._store = store
        self._project = project

    def select(
        self,
        source: str,
        columns: Sequence[str] = (),
        where: Sequence[Clause] = (),
        order: Sequence[str] = (),
        limit: int | None = None,
        offset: int = 0,
    ) -> pa.Table:
        """Rows of a source. No `columns` means all; `order` names columns, `-name` descending, nulls last."""
        wanted = list(columns or SOURCES[source])
        late = [name for name in wanted if name in LATE.get(source, ())]
        first = [name for name in wanted if name not in late]
        if late and "run_id" not in first:
            first.append("run_id")
        head = ", ".join("x." + column_name(source, name) for name in first)
        conditions = self._where(source, where)
        tail = self._order(source, order)
        if limit is not None:
            tail += f" LIMIT {conditions.bind(limit)} OFFSET {conditions.bind(offset)}"
        table = self._store.read(source, head, tail, conditions, late)
        return table.select(wanted)

    def count_by(self, source: str, by: Sequence[str], where: Sequence[Clause] = ()) -> pa.Table:
        """The columns `by` and `n`, the number of rows; with no `by`, one row."""
        names = ", ".join("x." + column_name(source, name) for name in by)
        head = f"{names}, count(*) AS n" if by else "count(*) AS n"
        tail = f"GROUP BY {names} ORDER BY n DESC, {names}" if by else ""
        return self._store.read(source, head, tail, self._where(source, where))

    def _where(self, source: str, clauses: Sequence[Clause]) -> Where:
        where = Where(source, self._store.types[source]).add(clauses)
        where.values["project"] = self._project
        return where

    def _order(self, source: str, order: Sequence[str]) -> str:
        parts = [
            f"x.{column_name(source, name.removeprefix('-'))} {'DESC' if name.startswith('-') else 'ASC'} NULLS LAST"
            for name in order
        ]
        return " ORDER BY " + ", ".join(parts) if parts else ""


# --- pieces of a commit -----------------------------------------------------------------------------------

_DELETE = "DELETE FROM {table} WHERE project = $project AND run_id IN (SELECT unnest($ids))"
_STEP_KEY = ("project", "run_id", "step_id")
_VERSIONED = ("runs", "steps", "rules")


def _table(con: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, Any] | None = None) -> pa.Table:
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
            newest = _table(con, _INSERT[f"newest_{name}"])
            if newest.num_rows:
                with _registered(con, "newest", newest):
                    con.execute(_INSERT[f"drop_{name}"])
                    con.execute(f"INSERT INTO {name} BY NAME SELECT * FROM newest")  # noqa: S608 - a name of ours
        elif name == "shapes":
            con.execute(_INSERT["add_shapes"])
        elif name in APPENDED:
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
    fresh = np.array([known[i][1] is None or not known[i][1].events for i in range(with_events)], dtype=np.bool_)
    counts: dict[int, Counts] = {}
    if events is not None and fresh.any():
        rows = rows_of(events, no, None if fresh.all() else fresh[no])
        cutoffs = {i: d.cutoff for i, (d, _) in known.items() if d.cutoff is not None and i < with_events and fresh[i]}
        counts = tally(with_events, rows, cutoffs)
    again, left = _to_count_again(known, with_events)
    counts.update(_count_again(con, {i: (keys[i], known[i][0].cutoff) for i in again}))
    _put_tallies(con, [(keys[i], counts.get(i) or so_far or Counts(), d) for i, (d, so_far) in known.items()])
    return {keys[i] for i in left}


Known = dict[int, tuple[Declared, Counts | None]]


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


def _count_again(
    con: duckdb.DuckDBPyConnection, steps: Mapping[int, tuple[StepKey, int | None]]
) -> dict[int, Counts]:
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


# --- opening, and errors ----------------------------------------------------------------------------------


def _open(path: str, wait: float, config: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    """The file attached as `dxray`, waiting for a previous owner to let go."""
    deadline = time.monotonic() + wait
    while True:
        db = duckdb.connect(":memory:", config=config)
        try:
            if path == ":memory:":
                db.execute("ATTACH ':memory:' AS dxray")
            else:
                escaped = path.replace("'", "''")
                db.execute(f"ATTACH '{escaped}' AS dxray (ROW_GROUP_SIZE {ROW_GROUP})")
                db.execute(f"SET temp_directory = '{escaped}.tmp'")
            return db
        except duckdb.Error as error:
            db.close()
            if not isinstance(error, duckdb.IOException) or "lock" not in str(error).lower():
                raise StoreError(f"the data file {path} cannot be opened: {error}") from error
            if time.monotonic() >= deadline:
                pid = re.search(r"PID (\d+)", str(error))
                owner = f"process {pid[1]}" if pid else "another process"
                raise StoreError(
                    f"the data file {path} belongs to {owner}, which still runs",
                    fix="stop it, or start with another --data folder",
                ) from error
            time.sleep(0.1)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise StoreError(f"the store did not do it: {error}") from error
