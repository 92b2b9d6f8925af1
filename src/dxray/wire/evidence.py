"""Evidence <-> interned shapes and typed arrays (only the server imports this).

A *shape* is the sorted keys of an event's evidence with the class of each. Its id is a hash of its content, so
servers need not agree on anything. Numbers and bools lie in one list of doubles, everything else in one list of
texts. A null is a null element, and being an int or a float is no part of the shape.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

NUMBER, BOOL, TEXT, JSON, EXACT, NONFINITE = "number", "bool", "text", "json", "exact", "nonfinite"
IN_NUM = frozenset((NUMBER, BOOL))

MAX_KEYS = 512
MAX_SHAPES = 4096
_MAX_SCOPE_KEYS = 10_000  # keys of one pipeline whose class is remembered for its nulls
_MAX_CACHED = 50_000
EXACT_LIMIT = 2.0**53  # a double holds every integer up to here

Values = Sequence[Any]
Scope = tuple[str, str]  # project, pipeline


@dataclass(frozen=True, slots=True)
class Shape:
    """Sorted keys with their classes, and where the values lie: in the list of doubles or in that of texts."""

    id: str
    keys: tuple[str, ...]
    classes: tuple[str, ...]
    in_num: tuple[int, ...]  # numbers of the keys that lie in `num`
    in_str: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One key's values, all of one class: doubles with a mask of nulls, or texts with None."""

    cls: str
    numbers: np.ndarray[Any, np.dtype[np.float64]] | None = None
    null: np.ndarray[Any, np.dtype[np.bool_]] | None = None
    texts: list[str | None] | None = None


def shape_id(keys: Sequence[str], classes: Sequence[str]) -> str:
    """Eleven characters that depend on nothing but the shape."""
    return short_hash([keys, classes])


def short_hash(content: Any) -> str:
    """64 bits of a hash, as 11 characters (DuckDB keeps 12 without a pointer)."""
    digest = hashlib.blake2b(msgspec.json.encode(content), digest_size=8).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class ShapeBook:
    """The shapes a server knows: which are stored, how many each pipeline brought, and the class of each key.

    Used by one thread at a time, except `stored`, which may be called by another.
    """

    def __init__(self, max_shapes: int = MAX_SHAPES) -> None:
        self.max_shapes = max_shapes
        self._stored: dict[str, set[str]] = {}
        self._seen: dict[str, set[str]] = {}
        self._key_sets: dict[str, set[tuple[str, ...]]] = {}
        self._brought: dict[Scope, int] = {}
        self._classes: dict[Scope, dict[str, str]] = {}
        self._shapes: dict[tuple[tuple[str, ...], tuple[str, ...]], Shape] = {}
        self._fresh: dict[tuple[str, str], tuple[str, Shape]] = {}
        self.plans: dict[tuple[Scope, tuple[str, ...]], Any] = {}  # how evidence with these keys was read last

    def load(self, rows: Iterable[tuple[str, str, str, tuple[str, ...]]]) -> None:
        """Learn what is stored, from (project, pipeline, shape id, sorted keys), a shape once."""
        for project, pipeline, id_, keys in rows:
            self._stored.setdefault(project, set()).add(id_)
            self._seen.setdefault(project, set()).add(id_)
            self._key_sets.setdefault(project, set()).add(keys)
            self._brought[project, pipeline] = self._brought.get((project, pipeline), 0) + 1

    def stored(self, ids: Iterable[tuple[str, str]]) -> None:
        """These (project, shape id) are committed: their rows need not be sent again."""
        for project, id_ in ids:
            self._stored.setdefault(project, set()).add(id_)

    def find(self, scope: Scope, keys: tuple[str, ...], classes: tuple[str, ...]) -> Shape | None:
        """The shape of sorted `keys`, or None when the pipeline has brought as many new ones as it may."""
        shape = self._shapes.get((keys, classes))
        if shape is None:
            shape = self._make(keys, classes)
        project = scope[0]
        seen = self._seen.setdefault(project, set())
        if shape.id not in seen:
            brought = self._brought.get(scope, 0)
            if brought >= self.max_shapes:
                return None
            self._brought[scope] = brought + 1
            seen.add(shape.id)
            self._key_sets.setdefault(project, set()).add(keys)
        if shape.id not in self._stored.get(project, ()):
            self._fresh[project, shape.id] = (scope[1], shape)
        return shape

    def refuses(self, scope: Scope, keys: tuple[str, ...]) -> bool:
        """Whether `find` is sure to give None for these sorted keys, whatever their classes."""
        full = self._brought.get(scope, 0) >= self.max_shapes
        return full and keys not in self._key_sets.get(scope[0], ())

    def class_of_null(self, scope: Scope, key: str) -> str:
        """The class that values of this key had last, else number."""
        return self._classes.get(scope, {}).get(key, NUMBER)

    def learn(self, scope: Scope, key: str, cls: str) -> None:
        known = self._classes.setdefault(scope, {})
        if len(known) < _MAX_SCOPE_KEYS or key in known:
            known[key] = cls

    def take_fresh(self) -> dict[tuple[str, str], tuple[str, Shape]]:
        """Shapes used since the last call that are not stored: (project, id) -> (pipeline, shape)."""
        fresh, self._fresh = self._fresh, {}
        return fresh

    def _make(self, keys: tuple[str, ...], classes: tuple[str, ...]) -> Shape:
        in_num = tuple(i for i, cls in enumerate(classes) if cls in IN_NUM)
        in_str = tuple(i for i, cls in enumerate(classes) if cls not in IN_NUM)
        shape = Shape(shape_id(keys, classes), keys, classes, in_num, in_str)
        if len(self._shapes) >= _MAX_CACHED:
            self._shapes.clear()
        self._shapes[keys, classes] = shape
        return shape


# --- values -> columns ------------------------------------------------------------------------------------

_OF_TYPES: dict[frozenset[type], str | None] = {
    frozenset((float,)): NUMBER,
    frozenset((int,)): NUMBER,
    frozenset((int, float)): NUMBER,
    frozenset((bool,)): BOOL,
    frozenset((str,)): TEXT,
    frozenset((dict,)): JSON,
    frozenset((list,)): JSON,
    frozenset((dict, list)): JSON,
}
_NONE = type(None)


def column(values: Values, class_of_null: str) -> Column | None:
    """All `values` as one column, or None when they are not of one class (then `split` them)."""
    types = frozenset(map(type, values))
    if _NONE in types:
        if len(types) == 1:
            return nulls(len(values), class_of_null)
        cls = _OF_TYPES.get(types - {_NONE})
    else:
        cls = _OF_TYPES.get(types)
    if cls is None:
        return None
    if cls == TEXT:
        return Column(TEXT, texts=list(values))
    if cls == JSON:
        return Column(JSON, texts=[None if v is None else json_text(v) for v in values])
    return _numbers(values, cls, _NONE in types)


def _numbers(values: Values, cls: str, nullable: bool) -> Column | None:
    try:
        numbers = np.array(values, dtype=np.float64)  # None becomes NaN
    except OverflowError:  # an integer of more than 1,024 bits
        return None
    null = None
    finite = np.isfinite(numbers)
    if not finite.all():
        if not nullable or int((~finite).sum()) != values.count(None):
            return None
        null = ~finite
        numbers[null] = 0.0
    if np.abs(numbers).max(initial=0.0) >= EXACT_LIMIT and int in set(map(type, values)):
        return None  # some may not survive as doubles: look at each
    return Column(cls, numbers=numbers, null=null)


def nulls(n: int, cls: str) -> Column:
    """A column of nothing but nulls."""
    if cls in IN_NUM:
        return Column(cls, numbers=np.zeros(n), null=np.ones(n, dtype=np.bool_))
    return Column(cls, texts=[None] * n)


def class_of(value: Any) -> str | None:
    """The class of one value; None for a null."""
    if value is None:
        return None
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return NUMBER if -EXACT_LIMIT < value < EXACT_LIMIT else EXACT
    if isinstance(value, float):
        return NUMBER if math.isfinite(value) else NONFINITE
    if isinstance(value, decimal.Decimal):
        return EXACT if value.is_finite() else TEXT
    if isinstance(value, (dict, list, tuple)):
        return JSON
    return TEXT


def convert(values: Values, cls: str) -> Column:
    """Values that are all of this class, or None, as a column."""
    if cls in IN_NUM:
        numbers = np.array(values, dtype=np.float64)
        null = np.isnan(numbers)
        if not null.any():
            return Column(cls, numbers=numbers)
        numbers[null] = 0.0
        return Column(cls, numbers=numbers, null=null)
    to_text = _TO_TEXT[cls]
    return Column(cls, texts=[None if v is None else to_text(v) for v in values])


def split(
    scope: Scope, book: ShapeBook, keys: Sequence[str], columns: Sequence[Values]
) -> Iterator[tuple[list[int], list[Values], list[str]]]:
    """Rows whose values differ in class, in groups that do not: row numbers, values by key, class by key."""
    classes = [
        [class_of(v) or book.class_of_null(scope, key) for v in values]
        for key, values in zip(keys, columns, strict=True)
    ]
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, combination in enumerate(zip(*classes, strict=True)):
        groups.setdefault(combination, []).append(row)
    for combination, rows in groups.items():
        yield rows, [[values[row] for row in rows] for values in columns], list(combination)


def json_text(value: Any) -> str:
    """Strict JSON: what JSON cannot say (NaN, infinities, bytes) becomes text."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError):
        return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else _nonfinite_text(value)
    if value is None or isinstance(value, (str, int)):
        return value
    return plain_text(value)


def _nonfinite_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def plain_text(value: Any) -> str:
    """Any value as text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    return str(value)


_TO_TEXT: dict[str, Callable[[Any], str]] = {
    TEXT: plain_text,
    JSON: json_text,
    EXACT: str,
    NONFINITE: _nonfinite_text,
}


# --- and back ---------------------------------------------------------------------------------------------


def _exact(text: str) -> int | str:
    """An integer, or a decimal's digits as they were."""
    return int(text) if text.lstrip("-").isdecimal() else text


def _number(value: float) -> int | float:
    return int(value) if value.is_integer() else value


_FROM_NUM: dict[str, Callable[[float], Any]] = {NUMBER: _number, BOOL: bool}
FROM_STR: dict[str, Callable[[str], Any]] = {TEXT: str, JSON: json.loads, EXACT: _exact, NONFINITE: str}


class ShapeReader:
    """Turns stored evidence into dicts again, by the rows of `shapes`.

    `rows` are (shape_id, key, class, position). Numbers come back equal in value (1.0 as 1), exact integers as int,
    decimals, NaN and infinities as text.
    """

    def __init__(self, rows: Iterable[tuple[str, str, str, int]]) -> None:
        self._num: dict[str, list[tuple[str, Callable[[float], Any], int]]] = {}
        self._str: dict[str, list[tuple[str, Callable[[str], Any], int]]] = {}
        for id_, key, cls, position in rows:
            if cls in IN_NUM:
                self._num.setdefault(id_, []).append((key, _FROM_NUM[cls], position - 1))
            else:
                self._str.setdefault(id_, []).append((key, FROM_STR[cls], position - 1))

    @classmethod
    def of_table(cls, shapes: pa.Table) -> ShapeReader:
        """From rows of the source `shapes`."""
        columns = (shapes[name].to_pylist() for name in ("shape_id", "key", "class", "position"))
        return cls(zip(*columns, strict=True))

    def evidence(
        self,
        id_: str | None,
        num: Sequence[float | None] | None,
        str_: Sequence[str | None] | None,
        text: str | None = None,
    ) -> dict[str, Any] | None:
        """One event's evidence; None when it has none."""
        if text is not None:
            found: dict[str, Any] = json.loads(text)
            return found
        if id_ is None:
            return None
        values: dict[str, Any] = {}
        for key, make, at in self._num.get(id_, ()):
            number = num[at] if num is not None else None
            values[key] = None if number is None else make(number)
        for key, make_text, at in self._str.get(id_, ()):
            piece = str_[at] if str_ is not None else None
            values[key] = None if piece is None else make_text(piece)
        return dict(sorted(values.items()))

    def column(self, events: pa.Table) -> list[dict[str, Any] | None]:
        """The evidence of each row of a table with `shape_id`, `num`, `str` and `evidence_text`."""
        texts: Iterable[str | None] = (
            events["evidence_text"].to_pylist() if "evidence_text" in events.column_names else repeat(None)
        )
        return [
            self.evidence(id_, num, str_, text)
            for id_, num, str_, text in zip(
                events["shape_id"].to_pylist(),
                events["num"].to_pylist(),
                events["str"].to_pylist(),
                texts,
                strict=False,
            )
        ]
