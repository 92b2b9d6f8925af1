"""`/runs`: post one, list them, look at one."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from dxray.server import posted
from dxray.server.api.documents import PostedAnswer, RunAnswer, RunsAnswer, answers, posted_body
from dxray.server.api.parts import (
    PROJECT,
    NoParameters,
    Parameters,
    PartsHere,
    ReaderHere,
    answer,
    asked,
    base_url,
    body_of,
)
from dxray.server.questions import runs as questions

router = APIRouter(tags=["runs"])

Status = Literal["running", "waiting", "completed", "failed", "abandoned"]


class RunsQuery(Parameters):
    pipeline: str | None = None
    status: Status | None = None
    since: str | None = Field(None, description="an RFC 3339 time, or an age: 15m, 1h, 7d")
    until: str | None = Field(None, description="an RFC 3339 time, or an age")
    q: str | None = Field(None, description='a filter: pipeline:p status:failed input.category:"phone cases" words')
    limit: int = Field(100, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=2**53)


@router.post(
    "/runs",
    summary="Store one whole run, written as JSON",
    status_code=201,
    responses={201: {"model": PostedAnswer}, **answers(PostedAnswer, 400, 409, 413, 503)},
    openapi_extra=posted_body(),
)
async def post_run(request: Request, parts: PartsHere, _: Annotated[NoParameters, Query()]) -> Response:
    """201 when it was made, 200 when the same content is already there, 409 when other content is."""
    body = await body_of(request, parts.settings.max_body)
    run = await run_in_threadpool(posted.read, body)
    made = await asyncio.wrap_future(parts.ingest.post_run(PROJECT, run.records, run.request_hash))
    message = f"run {run.run_id} stored" if made else f"run {run.run_id} is already there; nothing changed"
    return answer(
        {"success": True, "message": message, "data": {"run_id": run.run_id}},
        201 if made else 200,
        {"Location": f"/runs/{run.run_id}"},
    )


@router.get("/runs", summary="Runs, newest first", responses=answers(RunsAnswer))
def list_runs(request: Request, parts: PartsHere, reader: ReaderHere, query: Annotated[RunsQuery, Query()]) -> Response:
    return answer(questions.runs(reader, base_url(request), **asked(parts, query)))


@router.get("/runs/{run_id}", summary="One run with its steps", responses=answers(RunAnswer, 404))
def get_run(
    request: Request, parts: PartsHere, reader: ReaderHere, run_id: str, _: Annotated[NoParameters, Query()]
) -> Response:
    return answer(questions.run(reader, run_id, base_url(request), parts.settings.trace_link))
