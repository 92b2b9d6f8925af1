"""`/runs/{run_id}/events` and `/runs/{run_id}/items`: what a run observed, event by event and item by item."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from dxray.server.api.documents import EventsAnswer, answers
from dxray.server.api.parts import Parameters, PartsHere, ReaderHere, answer
from dxray.server.api.step_items import StepItemsAnswer, StepItemsQuery, page_of_items
from dxray.server.questions import events as questions

router = APIRouter(tags=["runs"])


class EventsQuery(Parameters):
    step_id: str | None = None
    outcome: str | None = None
    reason: str | None = None
    item: str | None = Field(None, description="an item's id")
    cursor: str | None = Field(None, description="next_cursor of the page before")
    limit: int = Field(100, ge=1, le=1000)


@router.get("/runs/{run_id}/events", summary="A run's events, page by page", responses=answers(EventsAnswer, 404))
def get_events(reader: ReaderHere, run_id: str, query: Annotated[EventsQuery, Query()]) -> Response:
    return answer(questions.events(reader, run_id, **query.model_dump()))


@router.get(
    "/runs/{run_id}/items",
    summary="The items of a step, in any order, page by page",
    responses=answers(StepItemsAnswer, 404),
)
async def get_items(parts: PartsHere, run_id: str, query: Annotated[StepItemsQuery, Query()]) -> Response:
    return await page_of_items(parts, run_id, query)
