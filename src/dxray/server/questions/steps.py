"""Which steps, across runs and pipelines, look like this?"""

from __future__ import annotations

from typing import Any

from dxray.server.filters import Clause
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
    "unaccounted",
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
    return {"steps": [_step(row) for row in rows], "total": total, "limit": limit, "offset": offset}


def _step(row: Row) -> dict[str, Any]:
    return {
        **{name: row[name] for name in _AS_THEY_ARE},
        "name": row["step_name"],
        "started_at": when(row["started_at"]),
        "ended_at": when(row["ended_at"]),
        "run_started_at": when(row["run_started_at"]),
        "error": embedded(row["error"]),
        "rejection_counts": embedded(row["rejection_counts"]) or {},
    }
