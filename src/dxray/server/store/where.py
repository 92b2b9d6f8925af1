"""Clauses -> SQL conditions. Names come from the allow-list, values are bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dxray.server.errors import Invalid, nearest
from dxray.server.filters import Clause
from dxray.server.store.sources import JSON_COLUMNS, LATE, SOURCES

# Where a key of evidence lies, by shape.
_PLACES = """
LEFT JOIN (
    SELECT shape_id, position, class FROM shapes WHERE project = $project AND key = {key}
) {alias} ON {alias}.shape_id = e.shape_id
"""
_COMPARE = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def check_column(source: str, name: str) -> str:
    """The name of a column of a source. Raises `Invalid` for one that is not there."""
    if name not in SOURCES[source]:
        raise Invalid(f"{source} has no column {name!r}", field=name, fix=nearest(name, SOURCES[source]))
    return name


@dataclass(slots=True)
class Where:
    """The conditions of one query, with what they need: joins (one for each evidence key) and bound values."""

    source: str
    types: Mapping[str, str]  # the engine's type of each column
    expressions: Mapping[str, str]  # SQL for each column
    conditions: list[str] = field(default_factory=list)
    joins: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def add(self, clauses: Sequence[Clause]) -> Where:
        for clause in clauses:
            tests = [self._test(name, clause) for name in clause.field.split("|")]
            self.conditions.append(tests[0] if len(tests) == 1 else "(" + " OR ".join(tests) + ")")
        return self

    def bind(self, value: Any) -> str:
        name = f"v{len(self.values)}"
        self.values[name] = value
        return "$" + name

    def _test(self, name: str, clause: Clause) -> str:
        root, dot, path = name.partition(".")
        if dot and root == "evidence" and self.source == "events":
            return self._evidence(path, clause)
        if dot and root in JSON_COLUMNS.get(self.source, ()):
            return self._json(root, path, clause)
        if name in LATE.get(self.source, ()):
            raise Invalid(f"{self.source} cannot be filtered by {name!r}", field=name)
        column = self.expressions[check_column(self.source, name)]
        type_ = self.types[name]
        if type_.endswith("[]"):
            return self._in_list(column, name, clause)
        return self._compare(column, name, clause, is_text=type_ == "VARCHAR", is_bool=type_ == "BOOLEAN")

    def _compare(self, sql: str, name: str, clause: Clause, *, is_text: bool, is_bool: bool = False) -> str:
        op, value = clause.op, clause.value
        if op == "is_null":
            return f"{sql} IS NULL"
        if op == "not_null":
            return f"{sql} IS NOT NULL"
        if op == "contains":
            return f"contains(lower(CAST({sql} AS VARCHAR)), lower({self.bind(str(value))}))"
        if op == "in":
            values = [_fit(name, v, is_text, is_bool) for v in value]
            return f"{sql} IN (SELECT unnest({self.bind(values)}))" if values else "false"
        fitted = _fit(name, value, is_text, is_bool)
        if op == "!=":
            return f"{sql} IS DISTINCT FROM {self.bind(fitted)}"
        return f"{sql} {_COMPARE[op]} {self.bind(fitted)}"

    def _in_list(self, column: str, name: str, clause: Clause) -> str:
        if clause.op in ("==", "contains"):
            return f"list_contains({column}, {self.bind(clause.value)})"
        if clause.op in ("is_null", "not_null"):
            return self._compare(column, name, clause, is_text=True)
        raise Invalid(f"{name!r} is a list; it can only be searched for a value", field=name)

    def _json(self, root: str, path: str, clause: Clause) -> str:
        pointer = "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path.split("."))
        column = self.expressions[root]
        text = f"CASE WHEN json_valid({column}) THEN json_extract_string({column}, {self.bind(pointer)}) END"
        return self._free(f"({text})", f"{root}.{path}", clause)

    def _free(self, text: str, name: str, clause: Clause) -> str:
        """A test of a value whose type is known only row by row: numbers compare as numbers, else as text."""
        sample = next(iter(clause.value), None) if clause.op == "in" else clause.value
        if isinstance(sample, bool):
            value = [str(v).lower() for v in clause.value] if clause.op == "in" else str(sample).lower()
            return self._compare(text, name, Clause(name, clause.op, value), is_text=True)
        if isinstance(sample, (int, float)):
            return self._compare(f"TRY_CAST({text} AS DOUBLE)", name, clause, is_text=False)
        return self._compare(text, name, clause, is_text=True)

    def _evidence(self, key: str, clause: Clause) -> str:
        alias = f"k{len(self.joins)}"
        self.joins.append(_PLACES.format(alias=alias, key=self.bind(key)))
        number = f"CASE WHEN {alias}.class IN ('number', 'bool') THEN e.num[{alias}.position] END"
        text = f"CASE WHEN {alias}.class NOT IN ('number', 'bool') THEN e.str[{alias}.position] END"
        if clause.op in ("is_null", "not_null"):
            return self._compare(f"coalesce(CAST({number} AS VARCHAR), {text})", key, clause, is_text=True)
        sample = next(iter(clause.value), None) if clause.op == "in" else clause.value
        if isinstance(sample, (bool, int, float)):
            return self._compare(f"({number})", key, clause, is_text=False)
        return self._compare(f"({text})", key, clause, is_text=True)


def _fit(name: str, value: Any, is_text: bool, is_bool: bool = False) -> Any:
    """The value in the column's type. Raises `Invalid` when it cannot be."""
    if is_text:
        return value if value is None or isinstance(value, str) else str(value)
    if is_bool:
        return bool(value)
    if isinstance(value, (int, float)):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        raise Invalid(f"{name} is a number, not {value!r}", field=name) from None
