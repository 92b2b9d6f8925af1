"""What one commit does to a DuckDB file, inside a transaction that is open already.

Each statement costs a millisecond or two to plan, and a small commit little else: so what is there already is looked up
by hashed keys, decided upon here, and deleted only where there is something to delete.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dxray.server.errors import StoreError
from dxray.server.store.base import Commit, Mark
from dxray.server.store.queries import SQL, read_queries
from dxray.server.store.run_numbers import numbered, span
from dxray.server.store.run_versions import merged
from dxray.server.store.tallies import Counts, Declared, StepEvents, StepKey, rows_of, step_numbers, tally
from dxray.server.store.tallies import table as tally_table
from dxray.wire.columns import row_key

TOO_MANY = 50_000  # events of an open step that are not counted again with each commit
TOO_MANY_TO_READ = 1_000_000  # events of a step that are counted in the engine, which can spill

_INSERT = read_queries(SQL / "duckdb" / "insert.sql")
_APPENDED = ("events", "lineage", "decisions", "losses", "labels")
_KEYS = {"runs": "run_key", "steps": "step_key", "rules": "rule_key"}
_STEP_KEY = ("project", "run_id", "step_id")

Con = duckdb.DuckDBPyConnection


def write(con: Con, commit: Commit) -> set[StepKey]:
    """Insert everything, and count the steps it touches. Returns steps that are left to be counted later."""
    tables = {name: table for name, table in commit.tables.items() if table.num_rows}
    for name, table in tables.items():
        if name in _KEYS:
            _replace(con, name, table)
        elif name in _APPENDED:
            # In one piece: DuckDB deals out pieces to its threads, and row groups that none of them fills are written
            # twice, to the write-ahead log first.
            _append(con, name, table.combine_chunks())
        elif name == "shapes":
            _run(con, _INSERT["add_shapes"], table)
        else:
            raise StoreError(f"there is no table {name!r} to insert into")
    # failpoint: commit.data_written
    if commit.marks:
        _put_marks(con, commit.marks)
    # failpoint: commit.marks_written
    return _Tally(con).of_commit(tables)


def left_open(con: Con) -> set[StepKey]:
    """Open steps with more events than are counted with each commit."""
    return set(con.execute(_INSERT["left_open"], {"too_many": TOO_MANY}).fetchall())


def count_again(con: Con, keys: Iterable[StepKey]) -> None:
    """Count these steps from all their events."""
    _Tally(con).again(list(keys))


def query(con: Con, sql: str, values: Mapping[str, Any] | None = None, incoming: pa.Table | None = None) -> pa.Table:
    """The answer to a query, as Arrow."""
    relation = con.sql(sql, params=dict(values or {}))  # finds `incoming` by its name
    assert relation is not None  # it is a query
    return relation.to_arrow_table()


def _run(con: Con, sql: str, incoming: pa.Table) -> None:
    """Execute a statement about `incoming`. DuckDB finds it by its name, at half the price of registering it."""
    con.execute(sql)


def _append(con: Con, name: str, table: pa.Table) -> None:
    _run(con, _INSERT["append"].format(table=name), numbered(table))


def _span(run_ids: Sequence[str], keys: Iterable[int]) -> dict[str, Any]:
    """What the statements about rows that are there are given."""
    return {**span(run_ids), "keys": list(keys)}


def _replace(con: Con, name: str, table: pa.Table) -> None:
    """Put in the newest version of each row, unless the store has a newer one; runs in parts become one of all."""
    key = _KEYS[name]
    keys, versions = table[key].to_pylist(), table["version"].to_pylist()
    run_ids = table["run_id"].to_pylist()
    sql = _INSERT["present"].format(table=name, key=key, in_parts="said IS NOT NULL" if name == "runs" else "false")
    found = con.execute(sql, _span(run_ids, set(keys))).fetchall()
    present: dict[int, int] = {one: version for one, version, _ in found}
    in_parts = {one for one, _, partial in found if partial}
    if name == "runs":
        in_parts.update(table.filter(pc.is_null(table["started_at"]))[key].to_pylist())
    newest: dict[int, int] = {}
    best = dict(present)
    for row, (one, version) in enumerate(zip(keys, versions, strict=True)):
        if version >= best.get(one, version) and one not in in_parts:
            best[one] = version
            newest[one] = row
    chosen = table if len(newest) == table.num_rows else table.take(pa.array(list(newest.values()), pa.int64()))
    if in_parts:
        chosen = pa.concat_tables([chosen, _merged(con, table, in_parts)], promote_options="default")
    replaced = present.keys() & (newest.keys() | in_parts)
    if replaced:
        con.execute(_INSERT["drop"].format(table=name, key=key), _span(run_ids, replaced))
    if chosen.num_rows:
        _append(con, name, chosen)


def _merged(con: Con, incoming: pa.Table, in_parts: set[int]) -> pa.Table:
    """The rows of these runs, of the versions that come and the row that is there."""
    versions: dict[int, list[dict[str, Any]]] = {one: [] for one in in_parts}
    there = query(con, _INSERT["runs_there"], _span(incoming["run_id"].to_pylist(), in_parts)).drop_columns("run_no")
    for row in there.to_pylist() + incoming.to_pylist():
        if row["run_key"] in in_parts:
            versions[row["run_key"]].append(row)
    schema = incoming.schema.append(pa.field("said", pa.string()))
    return pa.Table.from_pylist([merged(some) for some in versions.values()], schema=schema)


def _put_marks(con: Con, marks: Sequence[Mark]) -> None:
    table = pa.table(
        {
            "project": [m.project for m in marks],
            "producer": [m.producer for m in marks],
            "ranges": pa.array([[end for pair in m.ranges for end in pair] for m in marks], pa.list_(pa.int64())),
            "seen_at": pa.array([m.seen_at for m in marks], pa.int64()),
        }
    )
    producers = {"projects": [m.project for m in marks], "producers": [m.producer for m in marks]}
    con.execute(_INSERT["drop_marks"], producers)
    _run(con, _INSERT["append"].format(table="marks"), table)


class _Tally:
    """Counts steps, and puts the counts into the store."""

    def __init__(self, con: Con) -> None:
        self._con = con

    def of_commit(self, tables: Mapping[str, pa.Table]) -> set[StepKey]:
        """Count what the commit touched: new steps from its own rows, steps that go on from the store.

        Returns those that were left for later, because they are open and have very many events.
        """
        events, steps = tables.get("events"), tables.get("steps")
        keys, no = step_numbers(events) if events is not None else ([], np.zeros(0, dtype=np.int64))
        with_events = len(keys)
        decisions = _step_keys(tables.get("decisions"))
        keys += (_step_keys(steps) | decisions).keys() - set(keys)
        if not keys:
            return set()
        declared, so_far = self._known(keys)
        decided = {i for i, key in enumerate(keys) if key in decisions or so_far[i].decided}
        fresh = np.array([not so_far[i].events for i in range(with_events)], dtype=np.bool_)
        rows = []
        if events is not None and fresh.any():
            rows.append(rows_of(events, no, None if fresh.all() else fresh[no]))
        again, left = _to_count_again(declared, so_far, with_events, decided)
        for i in decided:
            so_far[i].decided = True
        counts = self._counts(keys, declared, rows, again, decided)
        self._put(keys, declared, so_far, counts)
        return {keys[i] for i in left}

    def again(self, keys: list[StepKey]) -> None:
        """Count these steps from the store; not those that have been deleted."""
        self._known(keys)
        keys = [key for key in keys if row_key(*key) in self._counted]
        if not keys:
            return
        declared, so_far = self._known(keys)
        decided = {i for i, counts in enumerate(so_far) if counts.decided}
        everything = dict.fromkeys(range(len(keys)), TOO_MANY_TO_READ + 1)
        counts = self._counts(keys, declared, [], everything, decided)
        self._put(keys, declared, so_far, counts)

    def _known(self, keys: list[StepKey]) -> tuple[list[Declared], list[Counts]]:
        """What the steps declare, and their counts so far."""
        hashed = [row_key(*key) for key in keys]
        here = _span([key[1] for key in keys], hashed)
        declared = {
            row[0]: Declared(row[1], row[2], _rejections(row[3]), row[4], row[5])
            for row in self._con.execute(_INSERT["declared"], here).fetchall()
        }
        counted = {row[0]: Counts(*row[1:]) for row in self._con.execute(_INSERT["counted"], here).fetchall()}
        self._counted = counted.keys()
        return [declared.get(h) or Declared() for h in hashed], [counted.get(h) or Counts() for h in hashed]

    def _counts(
        self,
        keys: list[StepKey],
        declared: list[Declared],
        rows: list[StepEvents],
        again: Mapping[int, int],
        decided: set[int],
    ) -> dict[int, Counts]:
        cutoffs = {i: d.cutoff for i, d in enumerate(declared) if d.cutoff is not None}
        huge = [i for i, events in again.items() if events > TOO_MANY_TO_READ]
        some = [i for i, events in again.items() if events <= TOO_MANY_TO_READ]
        if some:
            wanted = _steps_table(keys, some, cutoffs, decided)
            table = query(self._con, _INSERT["events_of"], _lo_hi(keys, some), wanted)
            rows.append(rows_of(table, table["no"].to_numpy().astype(np.int64), None))
        counts = tally(len(keys), StepEvents.concat(rows), cutoffs, decided) if rows else {}
        if huge:
            table = query(self._con, _INSERT["tally"], None, _steps_table(keys, huge, cutoffs, decided))
            counts.update({row["no"]: _counts_of(row, row["no"] in decided) for row in table.to_pylist()})
        return counts

    def _put(
        self, keys: list[StepKey], declared: list[Declared], so_far: list[Counts], counts: Mapping[int, Counts]
    ) -> None:
        rows = [(key, counts.get(i, so_far[i]), declared[i]) for i, key in enumerate(keys)]
        if self._counted:
            there = _span([key[1] for key in keys], list(self._counted))
            self._con.execute(_INSERT["drop"].format(table="tallies", key="step_key"), there)
        _append(self._con, "tallies", tally_table(rows))


def _to_count_again(
    declared: list[Declared], so_far: list[Counts], with_events: int, decided: set[int]
) -> tuple[dict[int, int], list[int]]:
    """Steps to count from the store, with the events counted so far, and steps that are left for later."""
    again: dict[int, int] = {}
    left: list[int] = []
    for i, (said, counts) in enumerate(zip(declared, so_far, strict=True)):
        if not counts.events:
            continue
        if counts.events > TOO_MANY and said.events is None:
            left.append(i)
        elif (
            i < with_events
            or said.cutoff is not None
            or counts.events > TOO_MANY
            or (i in decided and not counts.decided)
        ):
            again[i] = max(counts.events, said.events or 0)
    return again, left


def _step_keys(table: pa.Table | None) -> dict[StepKey, None]:
    """The steps that rows speak of, in their order."""
    if table is None:
        return {}
    return dict.fromkeys(zip(*(table[key].to_pylist() for key in _STEP_KEY), strict=True))


def _steps_table(
    keys: list[StepKey], wanted: list[int], cutoffs: Mapping[int, int], decided: Collection[int]
) -> pa.Table:
    columns = [pa.array(column, pa.string()) for column in zip(*(keys[i] for i in wanted), strict=True)]
    limits = pa.array([cutoffs.get(i) for i in wanted], pa.int32())
    chose = pa.array([i in decided for i in wanted], pa.bool_())
    return pa.table([pa.array(wanted, pa.int32()), *columns, limits, chose], ["no", *_STEP_KEY, "cutoff", "decided"])


def _lo_hi(keys: list[StepKey], wanted: list[int]) -> dict[str, int]:
    return span(keys[i][1] for i in wanted)


def _counts_of(row: Mapping[str, Any], decided: bool) -> Counts:
    return Counts(decided=decided, **{name: value for name, value in row.items() if name != "no"})


def _rejections(text: str | None) -> dict[str, int] | None:
    if text is None:
        return None
    found: dict[str, int] = json.loads(text)
    return found
