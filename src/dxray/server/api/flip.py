"""`/flip`: which other limits would select an item?"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from dxray.server.api.documents import Document, ItemRow, UnknownRow, Verdict, answers
from dxray.server.api.long import answered
from dxray.server.api.parts import NoParameters, Parameters, PartsHere, body_of
from dxray.server.api.whatif import body, read
from dxray.server.questions import flip as questions

router = APIRouter(tags=["questions"])

_LONGEST_BODY = 100_000


class FlipBody(Parameters):
    run_id: str
    item_id: str


class FlipChange(Document):
    """A rule with the nearest limit that lets the item pass; `disable` where only switching it off does. `cost` is the
    distance over the standard deviation of the field at that step of the pipeline; 1 where there is no distance, 2 for
    switching off."""

    step_name: str
    reason: str
    field: str
    op: str
    from_: Any = Field(alias="from")
    to: Any
    disable: bool
    observed: Any
    cost: float


class FlipAnswer(Document):
    """`changes` is the cheapest set that brings the item furthest, empty where none is known or none is needed;
    `single` the cheapest one that does so alone. `proved` False: there were too many rules to try every set."""

    run_id: str
    item_id: str
    name: str | None
    verdict: Verdict
    changes: list[FlipChange]
    single: FlipChange | None
    cost: float | None
    proved: bool
    exactness: Literal["certain", "bounded", "replay_needed"]
    then: str | None
    sentence: str
    unknown: UnknownRow | None
    did_you_mean: list[ItemRow] | None


@router.post(
    "/flip",
    summary="Which other limits would select an item?",
    responses=answers(FlipAnswer, 400, 404, 413),
    openapi_extra=body(FlipBody),
)
async def post_flip(request: Request, parts: PartsHere, _: Annotated[NoParameters, Query()]) -> Response:
    said = read(FlipBody, await body_of(request, _LONGEST_BODY), '{"run_id": "…", "item_id": "…"}')
    return await answered(request, parts, questions.flip, lambda: {"run_id": said.run_id, "item_id": said.item_id})
