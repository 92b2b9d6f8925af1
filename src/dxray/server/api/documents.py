"""The shapes of answers, for `/openapi.json`. Answers are encoded from plain rows; these models describe them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from dxray.server.posted_shape import PostedRun


class Document(BaseModel):
    """Fields may be added; those that are here stay."""

    model_config = ConfigDict(extra="allow")


class Problem(Document):
    """An error, as RFC 9457 has it. `field` is the parameter, or the path in the body; `fix` what to do."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None
    fix: str | None = None


class PostedData(Document):
    run_id: str


class PostedAnswer(Document):
    success: bool
    message: str
    data: PostedData


class RefusedRecord(Document):
    index: int
    error: str


class ReceiptAnswer(Document):
    """`duplicate`: this (producer, seq) was committed before, and changed nothing now."""

    accepted: int
    rejected: list[RefusedRecord]
    duplicate: bool


class RunHead(Document):
    """Times are RFC 3339 in UTC, durations milliseconds.

    `losses` counts by cause the events that did not arrive, those of the steps included; of the causes `truncated` and
    `redacted`, the values that were changed.
    """

    run_id: str
    pipeline: str
    status: str
    started_at: str
    ended_at: str | None
    duration_ms: float | None
    step_count: int
    environment: str | None
    code_version: str | None
    variant: str | None
    parent_run_id: str | None
    trace_id: str | None
    error: Any
    losses: dict[str, int]
    marks: list[str]
    url: str


class HighestRate(Document):
    step_id: str
    step_name: str
    rejection_rate: float


class RunSummary(Document):
    """What a run was about, short whatever was recorded: of `input` and `output` the first fields, each text cut.

    `items_in` and `items_out` count candidates, null where that is not known; `steps` those that no later attempt
    superseded; `labels` are the values of the labels that stand.
    """

    input: Any
    output: Any
    items_in: int | None
    items_out: int | None
    steps: int
    worst_step: HighestRate | None
    labels: list[str]


class RunRow(RunHead):
    """A run in a list."""

    summary: RunSummary


class Counts(Document):
    """Distinct items: in + produced = the outcomes + unaccounted (+ what no event names: `_by_count`)."""

    in_: int | None = Field(alias="in")
    produced: int
    accepted: int
    rejected: int
    selected: int
    outranked: int
    merged: int
    consumed: int
    unaccounted: int | None
    accepted_by_count: int
    rejected_by_count: int


class EdgeRow(Document):
    """Between a step and one before it: out = in + lost_between; null, with a cause, where it cannot be said."""

    step_id: str
    step_name: str
    out: int | None
    in_: int | None = Field(alias="in")
    lost_between: int | None
    cause: str | None


class RuleRow(Document):
    """`evaluated` and `failed` are null where the run, written by hand, does not say."""

    field: str
    op: str
    threshold: Any
    reason: str
    evaluated: int | None
    failed: int | None
    uncomparable: int | None


class DecisionRow(Document):
    decision: str
    selected: list[str]
    reason: str | None
    score: float | None
    alternatives: list[Any]
    at: str | None


class StepRow(Document):
    step_id: str
    step_name: str
    name: str
    step_type: str | None
    position: int
    attempt: int
    started_at: str | None
    ended_at: str | None
    duration_ms: float | None
    input_count: int | None
    output_count: int | None
    rejection_rate: float | None
    rejection_counts: dict[str, int]
    unaccounted: int | None
    error: Any


class StepOfRun(StepRow):
    parent_step_id: str | None
    after: list[str]
    after_inferred: bool
    counts: Counts
    complete: bool
    contradictions: list[str]
    cutoff: int | None
    input: Any
    output: Any
    config: Any
    usage: Any
    metadata: Any
    losses: dict[str, int]
    marks: list[str]
    lost_between: int | None
    edges: list[EdgeRow]
    rules: list[RuleRow]
    decisions: list[DecisionRow]


class StepAcrossRuns(StepRow):
    run_id: str
    pipeline: str
    run_status: str
    run_started_at: str
    environment: str | None
    code_version: str | None


class RunAnswer(RunHead):
    """`trace_url` leads to the page of the run's trace, where the server knows one."""

    trace_url: str | None
    input: Any
    output: Any
    metadata: Any
    labels: list[Any]
    steps: list[StepOfRun]


class RunsAnswer(Document):
    runs: list[RunRow]
    total: int
    limit: int
    offset: int


class StepsAnswer(Document):
    steps: list[StepAcrossRuns]
    total: int
    limit: int
    offset: int


class EventRow(Document):
    """`evidence_state`: kept, sampled_out, truncated, redacted or expired; null where none was given."""

    event_no: int
    step_id: str
    step_name: str | None
    step_type: str | None
    item_id: str
    name: str | None
    kind: str | None
    outcome: str | None
    reason: str | None
    evidence: dict[str, Any] | None
    evidence_state: str | None
    kept_because: str | None
    p: float | None
    score: float | None
    by: str
    passed: bool | None
    ref_item: str | None
    ref_kind: str | None
    marks: list[str]
    at: str | None


class EventsAnswer(Document):
    events: list[EventRow]
    next_cursor: str | None


class LastRun(Document):
    run_id: str
    status: str


class WorstStep(Document):
    """The step with the highest mean rejection rate over the pipeline's latest steps."""

    step_name: str
    step_type: str | None
    rejection_rate: float
    rejection_rate_max: float
    over_steps: int


class PipelineRow(Document):
    pipeline: str
    runs: int
    running: int
    waiting: int
    completed: int
    failed: int
    abandoned: int
    last_run_at: str | None
    last_run: LastRun | None
    worst_step: WorstStep | None


class PipelinesAnswer(Document):
    pipelines: list[PipelineRow]
    total: int


class ItemRow(Document):
    item_id: str
    name: str | None


class PredicateRow(Document):
    """A negative `margin` is how far the item was outside."""

    field: str
    op: str
    threshold: Any
    observed: Any
    margin: float | None


class StopRow(Document):
    """A step of the journey. `superseded`: a later attempt took its place."""

    step_id: str
    step_name: str
    step_type: str | None
    attempt: int
    outcome: str | None
    reason: str | None
    evidence: dict[str, Any] | None
    score: float | None
    parts: dict[str, Any] | None
    evidence_state: str | None
    by: str
    superseded: bool


class AncestorRow(ItemRow):
    step_name: str | None
    also_from: list[str]


class TwinRow(ItemRow):
    """The kept item nearest in evidence; `differences` are [here, there] by key, `distance` is 0..1."""

    distance: float
    differences: dict[str, list[Any]]


class UnknownRow(Document):
    cause: str
    detail: str


class PassedRules(Document):
    """A step that kept the item, with the rules that it asked of others and not of this one."""

    step_id: str
    step_name: str
    rules: list[Any]


class StepName(Document):
    step_id: str
    step_name: str


Verdict = Literal[
    "selected",
    "survived",
    "rejected",
    "outranked",
    "merged",
    "consumed",
    "lost",
    "never_retrieved",
    "interrupted",
    "unknown",
]


class WhyAnswer(Document):
    """What became of one item. Fields that do not apply to the verdict are null."""

    run_id: str
    pipeline: str
    run_status: str
    item_id: str
    name: str | None
    verdict: Verdict
    step_id: str | None
    step_name: str | None
    reason: str | None
    predicate: PredicateRow | None
    also_failed: list[PredicateRow]
    rank: int | None
    rank_at_least: int | None
    scored: int | None
    cutoff: int | None
    gap: float | None
    into: ItemRow | list[ItemRow] | None
    expanded: int | None
    sentence: str
    journey: list[StopRow]
    lineage: list[AncestorRow]
    twin: TwinRow | None
    not_evaluated: list[PassedRules]
    lost_at: StepName | None
    unknown: UnknownRow | None
    hint: str | None
    did_you_mean: list[ItemRow] | None


class Health(Document):
    status: str
    version: str


Responses = dict[int | str, dict[str, Any]]

_PROBLEMS = {
    400: "the body cannot be read",
    404: "there is no such run",
    409: "other content is there under this run_id",
    413: "more than is taken at once",
    422: "a field or a parameter that does not exist, or a value that it cannot have",
    503: "too much is waiting; see Retry-After",
}
_SCHEMAS = "#/components/schemas/"


def answers(model: type[Document], *problems: int) -> Responses:
    """What a route may answer: this model, and these problems."""
    found: Responses = {200: {"model": model}}
    for status in (422, *problems):
        content = {"application/problem+json": {"schema": {"$ref": f"{_SCHEMAS}Problem"}}}
        found[status] = {"description": _PROBLEMS[status], "content": content}
    return found


def text_answer(media_type: str, *problems: int) -> Responses:
    """What a route may answer that answers in text."""
    found = answers(Health, *problems)
    return {**found, 200: {"description": "text", "content": {media_type: {"schema": {"type": "string"}}}}}


def posted_body() -> dict[str, Any]:
    """The body of `POST /runs`, for `openapi_extra`."""
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"{_SCHEMAS}PostedRun"}}},
        }
    }


def batch_body() -> dict[str, Any]:
    """The body of `POST /ingest`."""
    schema = {"type": "string", "format": "binary"}
    return {"requestBody": {"required": True, "content": {"application/msgpack": {"schema": schema}}}}


def describe(app: FastAPI) -> None:
    """Add to the description of `app` the schemas that no route brings by itself."""
    plain = app.openapi
    _, parts = msgspec.json.schema_components([PostedRun], ref_template=_SCHEMAS + "{name}")

    def openapi() -> dict[str, Any]:
        found = plain()
        schemas = found.setdefault("components", {}).setdefault("schemas", {})
        for name, schema in {**parts, "Problem": Problem.model_json_schema()}.items():
            schemas.setdefault(name, schema)
        return found

    app.openapi = openapi  # type: ignore[method-assign]  # the way FastAPI documents
