"""How are the pipelines? Runs by status, the last run, and the step that rejects most."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pyarrow as pa

from dxray.server.filters import Clause
from dxray.server.reasoning.shown import when
from dxray.server.store.base import Reader
from dxray.wire.records import STATUSES

_LATEST_STEPS = 5_000  # a pipeline's health is of now, not of all time


def pipelines(reader: Reader) -> dict[str, Any]:
    """Every pipeline, the one that ran last first."""
    by_pipeline: dict[str, Counter[str]] = defaultdict(Counter)
    for row in reader.count_by("runs", ["pipeline", "status"]).to_pylist():
        by_pipeline[row["pipeline"]][row["status"]] += row["n"]
    found = [_pipeline(reader, name, statuses) for name, statuses in by_pipeline.items()]
    found.sort(key=lambda one: (one["last_run_at"] or "", one["pipeline"]), reverse=True)
    return {"pipelines": found, "total": len(found)}


def _pipeline(reader: Reader, name: str, statuses: Counter[str]) -> dict[str, Any]:
    where = [Clause("pipeline", "==", name)]
    last = reader.select(
        "runs", ["run_id", "status", "started_at"], where, ["-started_at", "-run_id"], limit=1
    ).to_pylist()
    steps = reader.select(
        "steps",
        ["step_name", "step_type", "rejection_rate"],
        [*where, Clause("rejection_rate", "not_null")],
        ["-run_started_at"],
        limit=_LATEST_STEPS,
    )
    return {
        "pipeline": name,
        "runs": statuses.total(),
        **{status: statuses[status] for status in STATUSES},
        "last_run_at": when(last[0]["started_at"]) if last else None,
        "last_run": {"run_id": last[0]["run_id"], "status": last[0]["status"]} if last else None,
        "worst_step": _worst(steps),
    }


def _worst(steps: pa.Table) -> dict[str, Any] | None:
    """The step with the highest mean rejection rate, over the latest steps."""
    means = steps.group_by(["step_name", "step_type"]).aggregate(
        [("rejection_rate", "mean"), ("rejection_rate", "max"), ("rejection_rate", "count")]
    )
    rows = means.to_pylist()
    if not rows:
        return None
    worst = max(rows, key=lambda row: (row["rejection_rate_mean"], row["step_name"]))
    return {
        "step_name": worst["step_name"],
        "step_type": worst["step_type"],
        "rejection_rate": worst["rejection_rate_mean"],
        "rejection_rate_max": worst["rejection_rate_max"],
        "over_steps": worst["rejection_rate_count"],
    }
