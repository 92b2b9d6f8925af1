"""`/times`: when runs started. Not below `/runs/`, where every name is that of a run."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from dxray.server.api.documents import Document, answers
from dxray.server.api.parts import Parameters, PartsHere, ReaderHere, answer, asked
from dxray.server.questions import run_times as questions

router = APIRouter(tags=["runs"])


class TimesQuery(Parameters):
    q: str | None = Field(
        None, description="a filter of runs; `since` and `until` in it are where the buckets begin and end"
    )
    buckets: int = Field(60, ge=questions.LEAST, le=questions.MOST, description="at most so many")


class TimeBucket(Document):
    """Runs that started at `from` or later, and before `to`, by status; a status that is not named has none."""

    from_: str = Field(alias="from")
    to: str
    counts: dict[str, int]


class TimesAnswer(Document):
    """The buckets have one length and leave no gap; there are none where no run fits. `undated`: those runs of the
    total whose time no calendar holds, which are in no bucket.
    """

    from_: str | None = Field(alias="from")
    to: str | None
    width_ms: float | None
    buckets: list[TimeBucket]
    counts: dict[str, int]
    total: int
    undated: int
    sentence: str


@router.get("/times", summary="How many runs started when, by status", responses=answers(TimesAnswer))
def get_times(parts: PartsHere, reader: ReaderHere, query: Annotated[TimesQuery, Query()]) -> Response:
    return answer(questions.run_times(reader, **asked(parts, query)))
