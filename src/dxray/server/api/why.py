"""`/runs/{run_id}/why`: what became of one item, and why."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from dxray.server.api.documents import WhyAnswer, answers
from dxray.server.api.parts import Parameters, ReaderHere, answer
from dxray.server.questions import why as questions

router = APIRouter(tags=["questions"])


class WhyQuery(Parameters):
    item: str = Field(description="the item's id, or its exact name where no item has that id")


@router.get("/runs/{run_id}/why", summary="Why was this item selected, or why not?", responses=answers(WhyAnswer, 404))
def get_why(reader: ReaderHere, run_id: str, query: Annotated[WhyQuery, Query()]) -> Response:
    return answer(questions.why(reader, run_id, query.item))
