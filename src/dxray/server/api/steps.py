"""`/steps`: steps across runs and pipelines."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from dxray.server.api.documents import StepsAnswer, answers
from dxray.server.api.parts import Parameters, PartsHere, ReaderHere, answer, asked
from dxray.server.questions import steps as questions

router = APIRouter(tags=["steps"])


class StepsQuery(Parameters):
    step_type: str | None = None
    name: str | None = Field(None, description="the step's name")
    pipeline: str | None = None
    rejection_rate_gt: float | None = Field(None, description="strictly greater than; 0..1", allow_inf_nan=False)
    rejection_rate_lt: float | None = Field(None, description="strictly less than; 0..1", allow_inf_nan=False)
    since: str | None = Field(None, description="runs started since: an RFC 3339 time, or an age: 15m, 1h, 7d")
    until: str | None = Field(None, description="runs started before")
    q: str | None = Field(None, description="a filter: step:filter rejection_rate:>0.9 pipeline:p words")
    limit: int = Field(100, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=2**53)

    @field_validator("rejection_rate_gt", "rejection_rate_lt")
    @classmethod
    def _is_rate(cls, rate: float | None) -> float | None:
        if rate is None or 0 <= rate <= 1:
            return rate
        fix = f"did you mean {rate / 100:g}?" if 2 <= rate <= 100 else "0.9 is nine in ten"
        raise PydanticCustomError("not_a_rate", "a rate lies in 0..1", {"fix": fix})


@router.get("/steps", summary="Steps across runs, newest run first", responses=answers(StepsAnswer))
def list_steps(parts: PartsHere, reader: ReaderHere, query: Annotated[StepsQuery, Query()]) -> Response:
    return answer(questions.steps(reader, **asked(parts, query, "steps")))
