"""What rows can have in common: recorded values as codes for `slices`. Pure functions.

A text is a code as it is. A number that takes at most 12 values is one too; of others the code is the bin between the
deciles of set A. Evidence lies in `num` and `str` by shape (see `wire.evidence`). What cannot be used is said, and why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dxray.server.reasoning.shown import Row, parsed
from dxray.server.reasoning.slices import Bools, Dimension, Floats, Ints
from dxray.wire.evidence import BOOL, EXACT, IN_NUM, JSON, NONFINITE, NUMBER, TEXT

FEW_NUMBERS = 12  # distinct, that are compared one by one: they may be codes
MANY_TEXTS = 2_000  # distinct, and more say nothing in common
_LONGEST = 200  # characters of a text
_BINS = 10
_DEPTH = 2
_KEYS = 200  # of input and metadata together
_NAMED = 3  # of fields that were left out for one reason
_EXACT = 2.0**53  # a double holds every integer up to here


@dataclass(frozen=True, slots=True)
class Attribute:
    """A field with a code for each row: -1 where it has none. With `edges`, code n is from edge n-1 to below edge n."""

    field: str
    codes: Ints
    values: tuple[Any, ...]
    edges: tuple[float, ...] = ()
    sampled: bool = False

    @property
    def dimension(self) -> Dimension:
        size = len(self.edges) + 1 if self.edges else len(self.values)
        return Dimension(size, ordered=bool(self.edges), sampled=self.sampled)

    def at(self, rows: Ints) -> Attribute:
        """Of rows that each belong to one of these."""
        return Attribute(self.field, self.codes[rows], self.values, self.edges, self.sampled)

    def conditions(self, low: int, high: int) -> list[dict[str, Any]]:
        """What codes from `low` to below `high` say."""
        if not self.edges:
            return [{"field": self.field, "op": "==", "value": self.values[low]}]
        out: list[dict[str, Any]] = []
        if low > 0:
            out.append({"field": self.field, "op": ">=", "value": self.edges[low - 1]})
        if high <= len(self.edges):
            out.append({"field": self.field, "op": "<", "value": self.edges[high - 1]})
        return out


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A field that was not looked at, and why."""

    field: str
    why: str


def left_out(root: str, fields: Sequence[str], why: str) -> list[LeftOut]:
    """Fields of `root` that were not looked at for one reason, as one row; none where there are none."""
    if len(fields) < 2:
        return [LeftOut(field, f"it {why}") for field in fields]
    return [LeftOut(root, f"each of {len(fields)} keys {why}, such as {', '.join(sorted(fields)[:_NAMED])}")]


def texts(field: str, values: pa.Array | pa.ChunkedArray, sampled: bool = False) -> Attribute | LeftOut | None:
    """An attribute of texts; None where there is nothing to tell rows apart."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    coded = values if isinstance(values, pa.DictionaryArray) else pc.dictionary_encode(values)
    names = coded.dictionary
    if len(names) > MANY_TEXTS:
        return LeftOut(field, f"it has {len(names)} different values")
    if len(names) and pc.max(pc.utf8_length(names)).as_py() > _LONGEST:
        return LeftOut(field, "it holds long texts")
    codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return _useful(Attribute(field, codes, tuple(names.to_pylist()), sampled=sampled))


def numbers(field: str, values: Floats, in_a: Bools, sampled: bool = False) -> Attribute | None:
    """An attribute of numbers (NaN where there is none)."""
    there = ~np.isnan(values)
    some = values[there]
    few = np.unique(some[:1_000])
    if len(few) <= FEW_NUMBERS:
        few = np.unique(some)
    codes = np.full(len(values), -1, dtype=np.int64)
    if len(few) <= FEW_NUMBERS:
        codes[there] = np.searchsorted(few, some)
        return _useful(Attribute(field, codes, tuple(_plain(one) for one in few.tolist()), sampled=sampled))
    of_a = values[there & in_a]
    edges = np.unique(np.quantile(of_a if len(of_a) else some, np.arange(1, _BINS) / _BINS))
    edges = edges[(edges > some.min()) & (edges <= some.max())]
    if not len(edges):
        return None
    codes[there] = np.searchsorted(edges, some, side="right")
    return Attribute(field, codes, (), tuple(_plain(one) for one in edges.tolist()), sampled)


def _plain(value: float) -> float:
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _useful(one: Attribute) -> Attribute | None:
    return one if len(one.values) > 1 else None


# Of runs


def of_runs(runs: Sequence[Row], in_b: Bools, apart: bool = False) -> tuple[list[Attribute], list[LeftOut]]:
    """Input and metadata, two levels deep, version, variant, environment and pipeline. What tells the two sets apart
    by itself is left out, unless `apart` asks for just that: it says nothing of why."""
    columns, left = _columns(runs)
    found: list[Attribute] = []
    for field, values in columns.items():
        for one in _of_column(field, values, in_b):
            if not apart and isinstance(one, Attribute) and _tells_apart(one.codes, in_b):
                one = LeftOut(field, "it tells the two sets apart by itself")
            if isinstance(one, LeftOut):
                left.append(one)
            else:
                found.append(one)
    return found, left


def _columns(runs: Sequence[Row]) -> tuple[dict[str, list[Any]], list[LeftOut]]:
    """What each run says, by field."""
    columns = {name: [run[name] for run in runs] for name in ("pipeline", "environment", "code_version", "variant")}
    most = len(columns) + _KEYS
    nested: set[str] = set()
    beyond: set[str] = set()
    for number, run in enumerate(runs):
        for root in ("input", "metadata"):
            for field, value in _flat(root, parsed(run[root]), _DEPTH):
                if isinstance(value, dict | list):
                    nested.add(field)
                elif field in columns:
                    columns[field][number] = value
                elif len(columns) < most:
                    columns[field] = [None] * len(runs)
                    columns[field][number] = value
                else:
                    beyond.add(field)
    left = left_out("input and metadata", sorted(nested), "holds lists, or objects more than two levels deep")
    if beyond:
        keys = f"{len(beyond)} key{'s' if len(beyond) > 1 else ''}"
        why = f"{keys} beyond the first {_KEYS} of input and metadata were not looked at, such as {min(beyond)}"
        left.append(LeftOut("input and metadata", why))
    return columns, left


def _flat(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """The fields of a value. Lists, and objects that lie deeper than that, as they are."""
    if isinstance(value, dict) and depth:
        for key, inner in value.items():
            yield from _flat(f"{path}.{key}", inner, depth - 1)
    elif isinstance(value, str | int | float | bool) or (isinstance(value, dict | list) and value):
        yield path, value


def _of_column(field: str, values: Sequence[Any], in_b: Bools) -> Iterator[Attribute | LeftOut]:
    is_number = [isinstance(one, int | float) and not isinstance(one, bool) for one in values]
    if any(is_number):
        figures = [_float(one) if number else np.nan for one, number in zip(values, is_number, strict=True)]
        one = numbers(field, np.array(figures), ~in_b)
        if one is not None:
            yield one
    words = [None if number else _word(one) for one, number in zip(values, is_number, strict=True)]
    if any(word is not None for word in words):
        text = texts(field, pa.array(words, pa.string()))
        if text is not None:
            yield text


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("nan")


def _word(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.encode(errors="replace").decode() if isinstance(value, str) else None


def _tells_apart(codes: Ints, in_b: Bools) -> bool:
    a, b = np.unique(codes[~in_b & (codes >= 0)]), np.unique(codes[in_b & (codes >= 0)])
    return bool(len(a) and len(b) and not len(np.intersect1d(a, b)))


# Of evidence

_UNLIKE = {
    JSON: "holds lists or objects",
    EXACT: "holds numbers of more digits than can be compared",
    NONFINITE: "holds numbers that are not finite",
}


def of_evidence(
    events: pa.Table, shapes: Sequence[Row], in_a: Bools, item: Ints, many: int
) -> tuple[list[Attribute], list[LeftOut]]:
    """The evidence keys of event rows, as attributes of the `many` items that the rows belong to."""
    places: dict[str, list[tuple[str, str, int]]] = {}
    for row in shapes:
        places.setdefault(row["key"], []).append((row["shape_id"], row["class"], row["position"]))
    shape = pc.dictionary_encode(events["shape_id"].combine_chunks())
    rows_of = _rows_by_code(shape)
    num, text = _Lists(events["num"]), _Lists(events["str"])
    found: list[Attribute] = []
    left: list[LeftOut] = []
    unlike: dict[str, list[str]] = {why: [] for why in _UNLIKE.values()}  # fields that cannot be compared, by why
    for key, spots in sorted(places.items()):
        figures, words, at = np.full(many, np.nan), [], []
        field = f"evidence.{key}"
        for shape_id, kind, position in spots:
            rows = rows_of.get(shape_id)
            if rows is None:
                continue
            got = (num if kind in IN_NUM else text).taken(rows, position)
            exact = _exact(got) if kind == EXACT else None
            if kind == NUMBER or exact is not None:
                figures[item[rows]] = got.to_numpy(zero_copy_only=False) if exact is None else exact
            elif kind in (BOOL, TEXT):
                words.append(_booleans(got) if kind == BOOL else got)
                at.append(item[rows])
            elif got.null_count < len(got) and field not in unlike[_UNLIKE[kind]]:
                unlike[_UNLIKE[kind]].append(field)
        if not np.isnan(figures).all():
            one = numbers(field, figures, in_a, sampled=True)
            found += [one] if one is not None else []
        if words:
            _add_texts(field, words, at, many, found, left)
    for why, fields in unlike.items():
        left += left_out("evidence", fields, why)
    return found, left


def _exact(values: pa.Array) -> Floats | None:
    """Numbers that are kept as texts; None where a double would not be the same one."""
    try:
        figures = pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
    except pa.ArrowInvalid:
        return None
    large: bool = (np.abs(figures) >= _EXACT).any()
    return None if large else figures


def _add_texts(
    field: str, words: Sequence[pa.Array], at: Sequence[Ints], many: int, found: list[Attribute], left: list[LeftOut]
) -> None:
    one = texts(field, pa.chunked_array(words, pa.string()), sampled=True)
    if isinstance(one, LeftOut):
        left.append(one)
    elif one is not None:
        codes = np.full(many, -1, dtype=np.int64)
        own = np.concatenate(at)
        known = one.codes >= 0
        codes[own[known]] = one.codes[known]
        found.append(Attribute(field, codes, one.values, sampled=True))


def _rows_by_code(shape: pa.DictionaryArray) -> Mapping[str, Ints]:
    codes = pc.fill_null(shape.indices, -1).to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(shape.dictionary) + 1))
    names = shape.dictionary.to_pylist()
    return {name: order[bounds[n] : bounds[n + 1]] for n, name in enumerate(names)}


def _booleans(values: pa.Array) -> pa.Array:
    return pc.if_else(pc.greater(values, 0.5), "true", "false")


class _Lists:
    """A column of lists, of which single places are read."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        whole = column.combine_chunks()
        self._flat = whole.values
        self._offsets = whole.offsets.to_numpy()

    def taken(self, rows: Ints, position: int) -> pa.Array:
        """The values at a place, counted from 1, of these rows."""
        return self._flat.take(pa.array(self._offsets[rows].astype(np.int64) + position - 1))
