"""What was said of a run afterwards?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dxray.server.filters import Clause
from dxray.server.reasoning.selection import existing_run, labels_said
from dxray.server.reasoning.sentences import shown
from dxray.server.reasoning.shown import when
from dxray.server.reasoning.unheard import unheard_of
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
    """The labels of a run that stand, the first said first. Raises `NotFound` for the run.

    `replaced` has those that a later one says otherwise.
    """
    pipeline = str(existing_run(reader, run_id, ("pipeline",))["pipeline"])
    rows = labels_said(reader, [Clause("run_id", "==", run_id)])
    items = sorted({str(row["item_id"]) for row in rows if row["item_id"] is not None})
    names = _names(reader, run_id, items)
    expected = {str(row["item_id"]) for row in rows if row["label"] == "expected" and row["replaced_by"] is None}
    unheard = {item: near for item in sorted(expected) if (near := unheard_of(reader, pipeline, item)) is not None}
    found = [
        {
            "number": row["number"],
            "label": row["label"],
            "item_id": row["item_id"],
            "name": names.get(str(row["item_id"])),
            "note": row["note"],
            "at": when(int(str(row["at"]))),
            "replaced_by": row["replaced_by"],
            "did_you_mean": unheard.get(str(row["item_id"])) if row["label"] == "expected" else None,
        }
        for row in rows
    ]
    stand = [row for row in found if row["replaced_by"] is None]
    gone = [row for row in found if row["replaced_by"] is not None]
    warnings = [_warning(item, near, pipeline) for item, near in unheard.items()]
    return {
        "run_id": run_id,
        "labels": stand,
        "replaced": gone,
        "warnings": warnings,
        "sentence": " ".join([_sentence(stand, gone), *warnings]),
    }


def _warning(item: str, near: Sequence[Mapping[str, Any]], pipeline: str) -> str:
    """A fault may be in the label: what was expected is looked for by its id."""
    said = f"No run of {shown(pipeline)} ever had {shown(item)}"
    if not near:
        return f"{said}: see that the id is right."
    names = [shown(one["item_id"]) + (f" ({shown(one['name'])})" if one["name"] else "") for one in near[:3]]
    return f"{said}; did you mean {' or '.join(names)}?"


def _names(reader: Reader, run_id: str, items: Sequence[str]) -> dict[str, str]:
    if not items:
        return {}
    where = [Clause("run_id", "==", run_id), Clause("item_id", "in", items), Clause("name", "not_null")]
    rows = reader.select("events", ["item_id", "name"], where, ["step_id", "event_no"]).to_pylist()
    return {row["item_id"]: row["name"] for row in rows}


def _sentence(found: Sequence[Mapping[str, Any]], gone: Sequence[Mapping[str, Any]]) -> str:
    if not found:
        return "Nobody has said yet whether this run was good or bad."
    said = [_said(label) for label in found[:_IN_A_SENTENCE]]
    more = len(found) - len(said)
    if more:
        said.append(f"and {more} more")
    stands = {label["number"]: label for label in found}
    before = [label for label in gone if label["replaced_by"] in stands]
    text = "; ".join(said)
    text = f"{text[0].upper()}{text[1:]}."
    if before:
        earlier, later = before[-1], stands[before[-1]["replaced_by"]]
        text += f" Label {later['number']}, {later['label']}, replaced label {earlier['number']}, {earlier['label']}."
    return text


def _said(label: Mapping[str, Any]) -> str:
    note = f" ({shown(label['note'])})" if label["note"] else ""
    if label["item_id"] is None:
        return _SAID[label["label"]] + note
    return _SAID_OF[label["label"]].format(shown(label["name"] or label["item_id"])) + note
