"""What people and tests say of a run afterwards, written down: rows are appended, and none is changed.

A removal is one more row of the label's number, and so is another note: the latest row of a number counts. `good` after
`bad` is a label of its own too; that it stands for the other is read, not written (see `selection.labels_said`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Lock
from typing import Any

import msgspec
import pyarrow as pa

from dxray.server.errors import BadRequest, Invalid, NotFound, nearest
from dxray.server.filters import Clause
from dxray.server.posted_shape import refuse
from dxray.server.reasoning.losses import losses_of
from dxray.server.reasoning.selection import existing_run, labels_of, labels_said
from dxray.server.reasoning.similar import named, nearest_items
from dxray.server.store.base import Commit, Reader, Store
from dxray.wire.records import LABELS

_OF_ITEMS = ("expected", "wrong")
_FIELDS = ("label", "item_id", "note")
_LONGEST_NOTE = 10_000
_ROWS = pa.schema(
    [
        ("project", pa.string()),
        ("run_id", pa.string()),
        ("number", pa.int32()),
        ("label", pa.string()),
        ("item_id", pa.string()),
        ("note", pa.string()),
        ("at", pa.int64()),
        ("removed", pa.bool_()),
    ]
)
_WRITING = (
    Lock()
)  # a number is the next of its run: one process owns the store, and in it one label is written at a time


@dataclass(frozen=True, slots=True)
class Said:
    """A label as it was posted."""

    label: str
    item_id: str | None = None
    note: str | None = None


def read(body: bytes) -> Said:
    """The label in a JSON body. Raises `BadRequest` for bytes that are no JSON, `Invalid` that names the field."""
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is not valid JSON: {error}", fix='send {"label": "bad"}') from error
    if not isinstance(raw, dict):
        refuse("the body", "expected an object", 'send {"label": "bad"}')
    for name in raw:
        if name not in _FIELDS:
            refuse(name[:100], "there is no such field", nearest(name[:100], _FIELDS))
    label = raw.get("label")
    if label is None:
        refuse("label", "is missing", "one of " + ", ".join(LABELS))
    if label not in LABELS:
        refuse("label", f"there is no label {str(label)[:100]!r}", nearest(str(label)[:100], LABELS))
    item_id, note = _item(raw.get("item_id")), raw.get("note")
    if item_id is None and label in _OF_ITEMS:
        refuse("item_id", f"is missing: {label!r} is said of an item", "add 'item_id': the item's id")
    if not isinstance(note, str | None) or len(note or "") > _LONGEST_NOTE:
        refuse("note", f"expected a text of at most {_LONGEST_NOTE} characters", "leave it out, or write a text")
    return Said(label, item_id, note or None)


def _item(said: Any) -> str | None:
    if said is None:
        return None
    if isinstance(said, bool) or not isinstance(said, str | int) or said == "":
        refuse("item_id", "expected the id of an item", "write a text or a whole number")
    return str(said)


def add(store: Store, project: str, run_id: str, said: Said) -> tuple[int, bool]:
    """Commit a label; its number in the run, and whether it is new. The same again changes nothing but the note.

    Raises `NotFound` for the run, and `Invalid` for an item that it cannot be.
    """
    reader = store.project(project)
    existing_run(reader, run_id)
    item = None if said.item_id is None else _meant(reader, run_id, said.label, said.item_id)
    with _WRITING:
        for row in labels_of(reader, [Clause("run_id", "==", run_id)]):
            if (row["label"], row["item_id"]) == (said.label, item):
                if said.note not in (None, row["note"]):
                    _append(store, project, {**row, "note": said.note})
                return _number(row), False
        rows = reader.select("labels", ["number"], [Clause("run_id", "==", run_id)])
        number = 1 + max(rows.column("number").to_pylist(), default=0)
        row = {"run_id": run_id, "number": number, "label": said.label, "item_id": item, "note": said.note}
        _append(store, project, {**row, "at": 0, "removed": False})
    return number, True


def remove(store: Store, project: str, run_id: str, number: int) -> None:
    """Take a label back. Raises `NotFound` for the run, and for a number that no standing label of it has."""
    reader = store.project(project)
    existing_run(reader, run_id)
    with _WRITING:
        standing = {_number(row): row for row in labels_said(reader, [Clause("run_id", "==", run_id)])}
        if number not in standing:
            there = ", ".join(map(str, standing))
            fix = f"its labels are {there}" if there else "it has no labels"
            raise NotFound(f"run {run_id!r} has no label {number}", field="number", fix=fix)
        _append(store, project, {**standing[number], "removed": True})


def _number(row: dict[str, object]) -> int:
    return int(str(row["number"]))


def _append(store: Store, project: str, row: dict[str, object]) -> None:
    later = max(time.time_ns() // 1000, int(str(row["at"])) + 1)  # than the row that it takes the place of
    row = {**row, "project": project, "at": later}
    rows = pa.Table.from_pylist([{name: row[name] for name in _ROWS.names}], _ROWS)
    store.insert(Commit({"labels": rows}))


def _meant(reader: Reader, run_id: str, label: str, item: str) -> str:
    """The id of the item that is meant, by its id or its exact name. What was expected need not have been there."""
    here = Clause("run_id", "==", run_id)
    if reader.select("events", ["item_id"], [here, Clause("item_id", "==", item)], limit=1).num_rows:
        return item
    others = named(reader, run_id, item)
    if len(others) == 1:
        return str(others[0]["item_id"])
    if others:
        ids = ", ".join(one["item_id"] for one in others[:5])
        raise Invalid(
            f"item_id: {len(others)} items of run {run_id!r} have the name {item[:100]!r}",
            field="item_id",
            fix=f"name one by its id: {ids}",
        )
    if label != "expected" and _knows_its_items(reader, here, run_id):
        near = [one["item_id"] for one in nearest_items(reader, run_id, item[:200])[:3]]
        raise Invalid(
            f"item_id: run {run_id!r} has no item {item[:100]!r}",
            field="item_id",
            fix="did you mean " + " or ".join(near) + "?" if near else "only 'expected' is said of what was not there",
        )
    return item


def _knows_its_items(reader: Reader, here: Clause, run_id: str) -> bool:
    """Whether the run recorded items, and lost nothing: then what it does not name was not there."""
    return bool(reader.select("events", ["item_id"], [here], limit=1).num_rows) and not losses_of(reader, [run_id])
