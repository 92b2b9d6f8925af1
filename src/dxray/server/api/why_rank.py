"""`/runs/{run_id}/why-rank`: why one item stands before another, or behind it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field

from dxray.server.api.documents import Document, ItemRow, StepName, UnknownRow, answers
from dxray.server.api.parts import Parameters, ReaderHere, answer
from dxray.server.questions import why_rank as questions

router = APIRouter(tags=["questions"])

Order = Literal["before", "behind", "level", "unknown"]


class RankQuery(Parameters):
    item: str = Field(description="the item's id, or its exact name where no item has that id")
    over: str = Field(description="the item that it is compared with, by id or by exact name")


class RankSide(ItemRow):
    """One of the two: what became of it in the run, and its place at the step that ranked both."""

    verdict: str | None
    step_name: str | None
    sentence: str | None
    rank: int | None
    rank_at_least: int | None
    score: float | None


class ComponentRow(Document):
    """A part of both scores; `delta` is the item's less the other's, and all of them sum to `gap`.

    `recorded` is false of what the parts leave unexplained. `decisive`: without this difference they would be level
    or swapped.
    """

    name: str
    item: float | None
    over: float | None
    delta: float
    recorded: bool
    decisive: bool


class RankChange(ItemRow):
    """One part of the lower score that, raised past `to`, swaps the two. `seen`: another item there has as much."""

    component: str
    from_: float | None = Field(alias="from")
    to: float
    by: float
    share_of_spread: float | None
    seen: bool


class RankingRow(StepName):
    """What one step says of the two, with every score that it gave them, in order."""

    verdict: Order
    decided_by: str | None
    deciding: bool
    item_scores: list[float]
    over_scores: list[float]
    item_ahead: int
    over_ahead: int
    item_outcome: str | None
    over_outcome: str | None


class ComparisonRow(StepName):
    winner: str
    loser: str
    by: str


class WhyRankAnswer(Document):
    """Where `item` stands to `over`; `unknown` says also what of a known order is not known, as the score's parts."""

    run_id: str
    pipeline: str
    run_status: str
    verdict: Literal["before", "behind", "level", "not_ranked", "unknown"]
    decided_by: Literal["choice", "score", "comparison"] | None
    step_id: str | None
    step_name: str | None
    item: RankSide
    over: RankSide
    scored: int | None
    gap: float | None
    components: list[ComponentRow]
    parts_from: StepName | None
    change: RankChange | None
    rankings: list[RankingRow]
    comparisons: list[ComparisonRow]
    sentence: str
    unknown: UnknownRow | None
    hint: str | None
    did_you_mean: list[Any] | None


@router.get(
    "/runs/{run_id}/why-rank",
    summary="Why does this item stand before that one?",
    responses=answers(WhyRankAnswer, 404),
)
def get_why_rank(reader: ReaderHere, run_id: str, query: Annotated[RankQuery, Query()]) -> Response:
    return answer(questions.why_rank(reader, run_id, query.item, query.over))
