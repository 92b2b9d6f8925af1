"""How DuckDB answers: reads of one project, as SQL from the sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Protocol

import pyarrow as pa

from dxray.server.errors import Invalid, nearest
from dxray.server.filters import Clause
from dxray.server.store.base import Value
from dxray.server.store.cancel import Cancel
from dxray.server.store.duck_sources import DUCK_SOURCES, STEP_COUNTS
from dxray.server.store.evidence_keys import MANY, PLACES, Place
from dxray.server.store.run_numbers import numbered, run_no, span
from dxray.server.store.sources import LATE, SOURCES
from dxray.server.store.where import Where, check_column

SMALL = 1_000  # rows
FEW = ("losses", "labels", "decisions", "rules")  # sources of which a page or a run has few rows
# Sources of which few rows belong to those who are named by these columns, and to how many.
OF_ONE = {"runs": "run_id", "steps": "run_id", "events": "item_id", "lineage": "item_id", "shapes": "shape_id"}
NAMED = 20
_BESIDE_KEYS = ("run_id", "step_id")
_ARROW = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "UBIGINT": pa.uint64(),
    "INTEGER": pa.int32(),
    "DOUBLE": pa.float64(),
    "FLOAT": pa.float32(),
    "BOOLEAN": pa.bool_(),
    "VARCHAR[]": pa.list_(pa.string()),
    "BIGINT[]": pa.list_(pa.int64()),
    "DOUBLE[]": pa.list_(pa.float64()),
}


class Read(Protocol):
    """`Engine.read`, of one state of the store."""

    def __call__(
        self, sql: str, values: Mapping[str, Any], schema: pa.Schema | None = None, incoming: pa.Table | None = None, /
    ) -> pa.Table: ...


class Engine(Protocol):
    """What a reader asks of the store it belongs to."""

    @property
    def types(self) -> Mapping[str, Mapping[str, str]]:
        """The engine's type of each column of each source."""

    def may_hold(self, source: str, project: str) -> bool:
        """Whether a source may have rows of a project."""

    def read(
        self,
        sql: str,
        values: Mapping[str, Any],
        schema: pa.Schema | None = None,
        incoming: pa.Table | None = None,
        cancel: Cancel | None = None,
    ) -> pa.Table:
        """The answer to a query, which may name `incoming`. Give the `schema` of small answers: it is faster."""

    def snapshot(self, cancel: Cancel | None = None) -> AbstractContextManager[Read]:
        """`read`, of the store as it is now, whatever is committed meanwhile."""


class DuckReader:
    """Reads of one project."""

    def __init__(self, store: Engine, project: str, cancel: Cancel | None = None) -> None:
        self._store = store
        self._project = project
        self._cancel = cancel

    def select(
        self,
        source: str,
        columns: Sequence[str | Value] = (),
        where: Sequence[Clause] = (),
        order: Sequence[str] = (),
        limit: int | None = None,
        offset: int = 0,
        beside: pa.Table | None = None,
    ) -> pa.Table:
        """Rows of a source; see `store.base.Reader`."""
        with self._reading([*columns, *where]) as read:
            return self._select(read, source, columns, where, order, limit, offset, beside)

    def _select(
        self,
        read: Read,
        source: str,
        columns: Sequence[str | Value],
        where: Sequence[Clause],
        order: Sequence[str],
        limit: int | None,
        offset: int,
        beside: pa.Table | None,
    ) -> pa.Table:
        asked = _Asked(self._where(source, where, read), beside)
        late = [name for name in columns or SOURCES[source] if name in LATE.get(source, ())]
        first = [one for one in columns or SOURCES[source] if one not in late]
        if late and "run_id" not in first:
            first.append("run_id")
        head = ", ".join(f"{asked.expression(one)} AS {asked.alias(one)}" for one in first)
        sql = self._sql(source, head, asked, self._order(source, order))
        if limit is not None:
            sql += f" LIMIT {asked.where.bind(limit)} OFFSET {asked.where.bind(offset)}"
        wanted = [one if isinstance(one, str) else one.name for one in columns or SOURCES[source]]
        plain = [one for one in first if isinstance(one, str)] if beside is None else []
        schema = self._schema(source, plain) if len(plain) == len(first) else None
        if not self._store.may_hold(source, self._project) and schema is not None:
            return self._schema(source, wanted).empty_table()
        small = source in FEW or (limit is not None and limit <= SMALL) or _names_few(source, where)
        table = asked.named(read(sql, asked.where.values, schema if small else None, asked.beside))
        if late:
            table = self._with_step_count(read, table)
        return table.select(wanted)

    def _with_step_count(self, read: Read, runs: pa.Table) -> pa.Table:
        run_ids = runs["run_id"].to_pylist()
        schema = pa.schema([("run_id", pa.string()), ("n", pa.int64())])
        if not run_ids:
            return runs.append_column("step_count", pa.array([], pa.int64()))
        found = read(STEP_COUNTS, {"project": self._project, "run_ids": run_ids, **span(run_ids)}, schema)
        counts = dict(zip(found["run_id"].to_pylist(), found["n"].to_pylist(), strict=True))
        return runs.append_column("step_count", pa.array([counts.get(run_id, 0) for run_id in run_ids], pa.int64()))

    def count_by(
        self,
        source: str,
        by: Sequence[str | Value],
        where: Sequence[Clause] = (),
        beside: pa.Table | None = None,
    ) -> pa.Table:
        """How many rows there are of each; see `store.base.Reader`."""
        with self._reading([*by, *where]) as read:
            asked = _Asked(self._where(source, where, read), beside)
            groups = [f"{asked.expression(one, 'grouped')} AS {asked.alias(one)}" for one in by]
            head = ", ".join([*groups, "count(*) AS n"])
            if not by:
                schema = pa.schema([("n", pa.int64())])
                return read(self._sql(source, head, asked), asked.where.values, schema, asked.beside)
            tail = " GROUP BY ALL"
            if beside is None:
                tail += " ORDER BY n DESC, " + ", ".join(asked.alias(one) for one in by)
            return asked.named(read(self._sql(source, head, asked, tail), asked.where.values, None, asked.beside))

    @contextmanager
    def _reading(self, named: Iterable[str | Value | Clause]) -> Iterator[Read]:
        """Where evidence is named, the places of its keys are read first: both of the same state of the store."""
        if any("evidence." in one.field for one in named if not isinstance(one, str)):
            with self._store.snapshot(self._cancel) as read:
                yield read
        else:
            yield partial(self._store.read, cancel=self._cancel)

    def _sql(self, source: str, head: str, asked: _Asked, tail: str = "") -> str:
        spec, where = DUCK_SOURCES[source], asked.where
        tables = spec.tables([head, tail, *where.conditions, *asked.joins])
        conditions = " AND ".join([f"{spec.alias}.project = $project", *where.conditions])
        return f"SELECT {head} {tables} {' '.join([*asked.joins, *where.joins])} WHERE {conditions}{tail}"

    def _schema(self, source: str, columns: Iterable[str]) -> pa.Schema:
        types = self._store.types[source]
        return pa.schema([(name, _ARROW[types[name]]) for name in columns])

    def _where(self, source: str, clauses: Sequence[Clause], read: Read) -> Where:
        places = partial(self._places, read)
        where = Where(source, self._store.types[source], DUCK_SOURCES[source].expressions, places).add(clauses)
        where.values["project"] = self._project
        where.conditions += [
            self._nearby(source, one, where) for one in clauses if one.field == "run_id" and _names(one)
        ]
        return where

    def _places(self, read: Read, key: str) -> list[Place]:
        """The places of a key of evidence, at most so many that they are many."""
        schema = pa.schema([("shape_id", pa.string()), ("class", pa.string()), ("position", pa.int32())])
        found = read(PLACES, {"project": self._project, "key": key, "most": MANY}, schema)
        return list(zip(*(column.to_pylist() for column in found.columns), strict=True))

    def _nearby(self, source: str, clause: Clause, where: Where) -> str:
        """Where in time the runs are that a clause names."""
        column = f"{DUCK_SOURCES[source].alias}.run_no"
        if clause.op == "==":
            return f"{column} = {where.bind(run_no(str(clause.value)))}"
        near = span(map(str, clause.value))
        return f"{column} BETWEEN {where.bind(near['lo'])} AND {where.bind(near['hi'])}"

    def _order(self, source: str, order: Sequence[str]) -> str:
        expressions = DUCK_SOURCES[source].expressions
        parts = [
            f"{expressions[check_column(source, name.removeprefix('-'), 'ordered')]} {_direction(name)} NULLS LAST"
            for name in order
        ]
        return " ORDER BY " + ", ".join(parts) if parts else ""


def _names(clause: Clause) -> bool:
    """Whether a clause about a run's id says which."""
    return clause.op == "==" or (clause.op == "in" and len(clause.value) > 0)


def _names_few(source: str, where: Sequence[Clause]) -> bool:
    """Whether the answer is small because of whom it is about."""
    about = [one for one in where if one.field == OF_ONE.get(source)]
    return any(one.op == "==" or (one.op == "in" and len(one.value) <= NAMED) for one in about)


class _Asked:
    """What one query asks for: columns of the source, values inside its rows, and columns of a table beside it."""

    def __init__(self, where: Where, beside: pa.Table | None) -> None:
        self.where = where
        self.beside = beside
        self.joins: list[str] = []
        self._values: dict[str, str] = {}  # names by alias
        self._others: tuple[str, ...] = ()
        if beside is not None:
            keys = [key for key in _BESIDE_KEYS if key in beside.column_names]
            if not keys or not all(key in SOURCES[where.source] for key in keys):
                raise Invalid("a table beside a source has run_id or step_id, as the source does", field="beside")
            sides = [f"incoming.{key}" for key in keys], [where.expressions[key] for key in keys]
            if where.source == "events":  # a hash is made once for each text of a dictionary, and not for each row
                sides = [f"hash({', '.join(sides[0])})"], [f"hash({', '.join(sides[1])})"]
            on = [f"{one} = {other}" for one, other in zip(*sides, strict=True)]
            self._others = tuple(name for name in beside.column_names if name not in keys)
            if "run_id" in keys:
                self.beside = numbered(beside)
                on.append(f"incoming.run_no = {DUCK_SOURCES[where.source].alias}.run_no")
            self.joins.append(f"JOIN incoming ON {' AND '.join(on)}")

    def alias(self, one: str | Value) -> str:
        """What a column is called in SQL: names there do not tell upper from lower case, and keys do."""
        if isinstance(one, str):
            return _quoted(one)
        known = {name: alias for alias, name in self._values.items()}
        alias = known.get(one.name, f"value {len(self._values)}")
        self._values[alias] = one.name
        return _quoted(alias)

    def named(self, table: pa.Table) -> pa.Table:
        """The answer with its columns called as they were asked for."""
        return table.rename_columns([self._values.get(name, name) for name in table.column_names])

    def expression(self, one: str | Value, use: str | None = None) -> str:
        """A column as SQL."""
        if isinstance(one, Value):
            return self.where.value(one)
        if one in self._others:
            return f"incoming.{_quoted(one)}"
        if self._others and one not in SOURCES[self.where.source]:
            raise Invalid(f"there is no column {one!r} here", field=one, fix=nearest(one, self._others))
        return self.where.expressions[check_column(self.where.source, one, use)]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _direction(name: str) -> str:
    return "DESC" if name.startswith("-") else "ASC"
