"""`/items`: an item across runs."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field

from dxray.server.api.documents import Document, ItemRow, UnknownRow, answers
from dxray.server.api.parts import Parameters, ReaderHere, answer
from dxray.server.questions import items as questions

router = APIRouter(tags=["questions"])


class ItemsQuery(Parameters):
    id: str | None = Field(None, description="the item's id; this or name")
    name: str | None = Field(None, description="its name: exactly, else any name that contains it, in any case")
    limit: int = Field(100, ge=1, le=1000)
    offset: int = Field(0, ge=0)


class NameCount(Document):
    name: str
    runs: int


class ItemMeant(ItemRow):
    """An item that was meant, with the names that runs gave it."""

    names: list[NameCount]
    runs: int
    events: int


class ItemInRun(ItemRow):
    """The last outcome of an item in a run. `selected` is null where it is not known."""

    run_id: str
    pipeline: str
    run_status: str
    started_at: str
    environment: str | None
    code_version: str | None
    outcome: str | None
    step_id: str | None
    step_name: str | None
    reason: str | None
    score: float | None
    selected: bool | None
    unknown: UnknownRow | None


class ReasonOfRuns(Document):
    reason: str | None
    step_name: str | None
    n: int


class ItemTotals(Document):
    """Numbers of runs. `seen` is of all; the rest is of the newest `counted` of them, by the last outcome there."""

    seen: int
    counted: int
    selected: int
    rejected: int
    outcomes: dict[str, int]
    reasons: list[ReasonOfRuns]


class ItemsAnswer(Document):
    """`match`: how the items were found. `runs` has a row for each item in each run, newest first."""

    id: str | None
    name: str | None
    match: Literal["id", "name", "contains"] | None
    items: list[ItemMeant]
    runs: list[ItemInRun]
    total: int
    limit: int
    offset: int
    totals: ItemTotals
    sentence: str
    unknown: UnknownRow | None
    did_you_mean: list[ItemRow] | None


@router.get("/items", summary="What became of this item across runs?", responses=answers(ItemsAnswer))
def get_items(reader: ReaderHere, query: Annotated[ItemsQuery, Query()]) -> Response:
    return answer(questions.items(reader, **query.model_dump()))
