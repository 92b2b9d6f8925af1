"""The embedded engine: one DuckDB file, one process that owns it, readers beside one writer."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from dxray.server.errors import StoreError
from dxray.server.migrate import migrate
from dxray.server.store import duck_commit
from dxray.server.store.base import Commit, Mark, Reader
from dxray.server.store.cancel import Cancel
from dxray.server.store.duck_reader import DuckReader, Read
from dxray.server.store.duck_sources import DUCK_SOURCES
from dxray.server.store.housekeeping import Housekeeping
from dxray.server.store.queries import SQL
from dxray.server.store.sources import LATE, SOURCES
from dxray.server.store.tallies import StepKey

# Rows go past the write-ahead log, and are compressed once, where a commit fills a row group; in DuckDB's default of
# 122,880 rows a commit of 60,000 costs twice as much, because the checkpoint writes it all again.
ROW_GROUP = 30_720
WAL_BYTES = 16 * 1024 * 1024  # past this the log is brought into the file
MARK_S = 90 * 86_400  # a mark is kept after its producer spoke last; spools give up what is older than 60 days
TABLES = ("runs", "steps", "events", "shapes", "lineage", "decisions", "rules", "losses", "labels", "tallies")

_FOLDER = SQL / "duckdb"
_DELETE = "DELETE FROM {table} WHERE project = $project AND run_id IN (SELECT unnest($ids))"
_LOST = (  # a sum of numbers of 64 bits may be wider
    'SELECT cause, least(sum(n), 9223372036854775807)::BIGINT FROM losses GROUP BY cause ORDER BY min("at"), cause'
)


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
        threads: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = str(path)
        self._abandoned_after = abandoned_after
        self._clock = clock
        self._db = _open(self._path, wait, {"memory_limit": memory_limit, "threads": threads or _half_the_cores()})
        self._writer = self._cursor()
        self._write = threading.Lock()
        self._readers: list[duckdb.DuckDBPyConnection] = []  # that nobody uses now
        self._closed = False
        self._version = 0
        self._forget_again_at = 0.0
        self._opened_at = int(clock() * 1e6)
        self._heard: dict[str, dict[str, int]] = {}  # since then: by project and producer, when it spoke last
        self._uncounted: set[StepKey] = set()
        try:
            self.migrate()
            with _errors():
                self._uncounted = duck_commit.left_open(self._writer)
                # Every page asks for losses, and most projects have none.
                self._losing = {
                    row[0] for row in self._writer.execute("SELECT DISTINCT project FROM losses").fetchall()
                }
        except BaseException:
            self._db.close()
            raise
        # failpoint: store.opened
        self._types = {source: self._describe(source) for source in SOURCES}
        self._house = Housekeeping(self.keep_house, every=10.0)

    # --- schema ---

    def migrate(self) -> None:
        """Bring the schema to this version. Refuses a newer one."""
        con = self._writer
        with self._write, _errors():
            migrate(
                _FOLDER,
                con.execute,
                lambda: con.execute("SELECT number, name, checksum FROM migrations ORDER BY number").fetchall(),
                lambda *row: con.execute("INSERT INTO migrations VALUES (?, ?, ?)", row),
            )

    def _describe(self, source: str) -> dict[str, str]:
        spec = DUCK_SOURCES[source]
        expressions = {name: sql for name, sql in spec.expressions.items() if name not in LATE.get(source, ())}
        columns = ", ".join(f'{sql} AS "{name}"' for name, sql in expressions.items())
        sql = f"DESCRIBE SELECT {columns} {spec.tables(expressions.values())}"
        rows = self._query(sql, self.times(sql)).to_pylist()
        return {row["column_name"]: row["column_type"] for row in rows}

    # --- writing ---

    def insert(self, commit: Commit) -> None:
        """Commit everything or nothing, counts of the steps it touched included. Returns after the commit."""
        with self._write, _errors():
            con = self._writer
            if "losses" in commit.tables:
                self._losing |= set(commit.tables["losses"]["project"].unique().to_pylist())
            with _transaction(con):
                left = duck_commit.write(con, commit)
            self._uncounted |= left
            changes = any(table.num_rows for table in commit.tables.values()) or self._wakes(commit.marks)
            for mark in commit.marks:
                self._heard.setdefault(mark.project, {})[mark.producer] = mark.seen_at
            if changes:
                self._version += 1

    def _wakes(self, marks: Sequence[Mark]) -> bool:
        """Whether a heartbeat changes what can be read: its producer had been silent, so its runs were abandoned."""
        since = self._alive_since()
        return any(self._heard.get(mark.project, {}).get(mark.producer, 0) < since for mark in marks)

    def delete(self, project: str, run_ids: Sequence[str]) -> int:
        """Remove runs with all that belongs to them. Returns how many runs there were."""
        values = {"project": project, "ids": list(run_ids)}
        runs = 0
        with self._write, _errors(), _transaction(self._writer):
            for table in TABLES:
                if table != "shapes":
                    removed = self._writer.execute(_DELETE.format(table=table), values).fetchone()
                    if table == "runs" and removed:
                        runs = int(removed[0])
            self._version += 1
        return runs

    # --- reading ---

    def marks(self) -> list[Mark]:
        """Every producer's mark."""
        rows = self._query("SELECT project, producer, ranges, seen_at FROM marks").to_pylist()
        return [
            Mark(
                r["project"], r["producer"], tuple(zip(r["ranges"][::2], r["ranges"][1::2], strict=True)), r["seen_at"]
            )
            for r in rows
        ]

    def shapes(self) -> list[tuple[str, str, str, tuple[str, ...]]]:
        """Every shape as (project, pipeline that brought it, id, sorted keys)."""
        rows = self._query(
            "SELECT project, any_value(pipeline) AS pipeline, shape_id, list(key ORDER BY key) AS keys"
            " FROM shapes GROUP BY project, shape_id"
        ).to_pylist()
        return [(r["project"], r["pipeline"], r["shape_id"], tuple(sorted(r["keys"]))) for r in rows]

    @property
    def version(self) -> int:
        """A number that grows with every change of what can be read, once the change can be read."""
        return self._version

    def project(self, name: str, cancel: Cancel | None = None) -> Reader:
        """A handle that sees one project's rows and no others. Its reads raise `Cancelled` once `cancel` is set."""
        return DuckReader(self, name, cancel)

    def may_hold(self, source: str, project: str) -> bool:
        """Whether a source may have rows of a project."""
        return source != "losses" or project in self._losing

    def stats(self) -> dict[str, int]:
        """Rows by table, and bytes held."""
        counts = " UNION ALL ".join(f"SELECT '{t}' AS name, count(*) AS n FROM {t}" for t in TABLES)  # noqa: S608
        found = {row["name"]: row["n"] for row in self._query(counts).to_pylist()}
        sizes = (Path(self._path), Path(self._path + ".wal"))
        found["bytes"] = sum(size.stat().st_size for size in sizes if size.exists())
        return found

    def lost(self) -> dict[str, int]:
        """What did not arrive, of all projects, by cause; the cause heard of first comes first."""
        schema = pa.schema([("cause", pa.string()), ("n", pa.int64())])
        rows = self._query(_LOST, schema=schema).to_pylist()
        return {row["cause"]: row["n"] for row in rows}

    def read(
        self,
        sql: str,
        values: Mapping[str, Any],
        schema: pa.Schema | None = None,
        incoming: pa.Table | None = None,
        cancel: Cancel | None = None,
    ) -> pa.Table:
        """The answer to a query, which may name `incoming`. Give the `schema` of small answers: it is faster."""
        return self._query(sql, {**self.times(sql, values["project"]), **values}, schema, incoming, cancel)

    @contextmanager
    def snapshot(self, cancel: Cancel | None = None) -> Iterator[Read]:
        """`read`, of the store as it is now, whatever is committed meanwhile."""
        with _errors(), self._reading() as cursor, (cancel or Cancel()).stopping(cursor.interrupt):
            cursor.execute("BEGIN")

            def read(
                sql: str, values: Mapping[str, Any], schema: pa.Schema | None = None, incoming: pa.Table | None = None
            ) -> pa.Table:
                return _answer(cursor, sql, {**self.times(sql, values["project"]), **values}, schema, incoming)

            yield read
            cursor.execute("COMMIT")  # after an exception the cursor is closed, and its transaction with it

    @property
    def types(self) -> Mapping[str, Mapping[str, str]]:
        """The engine's type of each column of each source."""
        return self._types

    def times(self, sql: str, project: str = "") -> dict[str, Any]:
        """The server's times, and who of a project has not been silent, for a query that names them."""
        if "$alive_since" not in sql:
            return {}
        alive_since = self._alive_since()
        heard = self._heard.get(project, {}).copy()  # in one piece, beside the writer
        alive = [producer for producer, seen_at in heard.items() if seen_at >= alive_since]
        return {"opened_at": self._opened_at, "alive_since": alive_since, "alive": alive}

    def _alive_since(self) -> int:
        return int((self._clock() - self._abandoned_after) * 1e6)

    def _query(
        self,
        sql: str,
        values: Mapping[str, Any] | None = None,
        schema: pa.Schema | None = None,
        incoming: pa.Table | None = None,
        cancel: Cancel | None = None,
    ) -> pa.Table:
        with _errors(), self._reading() as cursor, (cancel or Cancel()).stopping(cursor.interrupt):
            return _answer(cursor, sql, values or {}, schema, incoming)

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of one's own. It is kept for the next reader, because a new one costs as much as a small query."""
        try:
            cursor = self._readers.pop()
        except IndexError:
            cursor = self._cursor()
        try:
            yield cursor
        except BaseException:
            cursor.close()
            raise
        if self._closed:
            cursor.close()
        else:
            self._readers.append(cursor)

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        try:
            cursor = self._db.cursor()
            cursor.execute("USE dxray")
        except duckdb.ConnectionException as error:
            raise StoreError("the store is closed") from error
        return cursor

    # --- keeping house ---

    def keep_house(self) -> None:
        """What no request should wait for: the write-ahead log into the file, counts of huge open steps."""
        with self._write, _errors():
            if self._uncounted:
                with _transaction(self._writer):
                    duck_commit.count_again(self._writer, self._uncounted)
                self._version += 1
                self._uncounted = set()  # only now: what fails is tried again
            self._forget_marks()
            since = self._alive_since()
            self._heard = {
                project: {producer: seen_at for producer, seen_at in heard.items() if seen_at >= since}
                for project, heard in self._heard.items()
            }
        wal = Path(self._path + ".wal")
        if wal.exists() and wal.stat().st_size > WAL_BYTES:
            self.checkpoint()

    def _forget_marks(self) -> None:
        """Those of producers that have been silent for long; once an hour."""
        now = self._clock()
        if now >= self._forget_again_at:
            self._forget_again_at = now + 3600
            self._writer.execute("DELETE FROM marks WHERE seen_at < ?", [int((now - MARK_S) * 1e6)])

    def checkpoint(self) -> None:
        """Bring the write-ahead log into the file."""
        with self._write, _errors():
            # failpoint: store.checkpoint_before
            self._writer.execute("CHECKPOINT")
            # failpoint: store.checkpoint_after

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        self._house.stop()
        with self._write:
            if not self._closed:
                self._closed = True
                for connection in (*self._readers, self._writer, self._db):
                    connection.close()


# --- opening, and errors ----------------------------------------------------------------------------------


def _answer(
    cursor: duckdb.DuckDBPyConnection,
    sql: str,
    values: Mapping[str, Any],
    schema: pa.Schema | None,
    incoming: pa.Table | None,
) -> pa.Table:
    if schema is None or incoming is not None:
        return duck_commit.query(cursor, sql, values, incoming)
    # A query with an Arrow answer is planned twice, which costs more than a few hundred rows.
    columns = list(zip(*cursor.execute(sql, dict(values)).fetchall(), strict=True))
    if not columns:
        return schema.empty_table()
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _half_the_cores() -> int:
    """The other half decodes; and an insert by one thread costs a fifth less than by two."""
    return max(1, (os.cpu_count() or 1) // 2)


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
                db.execute("SET checkpoint_threshold = '1GB'")  # by `keep_house`, not by a commit
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
def _transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    con.execute("BEGIN")
    # failpoint: commit.begun
    try:
        yield
    except BaseException:
        con.execute("ROLLBACK")
        raise
    # failpoint: commit.before_commit
    con.execute("COMMIT")
    # failpoint: commit.committed


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise StoreError(f"the store did not do it: {error}") from error
