"""Many items in one call: columns are taken as they are, without a loop over items.

NumPy and Arrow are recognised by name and never imported: an array's buffer travels as bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from itertools import islice, repeat
from operator import itemgetter, methodcaller
from typing import TYPE_CHECKING, Any
from zlib import crc32

from dxray.sdk.capture import FULL_EVENTS
from dxray.sdk.chunk import RECORD_LIMIT, encode, mend_value, split, value_size
from dxray.sdk.fields import now_us
from dxray.sdk.guard import HANDLER_S, guard
from dxray.sdk.mending import Mender
from dxray.sdk.values import SCALARS, VALUE_LIMIT, as_score, as_text, id_text, plain
from dxray.wire.records import Events, Op

if TYPE_CHECKING:
    from dxray.sdk.capture import Sampler
    from dxray.sdk.ledger import Ledger
    from dxray.sdk.step import Step

MANY = 256  # items, from which NumPy is quicker than a loop
BLOCK = 16_384  # items a record
BLOCK_BYTES = 4 * 1024 * 1024  # and about so much of memory, where they are large

_LISTS = (list, tuple)
_COLLECTIONS = {list, tuple, dict, set, frozenset}
_SECOND = {Op.PRODUCED: "name", Op.SCORED: "score"}  # what the second column is


def record(step: Ledger, op: int, ids: Any, a: Any, evidence: Mapping[str, Any] | None) -> None:
    """Record `op` for all of `ids`; `a` is one value for all, or a column.

    Raises TypeError for ids that are no column; the guard around the caller counts it, and the step what it lost.
    """
    ids = _ids(step, ids)
    n = len(ids)
    done = 0
    try:
        a, columns = _taken(step, op, n, a, evidence)
        step._spill_all()  # what was recorded before comes first
        held = size_of(ids) + size_of(a) + sum(map(size_of, columns.values()))
        block = max(1, min(BLOCK, n * BLOCK_BYTES // (held + 1)))
        while done < n:
            stop = min(done + block, n)
            if step._capture == "auto" and step._sampler is None:
                stop = min(stop, done + FULL_EVENTS - step._emitted)
            part = slice(done, stop)
            _put(step, op, ids[part], a[part] if _is_column(a) else a, {k: c[part] for k, c in columns.items()})
            done = stop
    except BaseException:  # also an interrupt: what it leaves out is lost
        step._lost("not_recorded", n - done)
        raise


def rows_of(
    step: Ledger, ids: Any, names: Any, evidence: Mapping[str, Any] | None
) -> list[tuple[Any, Any, dict[str, Any] | None]]:
    """Id, name and facts of each item. Raises as `record` does, and counts what is lost by it."""
    ids = _ids(step, ids)
    n = len(ids)
    with step._counting_loss(n):
        names, columns = _taken(step, Op.PRODUCED, n, names, evidence)
        read = _each(step, columns, n, listed)
        named = listed(names) if _is_column(names) else [names] * n
        facts: list[Any] = [dict(zip(read, row, strict=True)) for row in zip(*read.values(), strict=True)]
        return list(zip(listed(ids), named, facts if read else [None] * n, strict=True))


def produce_each(step: Step, rows: list[tuple[Any, Any, dict[str, Any] | None]], parents: Sequence[Any]) -> None:
    """Record items that have parents, one by one. The one at which an interrupt comes counts as lost, too."""
    done = 0
    try:
        for item_id, name, facts in rows:
            step.produce(item_id, name, parents, evidence=facts)
            done += 1
    except BaseException:
        step._lost("not_recorded", len(rows) - done)
        raise


def divide(step: Step, kept: list[Any], gone: list[Any], reason: str) -> None:
    """Record who goes on and who stops; an interrupt in the first half costs the second."""
    with guard:
        with step._counting_loss(len(gone)):
            step.accept_many(kept)
        step.reject_many(gone, reason)


def _ids(step: Ledger, ids: Any) -> Any:
    try:
        ids = _sized(ids)
        len(ids)
    except BaseException:
        step._lost("not_recorded", 1)  # how many they would have been, nobody knows
        raise
    return ids


def _taken(step: Ledger, op: int, n: int, a: Any, evidence: Mapping[str, Any] | None) -> tuple[Any, dict[str, Any]]:
    """Second column and evidence, of `n` values each. What is no column of that length is left out, and counted."""
    given: dict[str, Any] = {}
    try:
        given = {} if evidence is None else {id_text(key): column for key, column in evidence.items()}
    except Exception as error:  # it has no columns
        guard.caught(error)
        step._left_out("evidence", n)
    columns = _each(step, given, n, lambda column: _of_length(n, column))
    name = _SECOND.get(op, "reason")
    if _is_column(a):
        a = _each(step, {name: a}, n, lambda column: _of_length(n, column)).get(name)
    elif a is not None and not isinstance(a, str | int | float):
        a = as_score(a) if op == Op.SCORED else _text_for_all(a)
    return a, columns


def _each(step: Ledger, columns: Mapping[str, Any], n: int, read: Callable[[Any], Any]) -> dict[str, Any]:
    """Each of the columns, read; without those that cannot be, which the `n` items are recorded without."""
    found: dict[str, Any] = {}
    for name, column in columns.items():
        try:
            found[name] = read(column)
        except Exception as error:
            guard.caught(error)
            step._left_out(name, n)
    return found


def _of_length(n: int, column: Any) -> Any:
    if not hasattr(column, "__len__"):
        column = list(islice(column, n + 1))  # it may have no end
    column = _sized(column)
    if len(column) != n:
        raise ValueError(f"a column has {len(column)} values for {n} items")
    return column


def _text_for_all(a: Any) -> str:
    if isinstance(a, Enum):
        return as_text(a.value if isinstance(a.value, str | int | float) else a.name)
    return as_text(a)


def _is_column(a: Any) -> bool:
    kind = type(a)
    return kind in _LISTS or _holds_many(kind)  # type: ignore[arg-type]  # a type is hashable


@lru_cache(256)
def _holds_many(kind: type) -> bool:
    if issubclass(kind, str | int | float | bytes | bytearray):
        return False
    known = set[str]().union(*map(vars, kind.__mro__))  # of the type: an enum's members have no methods of its class
    return "__iter__" in known or {"__len__", "__getitem__"} <= known


def _put(step: Ledger, op: int, ids: Any, a: Any, columns: dict[str, Any]) -> None:
    n = len(ids)
    if _is_column(a):
        name = _SECOND.get(op, "reason")
        a = _each(step, {name: a}, n, column_of).get(name)
    event = Events(
        run_id=step._run.run_id,
        step_id=step.step_id,
        first=0,
        at=now_us(),
        ops=bytes((op,)) * n,
        ids=column_of(ids),
        a=a,
        p=step._sampler.p if step._sampler is not None else None,
    )
    if columns and step._sampler is not None:
        reasons = (
            listed(a)
            if _is_column(a) and op in (Op.ACCEPTED, Op.REJECTED)
            else repeat(a if op == Op.REJECTED else None)
        )
        causes = _causes(step._sampler, listed(ids), reasons)
        rows = [number for number, cause in enumerate(causes) if cause is not None]
        event.kept = {number: cause for number, cause in enumerate(causes) if cause not in (None, "chance")}
        event.wide_rows = rows
        picked = itemgetter(*rows) if len(rows) > 1 else lambda column: [column[number] for number in rows]
        columns = _each(step, columns, n, lambda column: list(picked(listed(column))))
    event.wide = _each(step, columns, n, column_of) or None
    if not step._lock.acquire(timeout=HANDLER_S):  # a signal's handler has interrupted the thread that holds it
        raise RuntimeError("the step is being recorded to by the code that was interrupted")
    try:
        event.first = step._emitted
        step._emitted += n
        if step._capture != "full":
            step._sample_from_here()
    finally:
        step._lock.release()
    # Encoded in the background: what is here is a snapshot already.
    size = size_of(event.ids) + sum(map(size_of, (event.wide or {}).values())) + size_of(event.a)
    step._run._channel.put_later(event, records, n, size)


def _causes(sampler: Sampler, ids: list[Any], reasons: Iterable[Any]) -> list[str | None]:
    """Why each item's evidence is kept, as `Sampler.cause` says; with NumPy where many have one reason."""
    np = sys.modules.get("numpy")
    if np is None or len(ids) < MANY or not isinstance(reasons, repeat):
        return list(map(sampler.cause, ids, reasons))
    texts = map(str if set(map(type, ids)) == {int} else as_text, ids)
    crcs = map(crc32, map(methodcaller("encode", "utf-8", "surrogatepass"), texts))
    by_chance = mixed(np.fromiter(crcs, np.uint64, len(ids))) < sampler._below
    causes: list[str | None] = [None] * len(ids)
    for place in np.flatnonzero(by_chance).tolist():
        causes[place] = "chance"
    for place in np.flatnonzero(~by_chance)[: sampler._extras].tolist():  # the first of a reason are among these
        causes[place] = sampler.cause(ids[place], next(reasons))
    return causes


def mixed(h: Any) -> Any:
    """The mixing of `capture.item_hash`, of a column of crc32 as uint64."""
    h = ((h ^ h >> 16) * 0x85EBCA6B) & 0xFFFFFFFF
    h = ((h ^ h >> 13) * 0xC2B2AE35) & 0xFFFFFFFF
    return h ^ h >> 16


def records(event: Events) -> list[tuple[bytes, int]]:
    """The event as records, each with its number of rows; what msgpack refuses is mended, what is too large cut."""
    if any(type(column) in _LISTS and _COLLECTIONS & {*map(type, column)} for _, column in _columns(event)):
        _mend(event)
    try:
        whole = encode(event)
    except Exception:
        _mend(event, strictly=True)
        whole = encode(event)
    n = len(event.ops)
    if len(whole) > VALUE_LIMIT:
        _mend(event)
        whole = encode(event)
    if len(whole) <= RECORD_LIMIT:
        return [(whole, n)]
    event.ids, event.a = listed(event.ids), listed(event.a) if isinstance(event.a, dict | list) else event.a
    event.wide = {key: listed(column) for key, column in (event.wide or {}).items()} or None
    _mend(event)
    return split(event)


def _columns(event: Events) -> list[tuple[str, Any]]:
    return [("item_id", event.ids), ("reason", event.a), *(event.wide or {}).items()]


def _mend(event: Events, strictly: bool = False) -> None:
    """Make the values of lists storable, one by one, and mark their rows. `strictly`: an encoder has refused one."""
    if strictly:
        event.wide = {Mender([], plain).key(key): column for key, column in (event.wide or {}).items()} or None
    event.ids = _mended(event, "item_id", event.ids, None, strictly)
    if _is_column(event.a):
        event.a = _mended(event, "reason", event.a, None, strictly)
    elif not _fits(event.a, strictly):
        event.a, *_ = _mended(event, "reason", [event.a], None, strictly)
    for key, column in (event.wide or {}).items():
        event.wide = {**(event.wide or {}), key: _mended(event, key, column, event.wide_rows, strictly)}


def _mended(event: Events, name: str, column: Any, rows: list[int] | None, strictly: bool) -> Any:
    if type(column) not in _LISTS:
        return column
    values = list(column)
    for place, value in enumerate(values):
        if _fits(value, strictly):
            continue
        marks: list[str] = []
        values[place] = mend_value(name, value, marks)
        if marks:
            row = place if rows is None else rows[place]
            event.marks[row] = [*event.marks.get(row, ()), *marks][:16]
    return values


def _fits(value: Any, strictly: bool) -> bool:
    if type(value) not in SCALARS or (type(value) is str and len(value) > VALUE_LIMIT):
        return False
    try:
        return not strictly or bool(encode(value))
    except Exception:
        return False


def size_of(column: Any) -> int:
    """About how many bytes a column that is ready to travel takes."""
    if isinstance(column, dict):
        return len(column.get("data") or column.get("arrow") or b"")
    if not isinstance(column, list | tuple) or not column:
        return int(getattr(column, "nbytes", 8))
    some = [column[0], column[len(column) // 2], column[-1]]
    return len(column) * (8 + max(map(value_size, some)))


def column_of(column: Any) -> Any:
    """A column as it travels: a list, or the bytes of an array's buffer."""
    kind = type(column)
    if kind is list or kind is tuple:
        return column
    module = kind.__module__.partition(".")[0]
    if kind.__name__ == "ndarray" and module == "numpy" and column.ndim == 1 and column.dtype.kind in "iufb":
        return {"numpy": column.dtype.str, "data": column.tobytes()}
    if module == "pyarrow":
        return {"arrow": _ipc(column)}
    return listed(column)


def _ipc(column: Any) -> bytes:
    pa = sys.modules["pyarrow"]
    batch = pa.table({"c": column})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_table(batch)
    return bytes(sink.getvalue())


def _sized(column: Any) -> Any:
    """A snapshot that can be measured and sliced. Raises TypeError for a text, which is one value and no column."""
    kind = type(column)
    if kind is list:
        return column
    if issubclass(kind, str | bytes | bytearray):
        raise TypeError(f"a column is a list or an array of values, not one {kind.__name__}")
    module = kind.__module__.partition(".")[0]
    if module == "pandas":
        array = column.to_numpy()
        # Of the rest each value is Python's own: a missing one None, and a date no number.
        same = array.dtype.kind in "iufb" and array.dtype.kind == getattr(column.dtype, "kind", "")
        return array if same else column.to_numpy(dtype=object, na_value=None).tolist()
    if module == "polars":  # an array has no missing number but NaN, and 7 would be 7.0
        number = column.dtype.is_numeric() and not column.dtype.is_decimal()
        return column.to_numpy() if number and not column.null_count() and "numpy" in sys.modules else column.to_list()
    if module in ("numpy", "pyarrow"):
        return column
    return list(column)


def listed(column: Any) -> list[Any]:
    """A column, also one that is ready to travel, as a list."""
    kind = type(column)
    if kind in (list, tuple):
        return list(column)
    if isinstance(column, dict) and "numpy" in column:
        np = sys.modules["numpy"]
        return list(np.frombuffer(column["data"], column["numpy"]).tolist())
    if isinstance(column, dict) and "arrow" in column:
        pa = sys.modules["pyarrow"]
        return list(pa.ipc.open_stream(column["arrow"]).read_all().column(0).to_pylist())
    if kind.__module__.partition(".")[0] == "pandas" and hasattr(column, "to_numpy"):
        return listed(_sized(column))
    simpler = plain(column)
    return simpler if isinstance(simpler, list) else list(column)


def one_or_several(given: Any) -> list[Any]:
    """What was given as a list, where it may be one thing: a text, bytes and a mapping are one."""
    if type(given) in _LISTS:
        return list(given)
    if hasattr(given, "__iter__") and not isinstance(given, str | bytes | bytearray | Mapping):
        return listed(given)
    return [given]


def id_of(item: Any, key: Any) -> Any:
    """An item's id: by `key`, else its `id`, else itself."""
    if callable(key):
        return key(item)
    if key is not None:
        return item[key] if isinstance(item, Mapping) else getattr(item, key)
    if isinstance(item, Mapping):
        if "id" not in item and "item_id" not in item:
            raise LookupError("an item that is a mapping needs an id: say which with key=")
        return item["id"] if "id" in item else item["item_id"]
    return getattr(item, "id", item)


def ids_of(frame: Any, id: Any) -> Iterable[Any]:
    """The ids of a frame's rows: a column, the index, or each row's own."""
    if isinstance(id, str) and hasattr(frame, "columns"):
        return listed(_sized(frame[id]))
    if id is not None and not isinstance(id, str) and not callable(id):
        return listed(_sized(id))
    if hasattr(frame, "index") and hasattr(frame, "columns"):
        return listed(_sized(frame.index))
    return [id_of(item, id) for item in frame]


def laid(frame: Any, keep: Any) -> Any:
    """A mask's flags in the order of the frame's rows: pandas lays a mask by its index, not by place."""
    rows, flags = getattr(frame, "index", None), getattr(keep, "index", None)
    same: Any = getattr(rows, "equals", None)
    return keep if same is None or not hasattr(flags, "equals") or same(flags) else keep.reindex(rows)


def masked(frame: Any, keep: Any) -> Any:
    """What a mask keeps of a frame, an array or a list, by the frame's own means.

    What a frame raises at a mask goes on, with a plain note where the mask has another length.
    """
    try:
        if type(frame).__module__.partition(".")[0] in ("polars", "pyarrow"):
            return frame.filter(keep)
        if isinstance(frame, list | tuple):
            return [item for item, flag in zip(frame, keep, strict=True) if flag]
        return frame[keep]
    except Exception as error:
        if hasattr(keep, "__len__") and len(keep) != len(frame):
            said = f"the mask has {len(keep)} flags for {len(frame)} items: give step.mask one flag for each"
            if isinstance(frame, list | tuple):
                raise ValueError(said) from None
            error.add_note(said)  # the frame's own error, as it would be without recording
        raise
