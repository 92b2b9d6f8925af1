"""The evidence of many rows -> the columns `shape_id`, `num` and `str` (only the server imports this).

Rows of one shape are worked on together, with C-level steps (`map`, `chain`, slices, NumPy); only rows whose values
differ in class under one key are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, compress, repeat
from operator import is_, is_not, itemgetter
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from dxray.wire.evidence import (
    EXACT_LIMIT,
    FROM_STR,
    IN_NUM,
    MAX_KEYS,
    NUMBER,
    TEXT,
    Column,
    Scope,
    Shape,
    ShapeBook,
    Values,
    column,
    convert,
    json_text,
    plain_text,
    split,
)

Ints = np.ndarray[Any, np.dtype[np.intp]]
Evidence = dict[str, Any]

_MAX_PLANS = 10_000
_encode_json = msgspec.json.Encoder().encode
_STRINGS = frozenset((str,))
_PLANNED = frozenset((NUMBER, TEXT))


def objects(values: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.object_]]:
    """An array that holds the values as they are (NumPy would look into lists and texts)."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one shape, with their values row by row: as many of `num` and `str` a row as the shape has places."""

    rows: Ints
    shape: Shape
    num: np.ndarray[Any, np.dtype[np.float64]] | None
    null: np.ndarray[Any, np.dtype[np.bool_]] | None
    str: pa.Array | None


class Plan:
    """How to read evidence that has the keys, and the classes, that a dict had before: only numbers and texts."""

    __slots__ = ("_num", "_str", "k", "shape")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.k = len(shape.keys)
        self._num = _getter([shape.keys[i] for i in shape.in_num])
        self._str = _getter([shape.keys[i] for i in shape.in_str])

    def read(self, rows: Ints, dicts: list[Evidence]) -> Piece | None:
        """The dicts as a piece, or None when one of them is otherwise."""
        try:
            if set(map(len, dicts)) != {self.k}:
                return None
            num = null = text = None
            if self._num is not None:
                listed = self._num(dicts)
                types = set(map(type, listed))
                if not types <= _NUMERIC:
                    return None
                num = np.array(listed, dtype=np.float64)
                if not np.isfinite(num).all():
                    null = np.isnan(num)
                    if int(null.sum()) != listed.count(None) or np.isinf(num).any():
                        return None
                    num[null] = 0.0
                if int in types and np.abs(num).max() >= EXACT_LIMIT:
                    return None
            if self._str is not None:
                text = pa.array(self._str(dicts), pa.string())
        except (KeyError, TypeError, OverflowError, pa.ArrowException):
            return None
        return Piece(rows, self.shape, num, null, text)


def _getter(keys: list[str]) -> Callable[[list[Evidence]], list[Any]] | None:
    """A function that gives all values of these keys, row by row, in one flat list."""
    if not keys:
        return None
    get = itemgetter(*keys)
    if len(keys) == 1:
        return lambda dicts: list(map(get, dicts))
    return lambda dicts: list(chain.from_iterable(map(get, dicts)))


_NUMERIC = frozenset((int, float, type(None)))


class EvidenceArrays:
    """Collects evidence by row, then gives the columns. `texts` holds the rows that were kept as JSON text.

    Rows are worked on as they come, while they are in the processor's cache.
    """

    def __init__(self, book: ShapeBook) -> None:
        self.book = book
        self.texts: dict[int, str] = {}
        self.sampled_out: list[Ints] = []
        self._pieces: list[Piece] = []

    def add(self, scope: Scope, rows: Ints, values: list[Any]) -> None:
        """Evidence row by row, as decoded: a dict, None for none, False for sampled out."""
        if self._add_as_planned(scope, rows, values):
            return
        types = set(map(type, values))
        if types != {dict}:
            given = np.fromiter(map(is_not, values, repeat(None)), dtype=np.bool_, count=len(values))
            if bool in types:
                dropped = np.fromiter(map(is_, values, repeat(False)), dtype=np.bool_, count=len(values))
                self.sampled_out.append(rows[dropped])
                given &= ~dropped
            rows, values = rows[given], list(compress(values, given.tolist()))
            values = [v if type(v) is dict else {"value": v} for v in values]
        self.add_dicts(scope, rows, values)

    def _add_as_planned(self, scope: Scope, rows: Ints, values: list[Any]) -> bool:
        """Whether the values have the keys and classes of some before, and were added as such."""
        first = values[0]
        plan = self.book.plans.get((scope, tuple(first))) if type(first) is dict else None
        if plan is None or self.book.find(scope, plan.shape.keys, plan.shape.classes) is None:
            return False
        piece = plan.read(rows, values)
        if piece is None:
            return False
        self._pieces.append(piece)
        return True

    def _plan(self, scope: Scope, keys: tuple[str, ...], shape: Shape) -> None:
        if set(shape.classes) <= _PLANNED:
            plans = self.book.plans
            if len(plans) >= _MAX_PLANS:
                plans.clear()
            plans[scope, keys] = Plan(shape)

    def add_dicts(self, scope: Scope, rows: Ints, dicts: list[Evidence]) -> None:
        """Evidence row by row; `dicts` are dicts, as decoded."""
        if not dicts:
            return
        keyed = list(map(tuple, dicts))
        distinct = dict.fromkeys(keyed)  # in their order: what is made of one batch is always the same
        if len(distinct) == 1:
            self._add_alike(scope, rows, keyed[0], dicts)
            return
        if len(distinct) > 64 and len(distinct) * 8 > len(dicts):  # the order of keys may be all that differs
            dicts = [dict(sorted(d.items())) for d in map(_with_text_keys, dicts)]
            keyed = list(map(tuple, dicts))
            distinct = dict.fromkeys(keyed)
        number = {keys: i for i, keys in enumerate(distinct)}
        codes = np.fromiter(map(number.__getitem__, keyed), dtype=np.int32, count=len(keyed))
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes, minlength=len(distinct))).tolist()
        held = objects(dicts)
        start = 0
        for keys, end in zip(number, ends, strict=True):
            chosen = order[start:end]
            self._add_alike(scope, rows[chosen], keys, held[chosen].tolist())
            start = end

    def _add_alike(self, scope: Scope, rows: Ints, keys: tuple[str, ...], dicts: list[Evidence]) -> None:
        """Dicts with the same keys in the same order."""
        if not keys:
            return
        if frozenset(map(type, keys)) != _STRINGS or any("\0" in key for key in keys):
            dicts = list(map(_with_text_keys, dicts))
            keys = tuple(dicts[0])
        ordered = tuple(sorted(keys))
        if len(keys) > MAX_KEYS or self.book.refuses(scope, ordered):
            self._keep_as_text(rows, dicts)
            return
        k = len(keys)
        flat = list(chain.from_iterable(map(dict.values, dicts)))
        place = {key: i for i, key in enumerate(keys)}
        shape = self.add_columns(scope, rows, ordered, [flat[place[key] :: k] for key in ordered])
        if shape is not None:
            self._plan(scope, keys, shape)

    def add_columns(
        self, scope: Scope, rows: Ints, keys: tuple[str, ...], columns: Sequence[Values | Column]
    ) -> Shape | None:
        """Evidence by key; `keys` are sorted, and every column has one value for each of `rows`.

        Returns the shape, where all rows have the same.
        """
        if not len(rows):
            return None
        if len(keys) > MAX_KEYS or self.book.refuses(scope, keys):
            self._keep_as_text(rows, _dicts(keys, columns))
            return None
        made: list[Column] = []
        for key, values in zip(keys, columns, strict=True):
            one = values if isinstance(values, Column) else column(values, self.book.class_of_null(scope, key))
            if one is None:
                self._add_mixed(scope, rows, keys, columns)
                return None
            made.append(one)
        return self._add_made(scope, rows, keys, made)

    def _add_mixed(self, scope: Scope, rows: Ints, keys: tuple[str, ...], columns: Sequence[Values | Column]) -> None:
        plain = [_values(c) for c in columns]
        for chosen, values, classes in split(scope, self.book, keys, plain):
            made = [convert(v, cls) for v, cls in zip(values, classes, strict=True)]
            self._add_made(scope, rows[np.array(chosen, dtype=np.intp)], keys, made)

    def _add_made(self, scope: Scope, rows: Ints, keys: tuple[str, ...], columns: list[Column]) -> Shape | None:
        classes = tuple(c.cls for c in columns)
        shape = self.book.find(scope, keys, classes)
        if shape is None:
            self._keep_as_text(rows, _dicts(keys, columns))
            return None
        for key, cls in zip(keys, classes, strict=True):
            self.book.learn(scope, key, cls)
        num, null = _interleaved([columns[i] for i in shape.in_num])
        self._pieces.append(Piece(rows, shape, num, null, _interleaved_texts([columns[i] for i in shape.in_str])))
        return shape

    def _keep_as_text(self, rows: Ints, dicts: list[Evidence]) -> None:
        for row, evidence in zip(rows.tolist(), dicts, strict=True):
            encoded = _encode_json(evidence) if _is_simple(evidence) else b"null"
            # msgspec writes NaN and infinities as null; then say what they were.
            self.texts[row] = json_text(evidence) if b"null" in encoded else encoded.decode()

    # --- the columns ---

    def columns(self, n: int) -> dict[str, pa.Array]:
        """`shape_id`, `num` and `str` of `n` rows; null where a row has no evidence, or its shape no such values."""
        pieces = self._pieces
        rows = np.concatenate([p.rows for p in pieces]) if pieces else np.zeros(0, dtype=np.intp)
        order = None
        if not (np.diff(rows) > 0).all():
            order = np.argsort(rows, kind="stable")
        return {
            "shape_id": self._shape_ids(n),
            "num": self._lists(n, order, [(p, len(p.shape.in_num)) for p in pieces], self._numbers()),
            "str": self._lists(n, order, [(p, len(p.shape.in_str)) for p in pieces], self._texts()),
        }

    def _shape_ids(self, n: int) -> pa.Array:
        ids: dict[str, int] = {}
        codes = np.full(n, -1, dtype=np.int32)
        for piece in self._pieces:
            codes[piece.rows] = ids.setdefault(piece.shape.id, len(ids))
        missing = codes < 0
        indices = pa.array(codes, mask=missing) if missing.any() else pa.array(codes)
        return pa.DictionaryArray.from_arrays(indices, pa.array(list(ids), pa.string()))

    def _numbers(self) -> pa.Array:
        """All numbers, piece by piece."""
        pieces = [p for p in self._pieces if p.num is not None]
        flat = np.concatenate([p.num for p in pieces if p.num is not None]) if pieces else np.zeros(0)
        if all(p.null is None for p in pieces):
            return pa.array(flat)
        null = [
            np.zeros(len(p.rows) * len(p.shape.in_num), dtype=np.bool_) if p.null is None else p.null for p in pieces
        ]
        return pa.array(flat, mask=np.concatenate(null))

    def _texts(self) -> pa.Array:
        """All texts, piece by piece."""
        pieces = [p.str for p in self._pieces if p.str is not None]
        return pa.concat_arrays(pieces) if pieces else pa.array([], pa.string())

    def _lists(self, n: int, order: Any, pieces: list[tuple[Piece, int]], flat: pa.Array) -> pa.Array:
        """A list for each row, of the values that lie piece by piece in `flat`."""
        lengths = np.zeros(n, dtype=np.int32)
        for piece, width in pieces:
            lengths[piece.rows] = width
        offsets = np.zeros(n + 1, dtype=np.int32)
        np.cumsum(lengths, out=offsets[1:])
        if order is not None:
            flat = flat.take(pa.array(_in_row_order(order, pieces)))
        missing = lengths == 0
        mask = pa.array(missing) if missing.any() else None
        return pa.ListArray.from_arrays(pa.array(offsets), flat, mask=mask)


def _in_row_order(order: Ints, pieces: list[tuple[Piece, int]]) -> Ints:
    """Where the values of the rows lie that were collected in another order."""
    widths = np.concatenate([np.full(len(p.rows), width, dtype=np.intp) for p, width in pieces])
    starts = np.cumsum(widths) - widths
    widths, starts = widths[order], starts[order]
    ends = np.cumsum(widths)
    found: Ints = np.arange(int(ends[-1])) + np.repeat(starts - (ends - widths), widths)
    return found


def _interleaved(columns: list[Column]) -> tuple[Any, Any]:
    """The numbers of some columns row by row, and which of them are null."""
    if not columns:
        return None, None
    lists = [c.numbers for c in columns if c.numbers is not None]
    numbers = np.stack(lists, axis=1).ravel()
    if all(c.null is None for c in columns):
        return numbers, None
    null = [np.zeros(len(lists[0]), dtype=np.bool_) if c.null is None else c.null for c in columns]
    return numbers, np.stack(null, axis=1).ravel()


def _interleaved_texts(columns: list[Column]) -> pa.Array | None:
    if not columns:
        return None
    texts = [c.texts or [] for c in columns]
    flat = texts[0] if len(texts) == 1 else list(chain.from_iterable(zip(*texts, strict=True)))
    return pa.array(flat, pa.string())


def _with_text_keys(evidence: Evidence) -> Evidence:
    return {(k if type(k) is str else plain_text(k)).replace("\0", "␀"): v for k, v in evidence.items()}


def _is_simple(evidence: Evidence) -> bool:
    try:
        _encode_json(evidence)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _values(values: Values | Column) -> Values:
    """A column's values as Python objects again."""
    if not isinstance(values, Column):
        return values
    if values.cls not in IN_NUM or values.numbers is None:
        back = FROM_STR[values.cls]
        return [None if text is None else back(text) for text in values.texts or ()]
    numbers: list[Any] = values.numbers.astype(np.bool_).tolist() if values.cls == "bool" else values.numbers.tolist()
    if values.null is None:
        return numbers
    return [None if null else number for number, null in zip(numbers, values.null.tolist(), strict=True)]


def _dicts(keys: tuple[str, ...], columns: Sequence[Values | Column]) -> list[Evidence]:
    return [dict(zip(keys, row, strict=True)) for row in zip(*map(_values, columns), strict=True)]
