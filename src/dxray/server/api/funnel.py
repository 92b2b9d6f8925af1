"""`/runs/{run_id}/funnel`: where the items of a run went."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from dxray.server.api.documents import Counts, Document, EdgeRow, ItemRow, StepName, UnknownRow, answers
from dxray.server.api.parts import NoParameters, ReaderHere, answer
from dxray.server.questions import funnel as questions

router = APIRouter(tags=["questions"])


class ReasonCount(Document):
    reason: str
    n: int


class FunnelStep(Counts):
    """A step with its counts, in dataflow order. A superseded attempt counts for nothing in the run.

    `rejected_by_count`: rejections that no event names, where a run written by hand says how many there were.
    """

    step_id: str
    step_name: str
    step_type: str | None
    parent_step_id: str | None
    attempt: int
    superseded: bool
    failed: bool
    ended: bool
    rejected_by_count: int
    out: int | None
    reasons: list[ReasonCount]
    edges: list[EdgeRow]
    complete: bool
    contradictions: list[str]
    unknown: UnknownRow | None


class LosesMost(StepName):
    """Where most items were dropped; where `lost_after` is set, they were lost on the way from that step to this."""

    lost_after: str | None
    n: int
    of: int | None
    by: dict[str, int]
    unaccounted: int
    reasons: list[ReasonCount]


class FunnelAnswer(Document):
    """`entered`: distinct items without those that were expanded into others; null where it is not known.

    `selected` is null where a choice was made that names nothing. `left`: what went on from the last step.
    """

    run_id: str
    pipeline: str
    run_status: str
    entered: int | None
    expanded: int
    selected: int | None
    chooses: bool
    left: int | None
    winners: list[ItemRow]
    steps: list[FunnelStep]
    loses_most: LosesMost | None
    losses: dict[str, int]
    sentence: str
    unknown: UnknownRow | None
    hint: str | None


@router.get("/runs/{run_id}/funnel", summary="Where did the items of a run go?", responses=answers(FunnelAnswer, 404))
def get_funnel(reader: ReaderHere, run_id: str, _: Annotated[NoParameters, Query()]) -> Response:
    return answer(questions.funnel(reader, run_id))
