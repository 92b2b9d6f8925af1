"""`/whatif`: what would another threshold have done, over recorded history?"""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field, FiniteFloat, ValidationError, model_validator

from dxray.server.api.documents import Document, ItemRow, answers
from dxray.server.api.long import answered
from dxray.server.api.parts import NoParameters, Parameters, PartsHere, body_of, filled
from dxray.server.errors import BadRequest
from dxray.server.questions import whatif as questions
from dxray.server.reasoning.limits import Change
from dxray.wire.text import clean

router = APIRouter(tags=["questions"])

Body = TypeVar("Body", bound=Parameters)

_LONGEST_BODY = 1_000_000
_MOST_POINTS = 1_000
_EXAMPLE = '{"changes": [{"reason": "price_too_high", "threshold": 120}]}'


class ChangeBody(Parameters):
    """A rule, by its reason, with another threshold or none at all."""

    reason: str
    threshold: Any = None
    disable: bool = False
    step_name: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> ChangeBody:
        if self.disable == ("threshold" in self.model_fields_set and self.threshold is not None):
            raise ValueError("give a threshold, or disable: true" + (", not both" if self.disable else ""))
        for one in self.threshold if isinstance(self.threshold, list) else [self.threshold]:
            if isinstance(one, float) and not isfinite(one):
                raise ValueError("the threshold is a finite number")
        return self


class SweepBody(Parameters):
    """A rule, by its reason, at many thresholds: evenly spaced from the one to the other, both included."""

    reason: str
    first: FiniteFloat = Field(alias="from")
    to: FiniteFloat
    points: int = Field(100, ge=2, le=_MOST_POINTS)
    step_name: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        if isinstance(given, dict) and "first" in given:
            raise ValueError("the lower end is called 'from'")
        return given

    @model_validator(mode="after")
    def _upwards(self) -> SweepBody:
        if self.first > self.to or not isfinite(self.to - self.first):
            raise ValueError("from is the lower end, and to lies within the range of a number from it")
        return self


class WhatifBody(Parameters):
    q: str | None = Field(None, description="a filter of runs")
    pipeline: str | None = None
    since: str | None = Field(None, description="an RFC 3339 time, or an age: 15m, 1h, 7d; of the runs")
    until: str | None = Field(None, description="an RFC 3339 time, or an age")
    changes: list[ChangeBody] = Field(default_factory=list, max_length=50)
    sweep: SweepBody | None = None


class ChangeRow(Document):
    """`from` are the thresholds that were recorded, the most frequent first."""

    step_name: str | None
    reason: str
    field: str | None
    op: str | None
    from_: list[Any] = Field(alias="from")
    to: Any
    disable: bool


class ReasonRow(Document):
    """How many items of the changed steps have a reason, before and after: at least and at most. null: not rejected."""

    reason: str | None
    before: int
    after: list[int]


class WinnerChange(Document):
    """A run whose outcome changes, or may. `to` certainly wins, `may_win` may; `may_be_others`: so may items that are
    not listed. `again`: steps that would have to run again before it can be known."""

    run_id: str
    from_: list[ItemRow] = Field(alias="from")
    to: list[ItemRow]
    may_win: list[ItemRow]
    may_be_others: bool
    changes: Literal["yes", "maybe"]
    exactness: Literal["certain", "bounded", "replay_needed"]
    again: list[str]


class FlippedItem(Document):
    """An item that its step now rejects, or keeps. `then`: where a newly kept one goes, as far as it is known."""

    run_id: str
    item_id: str
    name: str | None
    step_id: str
    step_name: str
    now: Literal["rejected", "kept"]
    exactness: Literal["certain", "bounded"]
    reason: str
    field: str
    observed: Any
    then: str | None


class EstimateRow(Document):
    """How many items flip, by those of which evidence was kept by chance; null where that narrows no bounds.

    `interval` has the truth in it in 95 of 100 cases, and lies within `flipped`, which always has. `about` is null
    where some of the sample stay open too. `items` are estimated, by the `looked_at` of them whose evidence was kept.
    """

    about: int | None
    interval: list[int]
    items: int
    looked_at: int


class Point(Document):
    threshold: float
    flipped: list[int]


class OpenRow(Document):
    """What keeps the answer from being certain, and what would have told. `runs`: in how many."""

    cause: str
    step_name: str
    detail: str
    hint: str | None
    runs: int


class WhatifAnswer(Document):
    """`flipped` counts items, in each run, that a changed step by itself now rejects or newly keeps: at least, at most.

    `items` are those that came to these steps. `replayed` are the newest of the `runs_with_rule`; the fields beside
    `curve` are of these, the curve is of all.
    """

    pipeline: str | None
    runs: int
    runs_with_rule: int
    replayed: int
    not_looked_at: int
    changes: list[ChangeRow]
    exactness: Literal["certain", "bounded", "replay_needed"]
    items: int
    flipped: list[int]
    flipped_estimate: EstimateRow | None
    newly_rejected: list[int]
    newly_kept: list[int]
    by_reason_after: list[ReasonRow]
    runs_affected: list[int]
    runs_with_winner: int
    winners_changed: list[int]
    winner_changes: list[WinnerChange]
    examples: list[FlippedItem]
    unknown: list[OpenRow]
    curve: list[Point]
    sentence: str


def body(model: type[Parameters]) -> dict[str, Any]:
    """The body of a question that is posted, for `openapi_extra`."""
    schema = model.model_json_schema(ref_template="{model}")
    parts = schema.pop("$defs", {})

    def whole(one: Any) -> Any:
        """With its parts in place: nothing else in the description refers to them."""
        if isinstance(one, dict):
            return whole(parts[one["$ref"]]) if "$ref" in one else {key: whole(value) for key, value in one.items()}
        return [whole(value) for value in one] if isinstance(one, list) else one

    return {"requestBody": {"required": True, "content": {"application/json": {"schema": whole(schema)}}}}


@router.post(
    "/whatif",
    summary="What would another threshold have done, over recorded history?",
    responses=answers(WhatifAnswer, 400, 404, 413),
    openapi_extra=body(WhatifBody),
)
async def post_whatif(request: Request, parts: PartsHere, _: Annotated[NoParameters, Query()]) -> Response:
    said = read(WhatifBody, await body_of(request, _LONGEST_BODY), _EXAMPLE)
    changes = [Change(one.reason, one.threshold, one.disable, one.step_name) for one in said.changes]
    swept = None if said.sweep is None else said.sweep.model_dump(by_alias=True)

    def given() -> dict[str, Any]:
        times = {"since": said.since, "until": said.until}
        return {"changes": changes, "swept": swept, "pipeline": said.pipeline, **times, "q": filled(parts, said.q)}

    return await answered(request, parts, questions.whatif, given)


def read(model: type[Body], raw: bytes, example: str) -> Body:
    """A JSON body. Raises `BadRequest` for bytes that are no JSON, and what names the field for what does not fit."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "json_invalid":
            raise BadRequest(f"the body is not valid JSON: {clean(first['msg'])}", fix=f"send {example}") from error
        raise RequestValidationError([{**first, "loc": ("body", *first["loc"])}]) from error
