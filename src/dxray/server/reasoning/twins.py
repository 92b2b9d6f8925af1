"""Which kept items' evidence is nearest, over whole columns: `ranking.nearest_twin`, for thousands of items at once.

Only where the evidence to compare is plain numbers and texts, of one kind under each key; else the caller goes item
by item. The sums are those of `nearest_twin`, in its order, so that both name the same item.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dxray.wire.evidence import NUMBER, TEXT

Places = Mapping[str, Mapping[str, tuple[str, int]]]  # shape -> key -> (class, position from 1)
_HUGE = 1e300  # from here on a difference is none that could be compared
_Array = np.ndarray[Any, Any]


class Mixed(Exception):
    """The evidence is of several kinds, or of one that takes more than a comparison of columns: go item by item."""


def nearest(evidence: Mapping[str, Any], table: pa.Table, places: Places) -> tuple[str, float] | None:
    """The nearest item by its events, which are in order, and its distance; None where none shares a key.

    `table` has `item_id`, `shape_id`, `num`, `str` and `evidence_text`. Raises `Mixed`.
    """
    own = {key: value for key, value in evidence.items() if value is not None}
    if table["evidence_text"].null_count < table.num_rows or not all(map(_plain, own.values())):
        raise Mixed
    if not table.num_rows:
        return None
    names, codes = _coded(table["item_id"])
    shapes, of_shape = _coded(table["shape_id"])
    n = len(names)
    far, shared = np.zeros(n), np.zeros(n)
    for key, value in own.items():
        column, has = _column(table, key, (codes, n), (shapes, of_shape), places)
        if has.any():
            far, shared = far + np.where(has, _apart(value, column, has), 0.0), shared + has
    if not shared.any():
        return None
    missing = 0.5 * (len(own) - shared)
    distance = np.where(shared > 0, (far + missing) / np.maximum(shared + missing, 0.5), np.inf)
    least = distance.min()
    return min(names[at] for at in np.flatnonzero(distance == least).tolist()), float(least)


def _plain(value: Any) -> bool:
    return isinstance(value, str) or (type(value) in (int, float) and abs(value) < _HUGE)


def _coded(column: pa.ChunkedArray) -> tuple[list[str], _Array]:
    """The values, and for each row the number of its own."""
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy()


def _column(
    table: pa.Table, key: str, items: tuple[_Array, int], shapes: tuple[list[str], _Array], places: Places
) -> tuple[_Array, _Array]:
    """What each item said last under a key, and whether it said anything."""
    classes = {places[one][key][0] for one in shapes[0] if key in places.get(one, ())}
    if not classes <= {NUMBER} and not classes <= {TEXT}:
        raise Mixed
    kind = np.float64 if classes == {NUMBER} else np.object_
    values, has = np.zeros(items[1], kind), np.zeros(items[1], np.bool_)
    rows, said, valid = [], [], []
    for number, shape in enumerate(shapes[0]):
        if key in places.get(shape, ()):
            at = np.flatnonzero(shapes[1] == number)
            lists = table["num" if kind is np.float64 else "str"].take(pa.array(at))
            one = pc.list_element(lists, places[shape][key][1] - 1)
            rows.append(at)
            valid.append(pc.is_valid(one).to_numpy())
            said.append(one.to_numpy().astype(kind))
    if rows:
        order = np.argsort(np.concatenate(rows), kind="stable")
        item = items[0][np.concatenate(rows)[order]]
        last = len(item) - 1 - np.unique(item[::-1], return_index=True)[1]
        values[item[last]] = np.concatenate(said)[order][last]
        has[item[last]] = np.concatenate(valid)[order][last]
    return values, has


def _apart(value: Any, column: _Array, has: _Array) -> _Array:
    """Numbers by their difference over the spread, all else by equality."""
    if isinstance(value, str) or column.dtype == np.object_:
        return np.where(column == value, 0.0, 1.0)
    numbers = column[has]
    if np.abs(numbers).max() >= _HUGE:
        raise Mixed
    spread = max(float(value), numbers.max()) - min(float(value), numbers.min())
    return np.abs(float(value) - column) / spread if spread > 0 else np.zeros(len(column))
