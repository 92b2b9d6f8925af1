"""What did a run observe, event by event?"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgspec

from dxray.server.errors import Invalid, nearest
from dxray.server.filters import Clause
from dxray.server.reasoning.evidence import evidence_of, shapes_of
from dxray.server.reasoning.selection import equal, existing_run
from dxray.server.reasoning.shown import Row, embedded, parsed, when
from dxray.server.store.base import Reader
from dxray.wire.records import OUTCOMES

_Place = tuple[str, int]  # step_id and event_no of the last event shown


def events(
    reader: Reader,
    run_id: str,
    *,
    step_id: str | None = None,
    outcome: str | None = None,
    reason: str | None = None,
    item: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> dict[str, Any]:
    """A page of a run's events, in the order of its steps and, in a step, of what happened.

    Raises `NotFound` for the run, `Invalid` for a step, an outcome or a cursor that does not exist.
    """
    existing_run(reader, run_id)
    if outcome is not None and outcome not in OUTCOMES:
        raise Invalid(f"there is no outcome {outcome!r}", field="outcome", fix=nearest(outcome, OUTCOMES))
    steps = reader.select(
        "steps",
        ["step_id", "step_name", "step_type"],
        [Clause("run_id", "==", run_id)],
        ["position", "attempt"],
    ).to_pylist()
    ids = [step["step_id"] for step in steps]
    if step_id is not None and step_id not in ids:
        named = [step["step_id"] for step in steps if step["step_name"] == step_id]
        fix = f"the step of that name is {named[-1]!r}" if named else nearest(step_id, ids)
        raise Invalid(f"run {run_id} has no step with step_id {step_id!r}", field="step_id", fix=fix)
    after = None if cursor is None else _place(cursor, ids)
    where = [Clause("run_id", "==", run_id), *equal(outcome=outcome, reason=reason, item_id=item)]
    rows = _page(reader, ids if step_id is None else [step_id], where, after, limit + 1)
    more, rows = len(rows) > limit, rows[:limit]
    shapes = shapes_of(reader, rows)
    return {
        "events": [_event(row, evidence_of(row, shapes)) for row in rows],
        "next_cursor": _cursor(rows[-1]) if more else None,
    }


def _page(reader: Reader, ids: Sequence[str], where: Sequence[Clause], after: _Place | None, wanted: int) -> list[Row]:
    """The next rows, step by step: keysets order by one step and a number, where offsets would count again."""
    rows: list[Row] = []
    first = 0 if after is None or after[0] not in ids else ids.index(after[0])
    for number, step_id in enumerate(ids[first:]):
        clauses = [*where, Clause("step_id", "==", step_id)]
        if number == 0 and after is not None:
            clauses.append(Clause("event_no", ">", after[1]))
        missing = wanted - len(rows)
        rows += reader.select("events", where=clauses, order=["event_no"], limit=missing).to_pylist()
        if len(rows) >= wanted:
            break
    return rows


def _event(row: Row, evidence: dict[str, Any] | None) -> dict[str, Any]:
    state = row["evidence_state"]
    return {
        "event_no": row["event_no"],
        "step_id": row["step_id"],
        "step_name": row["step_name"],
        "step_type": row["step_type"],
        "item_id": row["item_id"],
        "name": row["name"],
        "kind": row["kind"],
        "outcome": row["outcome"],
        "reason": row["reason"],
        "evidence": evidence,
        "evidence_state": state or ("kept" if evidence is not None else None),
        "kept_because": row["kept_because"],
        "p": row["p"],
        "score": row["score"],
        "by": row["decided_by"] or "code",
        "passed": row["passed"],
        "ref_item": row["ref_item"],
        "ref_kind": row["ref_kind"],
        "marks": embedded(row["marks"]) or [],
        "at": when(row["at"]),
    }


def _cursor(row: Row) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([row["step_id"], row["event_no"]])).decode().rstrip("=")


def _place(cursor: str, ids: Sequence[str]) -> _Place:
    try:
        said = parsed(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode())
    except (binascii.Error, ValueError):
        said = None
    if isinstance(said, list) and len(said) == 2 and said[0] in ids and type(said[1]) is int and abs(said[1]) < 2**31:
        return said[0], said[1]
    raise Invalid(
        f"cursor {cursor[:60]!r} is none of this run's",
        field="cursor",
        fix="pass next_cursor of the page before, or leave it out",
    )
