"""Columns that travel as buffers: `{"numpy": dtype, "data": bytes}` or `{"arrow": bytes}`.

They come from outside: every one is checked before it is used. (Only the server imports this.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from dxray.wire.evidence import BOOL, EXACT_LIMIT, NUMBER, Column, Values, column

_KINDS = "biufUSMm"


class BadBuffer(ValueError):
    """The buffer is not what it says it is."""


def open_column(value: Any) -> Any:
    """A list as it is, a buffer as a NumPy or an Arrow array. Raises `BadBuffer`."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        try:
            if isinstance(value.get("arrow"), bytes):
                return _arrow(value["arrow"])
            if isinstance(value.get("data"), bytes):
                return _numpy(value.get("numpy"), value["data"])
        except (pa.ArrowException, TypeError, ValueError, OSError) as error:
            raise BadBuffer(f"a column's buffer cannot be read: {error}") from error
    raise BadBuffer("a column is a list, {numpy, data} or {arrow}")


def _numpy(dtype: Any, data: bytes) -> np.ndarray[Any, Any]:
    kind = np.dtype(str(dtype))
    if kind.kind not in _KINDS or kind.itemsize == 0:
        raise BadBuffer(f"NumPy type {dtype!r} cannot travel")
    return np.frombuffer(data, dtype=kind)


def _arrow(data: bytes) -> pa.Array:
    table = pa.ipc.open_stream(data).read_all()
    if table.num_columns != 1:
        raise BadBuffer(f"an Arrow column has one column, not {table.num_columns}")
    array = table.column(0).combine_chunks()
    array.validate(full=True)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array


def values_of(opened: Any) -> list[Any]:
    """An opened column as Python values."""
    if isinstance(opened, list):
        return opened
    if isinstance(opened, np.ndarray):
        if opened.dtype.kind in "Mm":
            return [None if v == "NaT" else v for v in opened.astype(str).tolist()]
        found: list[Any] = opened.tolist()
        return found
    listed: list[Any] = opened.to_pylist()
    return listed


def texts_of(opened: Any) -> Any:
    """An opened column of ids as Arrow texts, or as a list of values that need `str`, so that digits are Python's."""
    if isinstance(opened, np.ndarray) and opened.dtype.kind in "iu":
        return pa.array(opened.astype(opened.dtype.newbyteorder("="))).cast(pa.string())
    if isinstance(opened, pa.Array) and opened.null_count == 0:
        kind = opened.type
        if pa.types.is_integer(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            return opened.cast(pa.string())
        if pa.types.is_string(kind):
            return opened
    return values_of(opened)


def evidence_column(opened: Any, class_of_null: str) -> Column | Values:
    """An opened column as evidence; as plain values where their classes differ."""
    null = None
    numbers = opened
    if isinstance(opened, pa.Array):
        kind = opened.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            return _listed(values_of(opened), class_of_null)
        if opened.null_count:
            null = opened.is_null().to_numpy(zero_copy_only=False)
            opened_filled = opened.fill_null(False if pa.types.is_boolean(kind) else 0)
        else:
            opened_filled = opened
        numbers = opened_filled.to_numpy(zero_copy_only=False)
    if isinstance(numbers, np.ndarray) and numbers.dtype.kind in "biuf":
        doubles = numbers.astype(np.float64)
        if not doubles.size or not np.isfinite(doubles).all():
            return _listed(values_of(opened), class_of_null)
        if numbers.dtype.kind in "iu" and np.abs(doubles).max() >= EXACT_LIMIT:
            return _listed(values_of(opened), class_of_null)
        return Column(BOOL if numbers.dtype.kind == "b" else NUMBER, numbers=doubles, null=null)
    return _listed(values_of(opened), class_of_null)


def _listed(values: list[Any], class_of_null: str) -> Column | Values:
    return column(values, class_of_null) or values
