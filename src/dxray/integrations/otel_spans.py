"""A run that ended, as spans of the user's tracer: times, status and counts; no items."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from opentelemetry import context, trace
from opentelemetry.trace import Span, Status, StatusCode, Tracer

from dxray.sdk.fields import Fields
from dxray.wire.records import Op

if TYPE_CHECKING:
    from dxray.sdk.ledger import Ledger
    from dxray.sdk.run import Run
    from dxray.wire.records import Events

_PRODUCED = (Op.PRODUCED, Op.PRODUCED_WITH)
_REJECTED = (Op.REJECTED, Op.RULE_FAILED)
_OUTCOMES = frozenset((*range(Op.SCORED), Op.PRODUCED_WITH, Op.RULE_FAILED))
_GONE = (Op.REJECTED, Op.RULE_FAILED, Op.OUTRANKED, Op.MERGED, Op.CONSUMED)


class _Counted:
    """The last outcome of each item of a step, as its rows leave for the channel."""

    def __init__(self, step: Ledger) -> None:
        self.last: dict[Any, int] = {}
        self.produced: set[Any] = set()
        self.rows = 0
        self._chunk: Callable[[], Events | None] = step._chunk

    def chunk(self) -> Events | None:
        event = self._chunk()
        if event is not None:
            self.rows += len(event.ops)
            if isinstance(event.ids, list):
                self.take(event.ops, event.ids)
        return event

    def take(self, ops: Any, ids: Any) -> None:
        for op, item in zip(ops, ids, strict=True):
            if op in _OUTCOMES:
                self.last[item] = op
                if op in _PRODUCED:
                    self.produced.add(item)


class Exporter:
    """Keeps the steps of open runs until the run ends."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._runs: WeakKeyDictionary[Run, tuple[context.Context, list[tuple[Ledger, dict[str, Any]]]]] = (
            WeakKeyDictionary()
        )
        self._counted: WeakKeyDictionary[Ledger, _Counted] = WeakKeyDictionary()

    def began(self, run: Run) -> None:
        """The run's span will be inside the one that is active now."""
        self._runs[run] = context.get_current(), []

    def counts(self, step: Ledger) -> None:
        """Count the items of a step that begins."""
        counted = self._counted[step] = _Counted(step)
        step._chunk = counted.chunk  # type: ignore[method-assign]

    def ended(self, step: Ledger) -> None:
        found = self._runs.get(step._run)
        if found is not None:
            found[1].append((step, self._attributes(step)))

    def export(self, run: Run) -> str | None:
        """Make the spans; the trace's id, or None where nothing is recorded of it."""
        found = self._runs.pop(run, None)
        if found is None or run._started_at is None:
            return None
        around, steps = found
        attributes = {"dxray.run_id": run.run_id, "dxray.pipeline": run._pipeline, "dxray.status": run._status}
        top = self._tracer.start_span(run._pipeline, around, attributes=attributes, start_time=run._started_at * 1000)
        inside: dict[str | None, context.Context] = {}
        spans: list[tuple[Span, Ledger]] = []
        for step, facts in sorted(steps, key=lambda one: one[0]._position):
            if step._started_at is None:
                continue
            parent = inside.get(step._parent_step_id) or trace.set_span_in_context(top, around)
            span = self._tracer.start_span(step._name, parent, attributes=facts, start_time=step._started_at * 1000)
            inside[step.step_id] = trace.set_span_in_context(span, around)
            spans.append((span, step))
        for span, step in reversed(spans):
            _end(span, step)
        _end(top, run)
        said = top.get_span_context()
        return f"{said.trace_id:032x}" if said.is_valid else None

    def _attributes(self, step: Ledger) -> dict[str, Any]:
        """Type and counts. Counts of items that bulk calls named are left out, unless the step declared them."""
        out: dict[str, Any] = {"dxray.step_id": step.step_id, "dxray.step_type": step._type or ""}
        counted = self._counted.pop(step, None)
        rows = list(step._rows)
        if counted is not None and counted.rows == step._emitted:
            counted.take(rows[0::4], rows[1::4])
            last = counted.last
            out["dxray.items_in"] = len(last) - len(counted.produced)
            out["dxray.items_out"] = sum(op not in _GONE for op in last.values())
            out["dxray.rejected"] = sum(op in _REJECTED for op in last.values())
        declared = {"dxray.items_in": step._input_count, "dxray.items_out": step._output_count}
        return out | {name: said for name, said in declared.items() if said is not None}


def _end(span: Span, what: Fields) -> None:
    if what._error is not None:
        said = json.loads(what._error)
        span.set_status(Status(StatusCode.ERROR, f"{said.get('type')}: {said.get('message')}"[:500]))
    else:
        span.set_status(Status(StatusCode.OK))
    span.end(None if what._ended_at is None else what._ended_at * 1000)
