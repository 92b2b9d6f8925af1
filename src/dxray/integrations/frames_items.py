"""The items of a frame, by the ids in its key column, and what became of them between two frames.

Ids and values are read as columns: NumPy arrays of numbers share the frame's memory, long text is an Arrow array
where pyarrow is there. What remains are lists.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import compress
from operator import not_
from typing import Any

SMALL = 512  # rows, up to which lists and sets are quicker than arrays


@dataclass(frozen=True, slots=True)
class Items:
    """The ids of a frame's rows, each once.

    `unnamed`: rows whose key is missing. `by_row`: each row is an item of its own, in this order.
    """

    ids: Any
    unnamed: int
    by_row: bool

    @property
    def count(self) -> int:
        return len(self.ids) + self.unnamed


def has_key(frame: Any, key: str) -> bool:
    """Whether a frame has the key: one column of that name, or in pandas a level of the index."""
    columns = frame.columns
    if key in columns:
        return bool(getattr(columns, "is_unique", True)) or list(columns).count(key) == 1
    return key in getattr(_index(frame), "names", ())


def series_of(frame: Any, name: str) -> Any:
    if name in frame.columns:
        return frame[name]
    return _index(frame).get_level_values(name).to_series()


def items_of(frame: Any, key: str, *, whole: bool, distinct: bool = False) -> Items:
    """Read a frame's items. `whole`: ids are whole numbers, also where missing ones made a column of floats.

    `distinct`: no id can be there twice, so that this is not looked into.
    """
    import narwhals.stable.v2 as nw

    series, rows = series_of(frame, key), len(frame)
    if _are_numbers(series, "iu"):
        if not distinct and not _is_unique(series):
            series = nw.from_native(series, series_only=True).unique(maintain_order=True).to_native()
        values = column_of(series)
        return Items(values, 0, len(values) == rows)
    column = nw.from_native(series, series_only=True)
    if column.dtype.is_float():
        column = column.filter(~(column.is_null() | column.is_nan()))
    else:
        column = column.drop_nulls()
    named = len(column)
    if not distinct and not column.is_unique().all():
        column = column.unique(maintain_order=True)
    if whole and column.dtype.is_numeric():
        column = column.cast(nw.Int64)
    ids = column_of(column.to_native())
    return Items(ids, rows - named, len(ids) == rows)


def column_of(series: Any) -> Any:
    """The values of a series as the SDK takes columns; what is missing is None, or NaN among floats."""
    import narwhals.stable.v2 as nw

    if _are_numbers(series):
        return _as_array(series)
    column = nw.from_native(series, series_only=True)
    if column.dtype == nw.String and len(column) > SMALL and "pyarrow" in sys.modules:
        return column.to_arrow()
    values = column.to_list()
    if column.is_null().any():
        return [None if missing else value for value, missing in zip(values, column.is_null().to_list(), strict=True)]
    return values


def is_whole(frame: Any, key: str) -> bool:
    """Whether a frame's ids are whole numbers."""
    import narwhals.stable.v2 as nw

    return bool(nw.from_native(series_of(frame, key), series_only=True).dtype.is_integer())


def same(one: Any, other: Any) -> bool:
    """Whether two columns of ids hold the same, in the same order."""
    if len(one) != len(other):
        return False
    if _is_array(one) and _is_array(other):
        return bool((one == other).all())
    if type(one) is type(other) and not isinstance(one, list):
        return bool(one.equals(other))
    return _listed(one) == _listed(other)


def missing(ids: Any, others: Any) -> Any:
    """Which of `ids` are not among `others`: a slice, or a flag for each."""
    n = len(others)
    if n <= len(ids) and same(ids[:n], others):  # as the first rows, or all of them, are taken
        return slice(n, None)
    if len(ids) > SMALL:
        if _is_array(ids) and _is_array(others):
            import numpy as np

            return np.isin(ids, others, invert=True)
        if _is_arrow(ids) and _is_arrow(others):
            import pyarrow.compute as pc

            return pc.invert(pc.is_in(ids, value_set=others.cast(ids.type)))
    return list(map(not_, map(set(_listed(others)).__contains__, _listed(ids))))


def picked(column: Any, which: Any) -> Any:
    """The values of a column at a slice, or where the flags are set."""
    if isinstance(which, slice):
        return column[which]
    if _is_arrow(column):
        import pyarrow as pa

        return column.filter(pa.array(which))
    if _is_array(column):
        import numpy as np

        return column[np.asarray(which, dtype=bool)]
    return list(compress(column, _listed(which)))


def others(which: Any) -> Any:
    """The flags of the rows that are not meant by `which`."""
    if isinstance(which, slice):
        return slice(0, which.start)
    if _is_array(which):
        return ~which
    if _is_arrow(which):
        import pyarrow.compute as pc

        return pc.invert(which)
    return list(map(not_, which))


def _index(frame: Any) -> Any:
    return getattr(frame, "index", None)


def _are_numbers(series: Any, kinds: str = "iuf") -> bool:
    """Whether a series is an array of numbers, whole ones or floats, none missing but for NaN."""
    dtype = series.dtype
    kind = getattr(dtype, "kind", None)
    if kind is None:  # of polars
        number = dtype.is_integer() or ("f" in kinds and dtype.is_float())
        return bool(number) and not series.null_count()
    return kind in kinds and (type(dtype).__module__.partition(".")[0] == "numpy" or not series.hasnans)


def _is_unique(series: Any) -> bool:
    if hasattr(series, "n_unique"):
        return bool(series.n_unique() == len(series))
    return bool(series.is_unique)


def _as_array(series: Any) -> Any:
    """A series of numbers, none missing, as an array; as a list where polars stands without NumPy."""
    try:
        import numpy as np
    except ImportError:
        return series.to_list()
    array = series.to_numpy()
    return array if array.dtype.kind in "iuf" else np.asarray(array.tolist())


def _is_array(column: Any) -> bool:
    return type(column).__name__ == "ndarray"


def _is_arrow(column: Any) -> bool:
    return type(column).__module__.partition(".")[0] == "pyarrow"


def _listed(column: Any) -> list[Any]:
    if isinstance(column, list):
        return column
    return list(column.to_pylist() if _is_arrow(column) else column.tolist())
