"""Which steps, across runs and pipelines, look like this?"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from dxray.server.filters import Clause
from dxray.server.reasoning.losses import NONE, losses_of
from dxray.server.reasoning.selection import equal, page_of, period, steps_where
from dxray.server.reasoning.shown import Row, embedded, when
from dxray.server.store.base import Reader

_AS_THEY_ARE = (
    "run_id",
    "pipeline",
    "step_id",
    "step_name",
    "step_type",
    "position",
    "attempt",
    "input_count",
    "output_count",
    "rejection_rate",
    "duration_ms",
    "run_status",
    "environment",
    "code_version",
)
_COLUMNS = (
    *_AS_THEY_ARE,
    "started_at",
    "ended_at",
    "run_started_at",
    "error",
    "rejection_counts",
    "unaccounted",
    "declared_input_count",
    "missing_events",
)


def steps(
    reader: Reader,
    *,
    step_type: str | None = None,
    name: str | None = None,
    pipeline: str | None = None,
    rejection_rate_gt: float | None = None,
    rejection_rate_lt: float | None = None,
    since: str | None = None,
    until: str | None = None,
    q: str | None = None,
    limit: int = 100,
    offset: int = 0,
) -> dict[str, Any]:
    """A page of steps, newest run first, in a run the order of its steps. Raises `FilterError`."""
    where = [
        *equal(step_type=step_type, step_name=name, pipeline=pipeline),
        *period(since, until, "run_started_at"),
        *steps_where(reader, q),
    ]
    if rejection_rate_gt is not None:
        where.append(Clause("rejection_rate", ">", rejection_rate_gt))
    if rejection_rate_lt is not None:
        where.append(Clause("rejection_rate", "<", rejection_rate_lt))
    order = ("-run_started_at", "-run_id", "position", "attempt")
    rows, total = page_of(reader, "steps", _COLUMNS, where, order, limit, offset)
    lossy = _lossy(reader, rows)
    found = [_step(row, at in lossy) for at, row in enumerate(rows)]
    return {"steps": found, "total": total, "limit": limit, "offset": offset}


def _lossy(reader: Reader, rows: list[Row]) -> set[int]:
    """The places of those rows that need it known, and lost events, or may have: as `stages_of` sees them, who has all
    steps of a run."""
    asked = [
        at for at, row in enumerate(rows) if row["unaccounted"] is not None and row["declared_input_count"] is None
    ]
    losses = losses_of(reader, list({rows[at]["run_id"]: None for at in asked}))
    known: dict[str, set[str]] = defaultdict(set)
    if losses:
        found = reader.select("steps", ["run_id", "step_id"], [Clause("run_id", "in", list(losses))])
        for run_id, step_id in zip(found["run_id"].to_pylist(), found["step_id"].to_pylist(), strict=True):
            known[run_id].add(step_id)
    unplaced = {run_id for run_id, of_run in losses.items() if of_run.events_elsewhere(known[run_id])}
    return {
        at
        for at in asked
        if rows[at]["missing_events"]
        or rows[at]["run_id"] in unplaced
        or losses.get(rows[at]["run_id"], NONE).events_at(rows[at]["step_id"])
    }


def _step(row: Row, lossy: bool) -> dict[str, Any]:
    return {
        **{name: row[name] for name in _AS_THEY_ARE},
        "name": row["step_name"],
        "unaccounted": None if lossy else row["unaccounted"],
        "started_at": when(row["started_at"]),
        "ended_at": when(row["ended_at"]),
        "run_started_at": when(row["run_started_at"]),
        "error": embedded(row["error"]),
        "rejection_counts": embedded(row["rejection_counts"]) or {},
    }
