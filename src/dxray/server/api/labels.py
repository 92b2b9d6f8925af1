"""`/runs/{run_id}/labels`: what is said of a run afterwards."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from dxray.server import labels
from dxray.server.api.documents import Document, ItemRow, answers
from dxray.server.api.parts import PROJECT, NoParameters, PartsHere, ReaderHere, answer, body_of
from dxray.server.questions import labels as questions
from dxray.wire.records import LABELS

router = APIRouter(tags=["labels"])

_LONGEST_BODY = 1_000_000
_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "additionalProperties": False,
                "required": ["label"],
                "properties": {
                    "label": {"type": "string", "enum": list(LABELS)},
                    "item_id": {"type": "string", "description": "'expected' and 'wrong' are said of an item"},
                    "note": {"type": "string"},
                },
            }
        }
    },
}


class LabelRow(Document):
    """`number` counts from 1 in each run; one that was taken back is not given again."""

    number: int
    label: Literal["good", "bad", "expected", "wrong", "keep"]
    item_id: str | None
    name: str | None
    note: str | None
    at: str
    replaced_by: int | None
    did_you_mean: list[ItemRow] | None


class LabelsAnswer(Document):
    """`labels` are those that stand. `replaced` are those that a later one says otherwise: of good and bad of one run,
    or of one item, the last counts. `number`, where one was posted: which of them it is. `warnings`: of an item that
    was expected, and that no run of the pipeline ever had.
    """

    run_id: str
    number: int | None = None
    labels: list[LabelRow]
    replaced: list[LabelRow]
    warnings: list[str]
    sentence: str


@router.post(
    "/runs/{run_id}/labels",
    summary="Say of a run that it was good or bad, or of an item that it was expected or wrong",
    status_code=201,
    responses={201: {"model": LabelsAnswer}, **answers(LabelsAnswer, 400, 404, 413)},
    openapi_extra={"requestBody": _BODY},
)
async def post_label(request: Request, parts: PartsHere, run_id: str, _: Annotated[NoParameters, Query()]) -> Response:
    """201 when it is new, 200 when the run has that label already."""
    said = labels.read(await body_of(request, _LONGEST_BODY))

    def write() -> tuple[dict[str, Any], bool]:
        number, made = labels.add(parts.store, PROJECT, run_id, said)
        return {"number": number, **questions.labels(parts.store.project(PROJECT), run_id)}, made

    found, made = await run_in_threadpool(write)
    return answer(found, 201 if made else 200)


@router.get("/runs/{run_id}/labels", summary="The labels of a run", responses=answers(LabelsAnswer, 404))
def get_labels(reader: ReaderHere, run_id: str, _: Annotated[NoParameters, Query()]) -> Response:
    return answer(questions.labels(reader, run_id))


@router.delete("/runs/{run_id}/labels/{number}", summary="Take a label back", responses=answers(LabelsAnswer, 404))
def delete_label(
    parts: PartsHere, run_id: str, number: Annotated[int, Path(ge=0, le=2**31 - 1)], _: Annotated[NoParameters, Query()]
) -> Response:
    labels.remove(parts.store, PROJECT, run_id, number)
    return answer(questions.labels(parts.store.project(PROJECT), run_id))
