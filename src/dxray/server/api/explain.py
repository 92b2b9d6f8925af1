"""`POST /explain`: what the bad ones share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError

from dxray.server.api.documents import Document, answers
from dxray.server.api.long import answered
from dxray.server.api.parts import NoParameters, Parameters, PartsHere, body_of, filled
from dxray.server.errors import BadRequest
from dxray.server.questions import explain as questions

router = APIRouter(tags=["questions"])

_LONGEST_BODY = 100_000
_EXAMPLE = '{"a": "until:1d", "b": "since:1d", "outcome": "rejected"}'


class ExplainBody(Parameters):
    """`a` is the reference, `b` what is looked at. `outcome`: an outcome of items, `failed`, or `label:NAME`."""

    a: str = Field(description="a filter of runs: the reference")
    b: str = Field(description="a filter of runs: what is looked at")
    outcome: str = Field("rejected", description="rejected, accepted, ... of items; failed or label:bad of runs")
    step_name: str | None = Field(None, description="only items at steps of this name")


class ExplainCondition(Document):
    field: str
    op: Literal["==", ">=", "<"]
    value: Any


class SliceRow(Document):
    """A part of the rows, as conditions that all hold. `n` is how many there are of it, `rate` the share that has the
    outcome; where the outcome is what tells the sets apart, `n` counts the runs of the slice, and `rate` is their share
    of the set.

    `coverage`: of all that is more in b than in a; `interval` of the risk ratio, 95 %, runs taken as wholes. Slices of
    the same `cause` describe nearly the same rows; the best of them is `main`. `estimated`: counted in a sample.
    """

    conditions: list[ExplainCondition]
    text: str
    n_a: int
    n_b: int
    with_outcome_a: int
    with_outcome_b: int
    rate_a: float | None
    rate_b: float
    rate_b_interval: list[float]
    support: float
    coverage: float
    risk_ratio: float | None
    interval: list[float]
    p_adjusted: float
    score: float
    counter_examples: int
    examples: list[str]
    cause: int
    main: bool
    estimated: bool


class SplitStep(Document):
    """A step of the funnel over all runs: what went on from it, as a share of what went on from the step before.

    `delta_ln_pass = mix + rate`; they are null where the step did not say in every run how many items went on.
    """

    step_name: str
    in_a: int | None
    in_b: int | None
    out_a: int | None
    out_b: int | None
    pass_a: float | None
    pass_b: float | None
    delta_ln_pass: float | None
    mix: float | None
    rate: float | None


class LeftOutRow(Document):
    field: str
    why: str


class ExplainAnswer(Document):
    """`a` and `b` are the two filters. `counted` says what all `n` count: `runs`, or `items`, of which each counts once
    at each of its steps in each run (a verdict). `delta_ln_output = delta_ln_input + sum of delta_ln_pass`, per run;
    `mix_by` is the field whose values make the groups of `mix`. `tested`: how many slices had enough support to be
    compared; `left_out`: what was not looked at, or is not known, and why."""

    a: str
    b: str
    outcome: str
    step_name: str | None
    runs_a: int
    runs_b: int
    overlap: int
    counted: Literal["items", "runs"]
    n_a: int
    n_b: int
    with_outcome_a: int
    with_outcome_b: int
    rate_a: float | None
    rate_b: float | None
    funnel: list[SplitStep]
    delta_ln_input: float | None
    delta_ln_output: float | None
    mix_by: str | None
    slices: list[SliceRow]
    tested: int
    share_looked_at: float
    left_out: list[LeftOutRow]
    sentence: str


@router.post(
    "/explain",
    summary="What do the bad ones share? Two sets of runs, and an outcome that is more frequent in one",
    responses=answers(ExplainAnswer, 400, 413),
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": ExplainBody.model_json_schema()}}}
    },
)
async def post_explain(request: Request, parts: PartsHere, _: Annotated[NoParameters, Query()]) -> Response:
    asked = _read(await body_of(request, _LONGEST_BODY))

    def given() -> dict[str, Any]:
        a, b = filled(parts, asked.a) or "", filled(parts, asked.b) or ""
        return {"a": a, "b": b, "outcome": asked.outcome, "step_name": asked.step_name}

    return await answered(request, parts, questions.explain, given)


def _read(body: bytes) -> ExplainBody:
    """The body. Raises `BadRequest` for bytes that are no JSON, `RequestValidationError` that names the field."""
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is not valid JSON: {error}", fix=f"send {_EXAMPLE}") from error
    try:
        return ExplainBody.model_validate(raw, strict=True)
    except ValidationError as error:
        found = [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
        raise RequestValidationError(found) from error
