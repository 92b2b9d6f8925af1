"""`/runs/{run_id}/lineage`: what an item came from, and what came of it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field

from dxray.server.api.documents import Document, ItemRow, UnknownRow, answers
from dxray.server.api.parts import Parameters, ReaderHere, answer
from dxray.server.questions import lineage as questions

router = APIRouter(tags=["questions"])


class LineageQuery(Parameters):
    item: str = Field(description="the item's id, or its exact name where no item has that id")
    levels: int = Field(3, ge=0, le=20, description="how many generations of descendants are walked")


class LineageNode(ItemRow):
    """An item with the step that produced it, else the first that saw it. `root`: the walk back ended here."""

    kind: str | None
    step_id: str | None
    step_name: str | None
    relation: Literal["self", "ancestor", "descendant"]
    depth: int
    root: bool


class LineageEdge(Document):
    """`child` came from `parent`; or `parent` was merged into `child`."""

    parent: str
    child: str
    how: Literal["parents", "merged"]
    step_id: str
    step_name: str | None


class Generations(Document):
    """How many items there are, in all and by generation; `more`: it goes on, and was not followed."""

    total: int
    shown: int
    levels: list[int]
    more: bool


class LineageAnswer(Document):
    run_id: str
    pipeline: str
    run_status: str
    item_id: str
    name: str | None
    nodes: list[LineageNode]
    edges: list[LineageEdge]
    roots: list[str]
    ancestors: Generations
    descendants: Generations
    sentence: str
    unknown: UnknownRow | None
    hint: str | None
    did_you_mean: list[ItemRow] | None


@router.get("/runs/{run_id}/lineage", summary="What did this item come from?", responses=answers(LineageAnswer, 404))
def get_lineage(reader: ReaderHere, run_id: str, query: Annotated[LineageQuery, Query()]) -> Response:
    return answer(questions.lineage(reader, run_id, query.item, query.levels))
