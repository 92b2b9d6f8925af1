"""What was said of a run afterwards?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dxray.server.filters import Clause
from dxray.server.reasoning.selection import existing_run, labels_of
from dxray.server.reasoning.sentences import shown
from dxray.server.reasoning.shown import when
from dxray.server.store.base import Reader

_SAID = {
    "good": "the run is good",
    "bad": "the run is bad",
    "keep": "the run is to be kept",
}
_SAID_OF = {
    "good": "{} is right",
    "bad": "{} is wrong",
    "expected": "{} was expected",
    "wrong": "{} is wrong",
    "keep": "{} is to be kept",
}
_IN_A_SENTENCE = 5


def labels(reader: Reader, run_id: str) -> dict[str, Any]:
    """The labels of a run that stand, the first said first. Raises `NotFound` for the run."""
    existing_run(reader, run_id)
    rows = labels_of(reader, [Clause("run_id", "==", run_id)])
    names = _names(reader, run_id, sorted({str(row["item_id"]) for row in rows if row["item_id"] is not None}))
    found = [
        {
            "number": row["number"],
            "label": row["label"],
            "item_id": row["item_id"],
            "name": names.get(str(row["item_id"])),
            "note": row["note"],
            "at": when(int(str(row["at"]))),
        }
        for row in rows
    ]
    return {"run_id": run_id, "labels": found, "sentence": _sentence(found)}


def _names(reader: Reader, run_id: str, items: Sequence[str]) -> dict[str, str]:
    if not items:
        return {}
    where = [Clause("run_id", "==", run_id), Clause("item_id", "in", items), Clause("name", "not_null")]
    rows = reader.select("events", ["item_id", "name"], where, ["step_id", "event_no"]).to_pylist()
    return {row["item_id"]: row["name"] for row in rows}


def _sentence(found: Sequence[Mapping[str, Any]]) -> str:
    if not found:
        return "Nobody has said yet whether this run was good or bad."
    said = [_said(label) for label in found[:_IN_A_SENTENCE]]
    more = len(found) - len(said)
    if more:
        said.append(f"and {more} more")
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}."


def _said(label: Mapping[str, Any]) -> str:
    note = f" ({shown(label['note'])})" if label["note"] else ""
    if label["item_id"] is None:
        return _SAID[label["label"]] + note
    return _SAID_OF[label["label"]].format(shown(label["name"] or label["item_id"])) + note
