"""Many items in one call: columns are taken as they are, without a loop over items.

NumPy and Arrow are recognised by name and never imported: an array's buffer travels as bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from itertools import repeat
from typing import TYPE_CHECKING, Any

from dxray.sdk.capture import FULL_EVENTS
from dxray.sdk.chunk import RECORD_LIMIT, encode, split
from dxray.sdk.fields import now_us
from dxray.sdk.values import VALUE_LIMIT, mend, plain
from dxray.wire.records import Events, Op

if TYPE_CHECKING:
    from dxray.sdk.ledger import Ledger

BLOCK = 16_384  # items a record


def record(step: Ledger, op: int, ids: Any, a: Any, evidence: Mapping[str, Any] | None) -> None:
    """Record `op` for all of `ids`; `a` is one value for all, or a column.

    Raises ValueError where columns differ in length; the guard around the caller counts it, and the step what it lost.
    """
    ids = _sized(ids)
    n = len(ids)
    done = 0
    try:
        columns = {} if evidence is None else {str(key): _sized(column) for key, column in evidence.items()}
        a = _sized(a) if a is not None and not isinstance(a, str | int | float) else a
        for name, column in (("the second column", a if _is_column(a) else ids), *columns.items()):
            if len(column) != n:
                raise ValueError(f"{name} has {len(column)} values for {n} items")
        step._spill_all()  # what was recorded before comes first
        while done < n:
            stop = min(done + BLOCK, n)
            if step._capture == "auto" and step._sampler is None:
                stop = min(stop, done + FULL_EVENTS - step._emitted)
            part = slice(done, stop)
            _put(step, op, ids[part], a[part] if _is_column(a) else a, {k: c[part] for k, c in columns.items()})
            done = stop
    except Exception:
        step._lost("not_recorded", n - done)
        raise


def _is_column(a: Any) -> bool:
    return a is not None and not isinstance(a, str | int | float)


def _put(step: Ledger, op: int, ids: Any, a: Any, columns: dict[str, Any]) -> None:
    n = len(ids)
    event = Events(
        run_id=step._run.run_id,
        step_id=step.step_id,
        first=0,
        at=now_us(),
        ops=bytes((op,)) * n,
        ids=column_of(ids),
        a=column_of(a) if _is_column(a) else a,
        p=step._sampler.p if step._sampler is not None else None,
    )
    if columns and step._sampler is not None:
        reasons = (
            listed(a)
            if _is_column(a) and op in (Op.ACCEPTED, Op.REJECTED)
            else repeat(a if op == Op.REJECTED else None)
        )
        causes = list(map(step._sampler.cause, listed(ids), reasons))
        rows = [number for number, cause in enumerate(causes) if cause is not None]
        event.kept = {number: cause for number, cause in enumerate(causes) if cause not in (None, "chance")}
        event.wide_rows = rows
        columns = {key: [column[number] for number in rows] for key, column in columns.items()}
    if columns:
        event.wide = {key: column_of(column) for key, column in columns.items()}
    with step._lock:
        event.first = step._emitted
        step._emitted += n
        if step._capture != "full":
            step._sample_from_here()
    # Encoded in the background: what is here is a snapshot already.
    size = size_of(event.ids) + sum(map(size_of, (event.wide or {}).values())) + size_of(event.a)
    step._run._channel.put_later(event, records, n, size)


def records(event: Events) -> list[tuple[bytes, int]]:
    """The event as records, each with its number of rows; what msgpack refuses is mended, what is too large cut."""
    try:
        whole = encode(event)
    except Exception:
        _mend(event)
        whole = encode(event)
    n = len(event.ops)
    if len(whole) <= VALUE_LIMIT:
        return [(whole, n)]
    if _cut_values(event):
        whole = encode(event)
    if len(whole) <= RECORD_LIMIT or n == 1:
        return [(whole, n)]
    event.ids, event.a = listed(event.ids), listed(event.a) if isinstance(event.a, dict | list) else event.a
    event.wide = {key: listed(column) for key, column in (event.wide or {}).items()} or None
    return split(event)


def _mend(event: Events) -> None:
    """Make every value storable, one by one."""
    marks: list[str] = []

    def mended(column: Any) -> list[Any]:
        return [one if type(one) is float else mend(one, marks) for one in listed(column)]

    event.ids = mended(event.ids)
    event.a = mended(event.a) if isinstance(event.a, dict | list) else mend(event.a, marks)
    event.wide = {str(mend(key, marks)): mended(column) for key, column in (event.wide or {}).items()} or None
    event.marks = {0: sorted(set(marks))} if marks else {}


def _cut_values(event: Events) -> bool:
    """Cut texts past the limit, and mark their rows."""
    found = False
    rows = event.wide_rows
    for key, column in (event.wide or {}).items():
        if type(column) is not list:
            continue
        for place, value in enumerate(column):
            if type(value) is str and len(value) > VALUE_LIMIT:
                found = True
                column[place] = value[:VALUE_LIMIT]
                row = place if rows is None else rows[place]
                event.marks[row] = [*event.marks.get(row, ()), f"{key[:64]}: cut at {VALUE_LIMIT} characters"]
    return found


def size_of(column: Any) -> int:
    """About how many bytes a column that is ready to travel takes."""
    if isinstance(column, dict):
        return len(column.get("data") or column.get("arrow") or b"")
    if not isinstance(column, list | tuple) or not column:
        return 8
    some = [column[0], column[len(column) // 2], column[-1]]
    return len(column) * max(len(value) + 4 if isinstance(value, str) else 9 for value in some)


def column_of(column: Any) -> Any:
    """A column as it travels: a list, or the bytes of an array's buffer."""
    kind = type(column)
    if kind is list or kind is tuple:
        return column
    module = kind.__module__.partition(".")[0]
    if module == "numpy" and column.dtype.kind in "iufb":
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
    """A snapshot that can be measured and sliced."""
    kind = type(column)
    if kind is list:
        return column
    module = kind.__module__.partition(".")[0]
    if module in ("pandas", "polars"):
        column = column.to_numpy()
        return column if column.dtype.kind in "iufb" else column.tolist()
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
    simpler = plain(column)
    return simpler if isinstance(simpler, list) else list(column)


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
