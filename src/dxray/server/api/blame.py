"""`/blame`: which steps are to blame for what labels say was wrong."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from dxray.server.api.documents import Document, UnknownRow, answers
from dxray.server.api.long import answered
from dxray.server.api.parts import Parameters, PartsHere, asked
from dxray.server.questions import blame as questions

router = APIRouter(tags=["questions"])


class BlameQuery(Parameters):
    pipeline: str | None = None
    since: str | None = Field(None, description="an RFC 3339 time, or an age: 15m, 1h, 7d; of the runs")
    until: str | None = Field(None, description="an RFC 3339 time, or an age")
    q: str | None = Field(None, description="a filter of runs")


class Classes(Document):
    recall_loss: int
    too_strict: int
    too_lenient: int
    mis_ranked: int
    bad_generation: int


class BlamedStep(Document):
    """A step at which one changed verdict would have mended `faults` of the explained labels.

    `share` is of these, with its Wilson interval (95 %); one label may lead to several steps, so shares may add up to
    more than 1. `earliest`: in how many of them no step before it would have mended the outcome.
    """

    pipeline: str
    step_name: str
    faults: int
    earliest: int
    share: float
    interval: list[float]
    classes: Classes


class LabelOfFault(Document):
    run_id: str
    number: int
    label: str
    labelled_item: str | None
    note: str | None
    item_id: str | None
    name: str | None


class FaultRow(LabelOfFault):
    """`item_id` is what the step's verdict was of. `earliest` is null where `unknown` says what could not be judged.
    `never_seen`: no run of the pipeline ever had the item, so the label may name a wrong id.
    """

    step_id: str
    step_name: str
    class_: Literal["recall_loss", "too_strict", "too_lenient", "mis_ranked", "bad_generation"] = Field(alias="class")
    earliest: bool | None
    detail: str
    never_seen: bool
    unknown: UnknownRow | None
    hint: str | None


class UndecidedRow(LabelOfFault):
    """A label that the record does not explain: what is missing, and what would have told."""

    cause: str
    detail: str
    hint: str | None


class BlameAnswer(Document):
    """`labelled` counts runs, `complaints` the labels that say that something was wrong: explained or undecided.
    `did_you_mean`: names of pipelines, where the one that was asked for has no run.
    """

    pipeline: str | None
    labelled: int
    complaints: int
    explained: int
    undecided: int
    not_looked_at: int
    steps: list[BlamedStep]
    faults: list[FaultRow]
    unknown: list[UndecidedRow]
    did_you_mean: list[str] | None
    sentence: str


@router.get("/blame", summary="Which steps are to blame for what labels say was wrong?", responses=answers(BlameAnswer))
async def get_blame(request: Request, parts: PartsHere, query: Annotated[BlameQuery, Query()]) -> Response:
    return await answered(request, parts, questions.blame, lambda: asked(parts, query))
