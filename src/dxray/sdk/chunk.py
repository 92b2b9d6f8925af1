"""Rows of one step -> one encoded record.

A row is `(op, item_id, a, b)`, or with a fifth place for what few rows have: `{"by", "kept", "marks"}`.
The common chunk is transposed and encoded in C, without a loop over its rows; a chunk that holds
something msgpack refuses is mended row by row, so that one odd value costs no other row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from dxray.sdk.values import VALUE_LIMIT, mend, plain
from dxray.wire.records import Events, Op, Rule

Row = tuple[Any, ...]

CHUNK_LIMIT = 262_144  # bytes of 512 ordinary rows are far below; past it, rows are looked at one by one
EVIDENCE_OPS = frozenset((Op.ACCEPTED, Op.REJECTED, Op.MERGED, Op.SCORED, Op.PRODUCED_WITH))

_encode = msgspec.msgpack.Encoder(enc_hook=plain, decimal_format="string").encode


def encode_rows(
    run_id: str, step_id: str, first: int, at: int, rows: Sequence[Row], rules: list[Rule], p: float | None, extras: bool
) -> bytes:
    """The record of `rows` (at least one). `extras`: whether some row may have a fifth place. Never raises."""
    try:
        encoded = _encode(_events(run_id, step_id, first, at, rows, rules, p, extras))
        if len(encoded) <= CHUNK_LIMIT:
            return encoded
    except Exception:  # mended below, row by row
        pass
    mended = [_mend_row(row) for row in rows]
    return _encode(_events(run_id, step_id, first, at, mended, rules, p, True))


def _events(
    run_id: str, step_id: str, first: int, at: int, rows: Sequence[Row], rules: list[Rule], p: float | None, extras: bool
) -> Events:
    # strict: a row of five would cut silently at the shortest, and that is what we want.
    ops, ids, a, b = tuple(zip(*rows, strict=False))[:4]
    record = Events(
        run_id=run_id,
        step_id=step_id,
        first=first,
        at=at,
        ops=bytes(ops),
        ids=ids,
        a=None if a.count(None) == len(a) else a,
        b=None if b.count(None) == len(b) else b,
        rules=rules,
        p=p,
    )
    if extras:
        more = {number: row[4] for number, row in enumerate(rows) if len(row) > 4}
        record.by = {number: extra["by"] for number, extra in more.items() if "by" in extra}
        record.kept = {number: extra["kept"] for number, extra in more.items() if "kept" in extra}
        record.marks = {number: extra["marks"] for number, extra in more.items() if "marks" in extra}
    return record


def _mend_row(row: Row) -> Row:
    """The row with every value storable, and its changes in `marks`."""
    op, item_id, a, b = row[:4]
    extra = dict(row[4]) if len(row) > 4 else {}
    marks: list[str] = []
    if not isinstance(item_id, int) or isinstance(item_id, bool):
        item_id = _mend_value("item_id", item_id, marks)
    a = _mend_value("reason", a, marks)
    if isinstance(b, dict):
        b = {_mend_key(key, marks): _mend_value(str(key), value, marks) for key, value in list(b.items())}
    elif b is not None and b is not False:
        b = _mend_value("value", b, marks)
    if marks:
        extra["marks"] = [*extra.get("marks", ()), *marks][:16]
    return (op, item_id, a, b, extra) if extra else (op, item_id, a, b)


def _mend_key(key: Any, marks: list[str]) -> str:
    return str(mend(key if isinstance(key, str) else str(mend(key, marks)), marks))


def _mend_value(name: str, value: Any, marks: list[str]) -> Any:
    found: list[str] = []
    # msgpack holds NaN and infinities; the server keeps them apart from numbers.
    mended = value if isinstance(value, float) else mend(value, found)
    if len(found) == 0 and not isinstance(mended, str | int | float | None):
        encoded = _encode(mended)
        if len(encoded) > VALUE_LIMIT:
            found.append(f"cut at {VALUE_LIMIT} bytes")
            mended = repr(mended)[:VALUE_LIMIT]
    marks.extend(f"{name[:64]}: {mark}" for mark in dict.fromkeys(found))
    return mended
