"""Which runs are there, and what is one made of?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from dxray.server.filters import Clause
from dxray.server.reasoning.attempts import without_superseded
from dxray.server.reasoning.conservation import contradictions, counts, is_complete
from dxray.server.reasoning.edges import edges
from dxray.server.reasoning.flow import Stage, flow_of, stages_of
from dxray.server.reasoning.losses import NONE, Losses, losses_of
from dxray.server.reasoning.run_summary import COLUMNS, counted, short
from dxray.server.reasoning.selection import equal, existing_run, labels_of, page_of, period, runs_where
from dxray.server.reasoning.shown import Row, embedded, when
from dxray.server.store.base import Reader

_LISTED = (
    "run_id",
    "pipeline",
    "status",
    "started_at",
    "ended_at",
    "duration_ms",
    "step_count",
    "environment",
    "code_version",
    "variant",
    "parent_run_id",
    "trace_id",
    "error",
    "marks",
)


def runs(
    reader: Reader,
    base: str,
    *,
    pipeline: str | None = None,
    status: str | None = None,
    since: str | None = None,
    until: str | None = None,
    q: str | None = None,
    limit: int = 100,
    offset: int = 0,
) -> dict[str, Any]:
    """A page of runs, newest first, each with what it was about. Raises `FilterError`.

    A page takes the same few reads, however many runs are on it.
    """
    where = [
        *equal(pipeline=pipeline, status=status),
        *period(since, until, "started_at"),
        *runs_where(reader, q),
    ]
    # Steps are counted here, from rows that are read anyway: the store would read them once more.
    columns = (*(name for name in _LISTED if name != "step_count"), "input", "output")
    rows, total = page_of(reader, "runs", columns, where, ["-started_at", "-run_id"], limit, offset)
    ids = [row["run_id"] for row in rows]
    losses = losses_of(reader, ids)
    about = _about(reader, ids)
    found = [_listed(row, losses.get(row["run_id"], NONE), about[row["run_id"]], base) for row in rows]
    return {"runs": found, "total": total, "limit": limit, "offset": offset}


@dataclass(slots=True)
class _About:
    """What a list says of a run besides its row."""

    step_count: int = 0
    steps: list[Row] = field(default_factory=list)  # those that count
    labels: list[str] = field(default_factory=list)


def _about(reader: Reader, run_ids: Sequence[str]) -> dict[str, _About]:
    found = {run_id: _About() for run_id in run_ids}
    if not run_ids:
        return found
    of_these = [Clause("run_id", "in", list(run_ids))]
    steps = reader.select("steps", COLUMNS, of_these)
    for run_id in steps["run_id"].to_pylist():
        found[run_id].step_count += 1
    for step in without_superseded(reader, steps).to_pylist():
        found[step["run_id"]].steps.append(step)
    for label in labels_of(reader, of_these):
        said = found[str(label["run_id"])].labels
        if label["label"] not in said:
            said.append(str(label["label"]))
    return found


def _listed(row: Row, losses: Losses, about: _About, base: str) -> dict[str, Any]:
    said = {"input": short(row["input"]), "output": short(row["output"])}
    return {
        **_run({**row, "step_count": about.step_count}, losses, base),
        "summary": {**said, **counted(about.steps, losses), "labels": about.labels},
    }


def run(reader: Reader, run_id: str, base: str, trace_link: str | None = None) -> dict[str, Any]:
    """One run with its steps, in the order in which they started; `trace_link` has places for ids.

    Raises `NotFound`.
    """
    where = [Clause("run_id", "==", run_id)]
    row = existing_run(reader, run_id, ())
    rules: dict[str, list[Any]] = defaultdict(list)
    for rule in reader.select("rules", where=where, order=["step_id", "number"]).to_pylist():
        rules[rule["step_id"]].append(_rule(rule, posted=row["request_hash"] is not None))
    decisions: dict[str, list[Any]] = defaultdict(list)
    for decision in reader.select("decisions", where=where, order=["step_id", "number"]).to_pylist():
        decisions[decision["step_id"]].append(_decision(decision))
    steps = reader.select("steps", where=where, order=["position", "attempt"]).to_pylist()
    losses = losses_of(reader, [run_id]).get(run_id, NONE)
    stages = stages_of(steps, losses)
    between = edges(flow_of(stages), {step["step_id"]: step for step in steps})
    return {
        **_run(row, losses, base),
        "trace_url": _linked(trace_link, row),
        "input": embedded(row["input"]),
        "output": embedded(row["output"]),
        "metadata": embedded(row["metadata"]),
        "labels": [
            {**{key: label[key] for key in ("number", "label", "item_id", "note")}, "at": when(label["at"])}  # type: ignore[arg-type]
            for label in labels_of(reader, where)
        ],
        "steps": [
            {
                **_step(step, stage, losses.at(stage.step_id)),
                "lost_between": _only(between.get(step["step_id"], [])),
                "edges": between.get(step["step_id"], []),
                "rules": rules[step["step_id"]],
                "decisions": decisions[step["step_id"]],
            }
            for step, stage in zip(steps, stages, strict=True)
        ],
    }


def _run(row: Row, losses: Losses, base: str) -> dict[str, Any]:
    return {
        **{name: row[name] for name in _LISTED},
        "started_at": when(row["started_at"]),
        "ended_at": when(row["ended_at"]),
        "error": embedded(row["error"]),
        "losses": losses.run,
        "marks": embedded(row["marks"]) or [],
        "url": f"{base}/ui/runs/{row['run_id']}",
    }


def _linked(template: str | None, row: Row) -> str | None:
    """Where the run's trace is shown. What was recorded is quoted: it stays one part of the address."""
    if template is None or not row["trace_id"]:
        return None
    for name in ("trace_id", "run_id"):
        template = template.replace(f"{{{name}}}", quote(row[name], safe=""))
    return template


def _step(row: Row, stage: Stage, losses: dict[str, int]) -> dict[str, Any]:
    numbers = counts(row, stage.lossy)
    return {
        "step_id": row["step_id"],
        "name": row["step_name"],
        "step_name": row["step_name"],
        "step_type": row["step_type"],
        "position": row["position"],
        "parent_step_id": row["parent_step_id"],
        "after": row["after"] or [],
        "after_inferred": row["after_inferred"],
        "attempt": row["attempt"],
        "started_at": when(row["started_at"]),
        "ended_at": when(row["ended_at"]),
        "duration_ms": row["duration_ms"],
        "input_count": row["input_count"],
        "output_count": row["output_count"],
        "rejection_rate": row["rejection_rate"],
        "rejection_counts": embedded(row["rejection_counts"]) or {},
        "counts": numbers,
        "unaccounted": numbers["unaccounted"],
        "complete": is_complete(row) and not stage.lossy,
        "contradictions": contradictions(row, stage.lossy),
        "cutoff": row["cutoff"],
        "input": embedded(row["input"]),
        "output": embedded(row["output"]),
        "config": embedded(row["config"]),
        "usage": embedded(row["usage"]),
        "metadata": embedded(row["metadata"]),
        "error": embedded(row["error"]),
        "losses": losses,
        "marks": embedded(row["marks"]) or [],
    }


def _only(found: list[dict[str, Any]]) -> int | None:
    """What was lost on the way to a step that takes its items from one other."""
    return found[0]["lost_between"] if len(found) == 1 else None


def _rule(row: Row, posted: bool) -> dict[str, Any]:
    # A run written by hand says which rules there were, not what each of them was asked.
    counted = not (posted and row["evaluated"] == 0)
    return {
        "field": row["field"],
        "op": row["op"],
        "threshold": embedded(row["threshold"]),
        "reason": row["reason"],
        "evaluated": row["evaluated"] if counted else None,
        "failed": row["failed"] if counted else None,
        "uncomparable": row["uncomparable"] if counted else None,
    }


def _decision(row: Row) -> dict[str, Any]:
    return {
        "decision": row["decision"],
        "selected": row["selected"],
        "reason": row["reason"],
        "score": row["score"],
        "alternatives": embedded(row["alternatives"]) or [],
        "at": when(row["at"]),
    }
