"""`/pipelines`: the pipelines with their health."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from dxray.server.api.documents import PipelinesAnswer, answers
from dxray.server.api.parts import NoParameters, ReaderHere, answer
from dxray.server.questions import pipelines as questions

router = APIRouter(tags=["pipelines"])


@router.get(
    "/pipelines", summary="Pipelines with their health, the last to run first", responses=answers(PipelinesAnswer)
)
def list_pipelines(reader: ReaderHere, _: Annotated[NoParameters, Query()]) -> Response:
    return answer(questions.pipelines(reader))
