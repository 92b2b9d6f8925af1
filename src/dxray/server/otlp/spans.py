"""One span -> one step with its events. Pure functions; nothing here knows what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from dxray.server.otlp.openinference import KIND, Document, Said, said_in
from dxray.server.otlp.values import LONGEST, NAME, Attributes, attributes_of, json_text, text
from dxray.wire.records import AnyRecord, Events, Loss, Op, Step

ATTRIBUTES = 50_000  # of one span that are read: documents come as an attribute for each of their fields
SPANS = 50_000  # of one request
AHEAD_US = 86_400_000_000  # so far may a sender's clock be before ours
NOT_LET_THROUGH = "inferred: not in the reranker's output"
OVER, DROPPED = "otel_over_limit", "otel_dropped_attributes"


@dataclass(slots=True)
class Mapped:
    """A span as a step of a run. `events` and `losses` are the step's own; its place among others is not known yet."""

    step: Step
    events: list[AnyRecord]
    is_root: bool
    service: Service
    trace_id: str


@dataclass(slots=True)
class Service:
    """Who sent a span."""

    pipeline: str | None = None
    environment: str | None = None
    code_version: str | None = None
    metadata: Attributes = field(default_factory=dict)


@dataclass(slots=True)
class Refusals:
    """How many spans were refused, and why the first of them was."""

    n: int = 0
    why: str = ""

    def add(self, why: str, n: int = 1) -> None:
        self.n += n
        self.why = self.why or why


def mapped(request: ExportTraceServiceRequest, now: int, refused: Refusals) -> Iterator[Mapped]:
    """The steps of a request, of which `now` is the time in microseconds. A span that cannot be one is refused."""
    taken = 0
    for of_resource in request.resource_spans:
        service = service_of(of_resource.resource)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                taken += 1
                why = _refusal(span, now) if taken <= SPANS else f"a request may hold {SPANS} spans"
                if why is None:
                    yield step_of(span, service, of_scope.scope.name, now)
                else:
                    refused.add(why)


def service_of(resource: Resource) -> Service:
    """Its project or service, as a pipeline; nothing where only the SDK's default name is given."""
    said, _ = attributes_of(resource.attributes, 1000)
    name = text(said.get("openinference.project.name"), NAME) or text(said.get("service.name"), NAME)
    if name is not None and name.startswith("unknown_service"):
        name = None
    environment = said.get("deployment.environment.name", said.get("deployment.environment"))
    kept = ("service.name", "service.namespace", "service.instance.id", "openinference.project.name")
    return Service(
        name,
        text(environment, NAME),
        text(said.get("service.version"), NAME),
        {key: said[key] for key in kept if key in said},
    )


def _refusal(span: Span, now: int) -> str | None:
    for name, raw, size in (("trace_id", span.trace_id, 16), ("span_id", span.span_id, 8)):
        if len(raw) != size or not any(raw):
            return f"{name} has to be {size} bytes that are not all 0, got {raw[:40].hex() or 'none'}"
    if len(span.parent_span_id) not in (0, 8):
        return f"parent_span_id has to be 8 bytes, or none, got {span.parent_span_id[:40].hex()}"
    if span.parent_span_id == span.span_id:
        return "a span cannot be its own parent"
    if max(span.start_time_unix_nano, span.end_time_unix_nano) // 1000 > now + AHEAD_US:
        return "a time of the span is more than a day ahead of this server's clock"
    return None


def run_id_of(trace_id: bytes) -> str:
    """The run of a trace."""
    return f"trace_{trace_id.hex()}"


def step_of(span: Span, service: Service, scope: str = "", now: int = 0) -> Mapped:
    """A span that was not refused, as a step. The same span gives the same step, but for `version`."""
    marks: list[str] = []
    attributes, over = attributes_of(span.attributes, ATTRIBUTES)
    said = said_in(attributes)
    lost = span.dropped_attributes_count + over
    if lost:
        marks.append(f"{lost} attributes did not arrive")
    started, ended = span.start_time_unix_nano // 1000 or None, span.end_time_unix_nano // 1000 or None
    if started is not None and ended is not None and ended < started:
        marks.append("ended_at: was before started_at")
        ended = started
    run_id, step_id = run_id_of(span.trace_id), span.span_id.hex()
    parent = span.parent_span_id.hex() if any(span.parent_span_id) else None
    rows = _Rows()
    counts = _items(rows, said, certain=not lost and not said.over)
    kind = said.rest.pop(KIND, None)
    about = {"otel.kind": kind, "otel.scope": scope, **said.rest}
    step = Step(
        run_id=run_id,
        step_id=step_id,
        version=now,
        name=text(span.name, NAME) or "span",
        position=0,
        type=said.type,
        parent_step_id=parent,
        started_at=started,
        ended_at=ended,
        duration_ms=(ended - started) / 1000 if started is not None and ended is not None else None,
        input=json_text(said.input, "input", marks),
        output=json_text(said.output, "output", marks),
        input_count=counts[0],
        output_count=counts[1],
        config=json_text(said.config, "config", marks),
        usage=json_text(said.usage, "usage", marks),
        metadata=json_text({key: value for key, value in about.items() if value not in (None, "")}, "metadata", marks),
        error=_error(span, marks),
        events=len(rows.ops) if ended is not None else None,
        marks=marks,
    )
    events = rows.records(run_id, step_id, started or now)
    if lost and (rows.ops or said.type in ("retrieve", "rank")):
        events.append(Loss(run_id=run_id, step_id=step_id, cause=DROPPED, n=lost))
    if said.over:
        events.append(Loss(run_id=run_id, step_id=step_id, cause=OVER, n=said.over))
    return Mapped(step, events, parent is None, service, span.trace_id.hex())


def _error(span: Span, marks: list[str]) -> str | None:
    """What the exception's event says, and the status."""
    if span.status.code != Status.STATUS_CODE_ERROR:
        return None
    said: Attributes = {}
    for event in span.events[:1000]:
        if event.name == "exception":
            said, _ = attributes_of(event.attributes, 100)
    message = text(said.get("exception.message"), LONGEST // 8) or text(span.status.message, LONGEST // 8) or ""
    return json_text({"type": text(said.get("exception.type"), NAME), "message": message}, "error", marks)


# --- documents as items ---------------------------------------------------------------------------------


class _Rows:
    """The rows of a step, in the order of the documents: the same span gives the same numbers."""

    def __init__(self) -> None:
        self.ops = bytearray()
        self.ids: list[str] = []
        self.a: list[Any] = []
        self.b: list[Any] = []

    def add(self, op: int, item: str, a: Any, b: Any) -> None:
        self.ops.append(op)
        self.ids.append(item)
        self.a.append(a)
        self.b.append(b)

    def produced(self, document: Document) -> None:
        self.add(Op.PRODUCED_WITH, document.item_id, [document.name, None, "document"], document.evidence or None)
        self.scored(document)

    def scored(self, document: Document) -> None:
        if document.score is not None:
            self.add(Op.SCORED, document.item_id, document.score, None)

    def records(self, run_id: str, step_id: str, at: int) -> list[AnyRecord]:
        if not self.ops:
            return []
        return [
            Events(
                run_id=run_id, step_id=step_id, first=0, at=at, ops=bytes(self.ops), ids=self.ids, a=self.a, b=self.b
            )
        ]


def _items(rows: _Rows, said: Said, certain: bool) -> tuple[int | None, int | None]:
    """The events of the documents; how many came in and went out, where both are said.

    A reranker's input that is not in its output was not let through. That is said only where the output was recorded,
    and all of the span arrived.
    """
    for document in _distinct(said.retrieved):
        rows.produced(document)
    came, left = _distinct(said.came), _distinct(said.left)
    if not came and not left:
        return None, None
    outs = {document.item_id for document in left}
    ins = {document.item_id for document in came}
    if left and certain:
        for document in came:
            if document.item_id not in outs:
                evidence = document.evidence
                if document.score is not None:
                    evidence = {**evidence, "score_before": document.score}
                rows.add(Op.REJECTED, document.item_id, NOT_LET_THROUGH, evidence or None)
    for document in left:
        if document.item_id in ins or not came:
            rows.scored(document)
            rows.add(Op.ACCEPTED, document.item_id, None, document.evidence or None)
        else:
            rows.produced(document)
    if not certain:
        return None, None
    return len(ins) if came else None, len(outs) if left else None


def _distinct(documents: list[Document] | None) -> list[Document]:
    """The first of each id: a document that is there twice, as two parts of one, counts once."""
    return list({document.item_id: document for document in reversed(documents or [])}.values())[::-1]
