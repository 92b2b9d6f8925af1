"""Rows of one step -> columns, when they are taken from it; columns -> one encoded record, in the background.

Rows lie flat in one list, four places each: `op, item_id, a, b`. So a row costs the caller one
`list.extend`, four strided slices make the columns, and nothing loops over rows in Python. A `NOTE`
row says something more of the row before it. Evidence that has the same keys in every row travels
by key, which takes a server half the time to read. In a chunk that holds something msgpack refuses,
or something large, the rows are looked at one by one, so that one odd value costs no other row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from gc import is_tracked
from operator import itemgetter
from sys import getsizeof
from typing import TYPE_CHECKING, Any

import msgspec

from dxray.sdk.fields import now_us
from dxray.sdk.mending import TOTAL_LIMIT, Mender
from dxray.sdk.values import VALUE_LIMIT, is_small, mend, plain
from dxray.wire.predicates import comparable
from dxray.wire.records import Events, Op, Rule

if TYPE_CHECKING:
    from dxray.sdk.ledger import Ledger

Row = Sequence[Any]

WIDTH = 4
NOTE = 255  # op of a row that never travels: a is `by`, `kept` or `marks`, b its value for the row before
ROW_BYTES = 100  # of memory that a row takes until it is encoded, its evidence apart
VALUE_BYTES = 24  # that a number takes
RECORD_LIMIT = 1_048_576  # bytes: a chunk of large rows becomes several records, and no row is larger

_ONE_FOR_ALL = frozenset((str, type(None)))
_TEXT = {str}
_EVIDENCE_OPS = bytes((Op.ACCEPTED, Op.REJECTED, Op.MERGED, Op.SCORED, Op.PRODUCED_WITH))  # of which b is a dict
encode = msgspec.msgpack.Encoder(enc_hook=plain, decimal_format="string").encode


def columns_of(step: Ledger, flat: list[Any]) -> Events:
    """A step's rows as columns, and its rules' counts with them."""
    event = Events(run_id=step._run.run_id, step_id=step.step_id, first=step._emitted, at=now_us(), ops=b"", ids=())
    if step._sampler is not None:
        event.p = step._sampler.p
    if step._noted:
        flat = _take_notes(flat, event)
    event.ops = bytes(flat[0::WIDTH])
    event.ids, event.a, event.b = flat[1::WIDTH], flat[2::WIDTH], flat[3::WIDTH]
    if step._rules:
        event.rules = _count_rules(step, event.ops, event.a, event.b)
    return event


def size_of(event: Events) -> int:
    """About how much memory the rows take, judged by three of them."""
    n, b = len(event.ops), event.b or []
    held = 0
    for row in (0, n // 2, -1):
        held += value_size(event.a[row])
        if type(b[row]) is dict:
            held += getsizeof(b[row]) + sum(map(value_size, b[row].values()))
    return n * (ROW_BYTES + held // 3)


def value_size(value: Any) -> int:
    """About how much memory a value takes, as far as it will be kept."""
    if type(value) is str:
        return min(len(value), VALUE_LIMIT)
    return min(getsizeof(value), VALUE_LIMIT) if type(value) in (list, tuple, dict) else VALUE_BYTES


def records(event: Events) -> list[tuple[bytes, int]]:
    """The records of a chunk's columns, each with how many events it holds; one, but for large rows."""
    a, b = event.a, event.b or []
    try:
        if _is_large(event.ids) or _is_large(a) or _is_large(b):
            raise ValueError("too much for an encoder")
        event.a = a[0] if a.count(a[0]) == len(a) and type(a[0]) in _ONE_FOR_ALL else a
        if b[0] is None and b.count(None) == len(b):  # the first tells most chunks apart at no cost
            event.b = None
        else:
            event.wide = _by_key(event.ops, b)
            event.b = b if event.wide is None else None
        encoded = encode(event)
        if len(encoded) <= VALUE_LIMIT or max(map(len, map(encode, zip(event.ids, a, b, strict=True)))) <= VALUE_LIMIT:
            return [(encoded, len(event.ops))] if len(encoded) <= RECORD_LIMIT else split(event)
    except Exception:  # whatever it was, the rows are looked at one by one
        pass
    event.wide = None
    _mend_rows(event, a, b)
    return split(event)


def _is_large(column: Sequence[Any]) -> bool:
    """Whether a value of a column is too much for an encoder."""
    # Below Python 3.14 the collector does not track a dict of plain values: there is nothing to look into.
    return any(map(is_tracked, column)) and not all(map(is_small, column))


def _by_key(ops: bytes, evidence: list[Any]) -> dict[str, Any] | None:
    """Evidence row by row as columns; None where rows have none, or other keys than the first."""
    first = evidence[0]
    if ops.translate(None, _EVIDENCE_OPS) or not first or {*map(type, first)} != _TEXT:
        return None
    try:
        if sum(map(len, evidence)) == len(first) * len(evidence):
            return {key: list(map(itemgetter(key), evidence)) for key in first}
    except (KeyError, TypeError):  # a row without one of the keys, or without any
        pass
    return None


def split(event: Events) -> list[tuple[bytes, int]]:
    """The event, whose columns are lists, as records of at most `RECORD_LIMIT` bytes, each with its number of rows."""
    encoded, n = encode(event), len(event.ops)
    if len(encoded) <= RECORD_LIMIT or n == 1:
        return [(encoded, n)]
    return [*split(_rows_of(event, 0, n // 2)), *split(_rows_of(event, n // 2, n))]


def _rows_of(event: Events, start: int, stop: int) -> Events:
    """Some rows of an event, as an event."""

    def sparse(by_row: dict[int, Any]) -> dict[int, Any]:
        return {number - start: value for number, value in by_row.items() if start <= number < stop}

    rows = event.wide_rows
    here = range(start, stop) if rows is None else [place for place, row in enumerate(rows) if start <= row < stop]
    return msgspec.structs.replace(
        event,
        first=event.first + start,
        ops=event.ops[start:stop],
        ids=event.ids[start:stop],
        a=event.a[start:stop] if isinstance(event.a, list) else event.a,
        b=None if event.b is None else event.b[start:stop],
        wide={key: [column[place] for place in here] for key, column in event.wide.items()} if event.wide else None,
        wide_rows=None if rows is None else [rows[place] - start for place in here],
        kept=sparse(event.kept),
        by=sparse(event.by),
        marks=sparse(event.marks),
    )


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
    """Make every row of an event storable, and note what was changed in its marks."""
    event.a, event.b, event.ids = list(a), list(b), list(event.ids)
    for number, row in enumerate(zip(event.ids, a, b, strict=True)):
        if _is_storable(*row):
            continue
        marks: list[str] = []
        event.ids[number], event.a[number], event.b[number] = _mend_row(event.ops[number], *row, marks)
        if marks:
            event.marks[number] = [*event.marks.get(number, ()), *marks][:16]


def _is_storable(item_id: Any, a: Any, b: Any) -> bool:
    try:
        return is_small((item_id, a, b)) and len(encode((item_id, a, b))) <= VALUE_LIMIT
    except Exception:
        return False


def _mend_row(op: int, item_id: Any, a: Any, b: Any, marks: list[str]) -> tuple[Any, Any, Any]:
    item_id = mend_value("item_id", item_id, marks)
    if op == Op.PRODUCED_WITH:
        a = [_mend_listed("name", one, marks) for one in a]  # name, parents, kind
    else:
        a = mend_value("reason", a, marks)
    if isinstance(b, dict):
        b = _mend_evidence(b, marks)
    elif b is not None and b is not False:
        b = _mend_listed("value", b, marks)
    return item_id, a, b


def _mend_listed(name: str, value: Any, marks: list[str]) -> Any:
    """A value, or the values of a list: an item may have very many parents."""
    if type(value) is not list:
        return mend_value(name, value, marks)
    if len(value) > TOTAL_LIMIT:
        marks.append(f"{name}: cut at {TOTAL_LIMIT} elements")
    return [mend_value(name, one, marks) for one in value[:TOTAL_LIMIT]]


def _mend_evidence(evidence: dict[Any, Any], marks: list[str]) -> dict[str, Any]:
    mended: dict[str, Any] = {}
    room = RECORD_LIMIT // 2
    for given, value in list(evidence.items()):
        key = Mender(marks, plain).key(given)
        mended[key] = mend_value(key, value, marks)
        room -= len(encode((key, mended[key])))
        if room < 0:
            del mended[key]
            marks.append(f"{key[:64]}: cut, with all behind it, at {RECORD_LIMIT // 2} bytes of evidence")
            break
    return mended


def mend_value(name: str, value: Any, marks: list[str]) -> Any:
    """A value that msgpack takes, at most `VALUE_LIMIT` bytes; what was changed is added to `marks`."""
    found: list[str] = []
    # msgpack holds NaN and infinities; the server keeps them apart from numbers.
    mended = value if type(value) is float else mend(value, found)
    if not isinstance(mended, str | int | float | None) and len(encode(mended)) > VALUE_LIMIT:
        found.append(f"cut at {VALUE_LIMIT} bytes")
        mended = repr(mended)[:VALUE_LIMIT]
    marks.extend(f"{name[:64]}: {mark}" for mark in dict.fromkeys(found))
    return mended
