"""Spans that came, beside what is stored: each becomes a step once, and the run of its trace a version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dxray.server.filters import Clause
from dxray.server.otlp.places import Place, arranged
from dxray.server.otlp.spans import Mapped, Refusals
from dxray.server.otlp.values import NAME
from dxray.server.store.base import Reader
from dxray.wire.records import AnyRecord, Run, Step

STEPS = 50_000  # of one run
UNNAMED = "otel"  # the pipeline of a trace that names no service, until its root comes
_ENDED = ("completed", "failed")
_RUN = ("run_id", "version", "pipeline", "status", "started_at")
_PLACE = ("run_id", "step_id", "version", "parent_step_id", "started_at", "ended_at", "position", "after")
_OF_STEP = {"name": "step_name", "type": "step_type", "input_count": "declared_input_count",
            "output_count": "declared_output_count"}  # fmt: skip
_READ = (
    "run_id", "step_id", "parent_step_id", "attempt", "started_at", "ended_at", "duration_ms", "input", "output",
    "cutoff", "config", "usage", "metadata", "error", "events", "name", "type", "input_count", "output_count",
)  # fmt: skip


@dataclass(slots=True)
class _Trace:
    """What is stored of a run, and what came."""

    run: dict[str, Any] | None = None
    version: int = 0  # the highest of its steps
    places: dict[str, Place] = field(default_factory=dict)
    new: dict[str, Mapped] = field(default_factory=dict)


def records_of(spans: Iterable[Mapped], reader: Reader, now: int, refused: Refusals) -> list[AnyRecord]:
    """The records to store of spans that came, of which those that are stored already are none.

    Whoever calls lets nobody else store spans of the same traces meanwhile.
    """
    spans = list(spans)
    traces = _stored(reader, list(dict.fromkeys(one.step.run_id for one in spans)))
    for one in spans:
        trace = traces[one.step.run_id]
        step_id = one.step.step_id
        if step_id in trace.places:
            continue
        if len(trace.places) >= STEPS:
            refused.add(f"a trace may have {STEPS} spans")
            continue
        step = one.step
        trace.places[step_id] = Place(step_id, step.parent_step_id, step.started_at, step.ended_at)
        trace.new[step_id] = one
    out: list[AnyRecord] = []
    for run_id, trace in traces.items():
        if trace.new:
            out += _of_trace(run_id, trace, reader, now)
    return out


def _stored(reader: Reader, run_ids: Sequence[str]) -> dict[str, _Trace]:
    found = {run_id: _Trace() for run_id in run_ids}
    if not run_ids:
        return found
    here = [Clause("run_id", "in", list(run_ids))]
    for row in reader.select("runs", _RUN, here).to_pylist():
        found[row["run_id"]].run = row
    for row in reader.select("steps", _PLACE, here).to_pylist():
        trace = found[row["run_id"]]
        trace.version = max(trace.version, row["version"])
        trace.places[row["step_id"]] = Place(
            row["step_id"],
            row["parent_step_id"],
            row["started_at"],
            row["ended_at"],
            row["position"],
            list(row["after"] or ()),
        )
    return found


def _of_trace(run_id: str, trace: _Trace, reader: Reader, now: int) -> list[AnyRecord]:
    known = trace.run is not None and trace.run["status"] in _ENDED
    root = None if known else _root(trace.new.values())
    out: list[AnyRecord] = [] if known else [_run(run_id, trace, root, now)]
    version = max(now, trace.version + 1)
    moved = arranged(list(trace.places.values()), whole=known or (root is not None and root.step.ended_at is not None))
    place_of = {place.step_id: place for place in moved}
    for step_id, one in trace.new.items():
        out += [_placed(one.step, place_of[step_id], version), *one.events]
    others = [place.step_id for place in moved if place.step_id not in trace.new]
    for step in _steps(reader, run_id, others):
        out.append(_placed(step, place_of[step.step_id], version))
    return out


def _root(spans: Iterable[Mapped]) -> Mapped | None:
    """The span without a parent; of several, which no trace should have, the first to begin."""
    roots = [one for one in spans if one.is_root]
    return min(roots, key=lambda one: (one.step.started_at or 0, one.step.step_id)) if roots else None


def _run(run_id: str, trace: _Trace, root: Mapped | None, now: int) -> Run:
    """The run's version: as its root says, else running, from the first start that is known."""
    first = root or next(iter(trace.new.values()))
    stored: Mapping[str, Any] = trace.run or {}
    version = max(now, stored.get("version", 0) + 1)
    if root is not None:
        pipeline = root.service.pipeline or root.step.name
    else:
        pipeline = stored.get("pipeline") or first.service.pipeline or UNNAMED
    starts = [place.started for place in trace.places.values() if place.started is not None]
    run = Run(
        run_id=run_id,
        version=version,
        pipeline=pipeline[:NAME],
        status="running",
        started_at=min(starts, default=now),
        environment=first.service.environment,
        code_version=first.service.code_version,
        trace_id=first.trace_id,
        metadata=msgspec.json.encode(first.service.metadata).decode() if first.service.metadata else None,
    )
    if root is not None:
        step = root.step
        run.started_at = step.started_at or run.started_at
        run.input, run.output, run.error = step.input, step.output, step.error
        if step.ended_at is not None:
            run.status = "completed" if step.error is None else "failed"
            run.ended_at, run.duration_ms = step.ended_at, step.duration_ms
    return run


def _placed(step: Step, place: Place, version: int) -> Step:
    step.position, step.version = place.position or 0, version
    step.after, step.after_inferred = list(place.after), True
    return step


def _steps(reader: Reader, run_id: str, step_ids: Sequence[str]) -> Iterable[Step]:
    """Steps as they are stored, to be stored again at another place."""
    if not step_ids:
        return
    wanted = set(step_ids)
    columns = [_OF_STEP.get(name, name) for name in _READ]
    for row in reader.select("steps", [*columns, "marks"], [Clause("run_id", "==", run_id)]).to_pylist():
        if row["step_id"] in wanted:
            values = {name: row[column] for name, column in zip(_READ, columns, strict=True)}
            yield Step(**values, version=0, position=0, marks=msgspec.json.decode(row["marks"] or "[]"))
