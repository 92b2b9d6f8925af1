"""Clauses -> SQL conditions. Names come from the allow-list, values are bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from dxray.server.errors import Invalid, nearest
from dxray.server.filters import Clause
from dxray.server.store.base import Value
from dxray.server.store.evidence_keys import IN_STR, Key, Place
from dxray.server.store.sources import JSON_COLUMNS, LATE, SOURCES
from dxray.wire.evidence import BOOL, NUMBER

_COMPARE = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_FEW = 8  # values that are named one by one: a join with a list of them costs as much as reading the column
_LARGE = 2**53  # from here on not every integer is a double, and evidence keeps their digits as text


def check_column(source: str, name: str, use: str | None = None) -> str:
    """The name of a column of a source. Raises `Invalid` for one that is not there, or comes too late."""
    if name not in SOURCES[source]:
        raise Invalid(f"{source} has no column {name!r}", field=name, fix=nearest(name, SOURCES[source]))
    if use is not None and name in LATE.get(source, ()):
        raise Invalid(f"{source} cannot be {use} by {name!r}", field=name)
    return name


@dataclass(slots=True)
class Where:
    """The conditions of one query, with what they need: joins and bound values."""

    source: str
    types: Mapping[str, str]  # the engine's type of each column
    expressions: Mapping[str, str]  # SQL for each column
    places: Callable[[str], Sequence[Place]]  # of a key of evidence
    conditions: list[str] = field(default_factory=list)
    joins: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def add(self, clauses: Sequence[Clause]) -> Where:
        for clause in clauses:
            parts = clause.field.split("|")
            # A key of a JSON text or of evidence may hold any character.
            names = parts if all(part in SOURCES[self.source] for part in parts) else [clause.field]
            tests = [self._test(name, clause) for name in names]
            self.conditions.append(tests[0] if len(tests) == 1 else "(" + " OR ".join(tests) + ")")
        return self

    def bind(self, value: Any) -> str:
        name = f"v{len(self.values)}"
        self.values[name] = value
        return "$" + name

    def value(self, value: Value) -> str:
        """A value inside the rows, as SQL."""
        root, dot, path = value.field.partition(".")
        if dot and root == "evidence" and self.source == "events":
            key = self._key(path)
            found = key.number(NUMBER) if value.kind == "number" else key.text()
        elif dot and root in JSON_COLUMNS.get(self.source, ()):
            found = self._json_text(root, path)
            found = f"TRY_CAST({found} AS DOUBLE)" if value.kind == "number" else found
        else:
            raise Invalid(f"{self.source} has no values in {value.field!r}", field=value.field)
        return self._bin(found, value.edges) if value.edges else found

    def _bin(self, number: str, edges: Sequence[float]) -> str:
        """How many edges a number reaches: a tree of comparisons, so that a hundred edges cost seven."""

        def below(first: int, last: int) -> str:
            if first == last:
                return str(first)
            middle = (first + last) // 2
            edge = self.bind(float(edges[middle]))
            return f"CASE WHEN {number} < {edge} THEN {below(first, middle)} ELSE {below(middle + 1, last)} END"

        return f"CASE WHEN {number} IS NOT NULL THEN {below(0, len(edges))} END"

    def _key(self, key: str) -> Key:
        return Key.of(key, self.places(key), self.bind, self.joins)

    def _test(self, name: str, clause: Clause) -> str:
        root, dot, path = name.partition(".")
        if dot and root == "evidence" and self.source == "events":
            return self._evidence(path, clause)
        if dot and root in JSON_COLUMNS.get(self.source, ()):
            return self._json(root, path, clause)
        column = self.expressions[check_column(self.source, name, "filtered")]
        type_ = self.types[name]
        if type_.endswith("[]"):
            return self._in_list(column, name, clause, is_text=type_ == "VARCHAR[]")
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
            if len(values) > _FEW:
                return f"{sql} IN (SELECT unnest({self.bind(values)}))"
            return f"{sql} IN ({', '.join(map(self.bind, values))})" if values else "false"
        fitted = _fit(name, value, is_text, is_bool)
        if op == "!=":
            return f"{sql} IS DISTINCT FROM {self.bind(fitted)}"
        return f"{sql} {_COMPARE[op]} {self.bind(fitted)}"

    def _in_list(self, column: str, name: str, clause: Clause, *, is_text: bool) -> str:
        if clause.op in ("==", "contains"):
            if is_text and not isinstance(clause.value, str):
                raise Invalid(f"{name} holds texts, not {clause.value!r}", field=name)
            return f"list_contains({column}, {self.bind(_fit(name, clause.value, is_text))})"
        if clause.op in ("is_null", "not_null"):
            return self._compare(column, name, clause, is_text=True)
        raise Invalid(f"{name!r} is a list; it can only be searched for a value", field=name)

    def _json(self, root: str, path: str, clause: Clause) -> str:
        return self._free(self._json_text(root, path), f"{root}.{path}", clause)

    def _json_text(self, root: str, path: str) -> str:
        pointer = "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path.split("."))
        column = self.expressions[root]
        return f"(CASE WHEN json_valid({column}) THEN json_extract_string({column}, {self.bind(pointer)}) END)"

    def _free(self, text: str, name: str, clause: Clause) -> str:
        """A test of a value whose type is known only row by row: numbers compare as numbers, else as text."""
        sample = next(iter(clause.value), None) if clause.op == "in" else clause.value
        if isinstance(sample, bool):
            value = [str(v).lower() for v in clause.value] if clause.op == "in" else str(sample).lower()
            return self._compare(text, name, Clause(name, clause.op, value), is_text=True)
        if isinstance(sample, (int, float)):
            return self._compare(f"TRY_CAST({text} AS DOUBLE)", name, clause, is_text=False)
        return self._compare(text, name, clause, is_text=True)

    def _evidence(self, name: str, clause: Clause) -> str:
        key = self._key(name)
        if clause.op in ("is_null", "not_null"):
            return self._compare(f"({key.any()})", name, clause, is_text=True)
        values = list(clause.value) if clause.op == "in" else [clause.value]
        if not values or not isinstance(values[0], (int, float, Decimal)):
            return self._compare(f"({key.texts(*IN_STR)})", name, clause, is_text=True)
        if clause.op in ("==", "!=", "in") and all(isinstance(v, int) and abs(v) >= _LARGE for v in values):
            return self._compare(f"({key.digits()})", name, clause, is_text=True)
        values = [float(v) if isinstance(v, bool) else v for v in values]
        clause = Clause(clause.field, clause.op, values if clause.op == "in" else values[0])
        return self._compare(f"({key.number(NUMBER, BOOL)})", name, clause, is_text=False)


def _fit(name: str, value: Any, is_text: bool, is_bool: bool = False) -> Any:
    """The value in the column's type. Raises `Invalid` when it cannot be."""
    if is_text:
        return value if value is None or isinstance(value, str) else str(value)
    if is_bool:
        if isinstance(value, bool):
            return value
        if value in ("true", "false"):
            return value == "true"
        raise Invalid(f"{name} is true or false, not {value!r}", field=name)
    if isinstance(value, float) or (type(value) is int and abs(value) < 2**63):
        return value
    try:
        if isinstance(value, bool):
            raise TypeError
        return float(value)  # also what has more digits than the engine takes
    except (TypeError, ValueError, OverflowError):
        raise Invalid(f"{name} is a number, not {value!r:.60}", field=name) from None
