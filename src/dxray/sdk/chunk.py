"""Rows of one step -> one encoded record.

Rows lie flat in one list, four places each: `op, item_id, a, b`. So a row costs the caller one
`list.extend`, four strided slices make the columns, and nothing loops over rows in Python. A `NOTE`
row says something more of the row before it. A chunk that holds something msgpack refuses is mended
row by row, so that one odd value costs no other row.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from gc import is_tracked
from typing import TYPE_CHECKING, Any

import msgspec

from dxray.sdk.fields import now_us
from dxray.sdk.values import VALUE_LIMIT, mend, plain
from dxray.wire.predicates import comparable
from dxray.wire.records import Events, Op, Rule

if TYPE_CHECKING:
    from dxray.sdk.ledger import Ledger

Row = Sequence[Any]

WIDTH = 4
NOTE = 255  # op of a row that never travels: a is `by`, `kept` or `marks`, b its value for the row before
CHUNK_LIMIT = 262_144  # bytes; 512 ordinary rows are far below, and past it rows are looked at one by one

_ONE_FOR_ALL = frozenset((str, type(None)))
_SCALARS = frozenset((str, int, float, bool, type(None)))
_walk = json.JSONEncoder(default=plain, skipkeys=True).encode  # for its check of cycles; the text is not used
encode = msgspec.msgpack.Encoder(enc_hook=plain, decimal_format="string").encode


def encode_rows(step: Ledger, flat: list[Any]) -> tuple[bytes, int]:
    """The record of a step's rows, and how many events they are. Never raises."""
    event = Events(run_id=step._run.run_id, step_id=step.step_id, first=step._emitted, at=now_us(), ops=b"", ids=())
    if step._sampler is not None:
        event.p = step._sampler.p
    if step._noted:
        flat = _take_notes(flat, event)
    ops = event.ops = bytes(flat[0::WIDTH])
    event.ids = flat[1::WIDTH]
    a, b = flat[2::WIDTH], flat[3::WIDTH]
    if step._rules:
        event.rules = _count_rules(step, ops, a, b)
    try:
        event.a = a[0] if a.count(a[0]) == len(a) and type(a[0]) in _ONE_FOR_ALL else a
        if b[0] is not None or b.count(None) != len(b):  # the first tells most chunks apart at no cost
            event.b = b
            if any(map(is_tracked, b)):
                _refuse_cycles(b)
        encoded = encode(event)
        if len(encoded) <= CHUNK_LIMIT:
            return encoded, len(ops)
    except Exception:  # whatever it was, the rows are mended one by one
        pass
    _mend_rows(event, a, b)
    return encode(event), len(ops)


def _refuse_cycles(b: list[Any]) -> None:
    """Raise for evidence that contains itself: msgpack would go round until the recursion limit, 5 MB each time.

    Evidence of plain values is not tracked by the garbage collector (below Python 3.14), so that this is not
    even asked.
    """
    for evidence in b:
        if type(evidence) is dict and not _SCALARS.issuperset(map(type, evidence.values())):
            for value in evidence.values():
                if type(value) not in _SCALARS:
                    _walk(value)


def _take_notes(flat: list[Any], event: Events) -> list[Any]:
    """The rows without their notes, which go to the event's sparse fields."""
    rows: list[Any] = []
    for start in range(0, len(flat), WIDTH):
        row = flat[start : start + WIDTH]
        if row[0] == NOTE:
            getattr(event, row[2])[len(rows) // WIDTH - 1] = row[3]
        else:
            rows += row
    return rows


def _count_rules(step: Ledger, ops: bytes, a: list[Any], b: list[Any]) -> list[Rule]:
    """Add the chunk to the exact counts of the step's rules; the rules as they travel, if the chunk names any."""
    failed = ops.count(Op.RULE_FAILED) + ops.count(Op.RULE_ALSO_FAILED)
    passed = ops.count(Op.RULE_PASSED)
    if not failed and not passed:
        return []
    if len(step._rules) == 1:
        counts = step._rules[0].counts
        counts[Op.RULE_PASSED] += passed
        counts[Op.RULE_FAILED] += failed
    else:
        for (op, number), n in Counter(
            (op, number) for op, number in zip(ops, a, strict=True) if Op.RULE_PASSED <= op <= Op.RULE_ALSO_FAILED
        ).items():
            step._rules[number].counts[op] += n
    if failed:
        for op, number, value in zip(ops, a, b, strict=True):
            if (op == Op.RULE_FAILED or op == Op.RULE_ALSO_FAILED) and not comparable(value):
                step._rules[number].uncomparable += 1
    return [rule.recorded() for rule in step._rules]


def _mend_rows(event: Events, a: list[Any], b: list[Any]) -> None:
    """Make every value of an event storable, and note what was changed in its marks."""
    rows = [_mend_row(*row) for row in zip(event.ids, a, b, strict=True)]
    event.ids = [row[0] for row in rows]
    event.a = [row[1] for row in rows]
    event.b = [row[2] for row in rows]
    for number, row in enumerate(rows):
        if row[3]:
            event.marks[number] = [*event.marks.get(number, ()), *row[3]][:16]


def _mend_row(item_id: Any, a: Any, b: Any) -> tuple[Any, Any, Any, list[str]]:
    marks: list[str] = []
    item_id = mend_value("item_id", item_id, marks)
    a = mend_value("reason", a, marks)
    if isinstance(b, dict):
        b = {_mend_key(key, marks): mend_value(str(key), value, marks) for key, value in list(b.items())}
    elif b is not None and b is not False:
        b = mend_value("value", b, marks)
    return item_id, a, b, marks


def _mend_key(key: Any, marks: list[str]) -> str:
    return str(mend(key if isinstance(key, str) else str(mend(key, marks)), marks))


def mend_value(name: str, value: Any, marks: list[str]) -> Any:
    """A value that msgpack takes, at most `VALUE_LIMIT` bytes; what was changed is added to `marks`."""
    found: list[str] = []
    # msgpack holds NaN and infinities; the server keeps them apart from numbers.
    mended = value if isinstance(value, float) else mend(value, found)
    if not isinstance(mended, str | int | float | None) and len(encode(mended)) > VALUE_LIMIT:
        found.append(f"cut at {VALUE_LIMIT} bytes")
        mended = repr(mended)[:VALUE_LIMIT]
    marks.extend(f"{name[:64]}: {mark}" for mark in dict.fromkeys(found))
    return mended
