"""`/v1/traces`: spans of OpenTelemetry, by OTLP over HTTP. 2xx comes after the commit, and a span counts once."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from dxray.server.api.parts import PROJECT, NoParameters, Parts, PartsHere, body_of
from dxray.server.errors import BadRequest, Busy, DxrayError, TooLarge
from dxray.server.otlp import payload
from dxray.server.otlp.gate import Gate
from dxray.server.otlp.keeping import records_of
from dxray.server.otlp.spans import Mapped, Refusals, mapped
from dxray.wire import codec

router = APIRouter(tags=["ingest"])

_BINARY = {"type": "string", "format": "binary"}
_ANSWERS: dict[str, Any] = {payload.PROTOBUF: {"schema": _BINARY}, payload.JSON: {"schema": {"type": "object"}}}


@router.post(
    "/v1/traces",
    summary="Store spans of OpenTelemetry: OTLP as protobuf or JSON, as it is or compressed with gzip",
    response_class=Response,
    responses={
        200: {"description": "An ExportTraceServiceResponse, after the commit", "content": _ANSWERS},
        **{
            status: {"description": f"A google.rpc.Status: {why}", "content": _ANSWERS}
            for status, why in (
                (400, "the body cannot be read"),
                (413, "the body is too large"),
                (415, "the Content-Type is not known"),
                (503, "too much is waiting"),
            )
        },
    },
    openapi_extra={"requestBody": {"required": True, "content": _ANSWERS}},
)
async def post_traces(request: Request, parts: PartsHere, _: Annotated[NoParameters, Query()]) -> Response:
    """A trace is a run, a span a step. The answer, and what is said of an error, is of the question's Content-Type.

    Spans that cannot be stored are counted in `partial_success`; the others are committed.
    """
    said = request.headers.get("content-type", "")
    kind = payload.kind_of(said)
    if kind is None:
        detail = f"content-type {said[:100]!r} is not known here; send {payload.PROTOBUF} or {payload.JSON}"
        return _answer(payload.JSON, 415, payload.failed(payload.JSON, 415, detail))
    try:
        refused = await _stored(request, parts, kind)
    except DxrayError as error:
        headers = {"Retry-After": str(math.ceil(error.retry_after))} if isinstance(error, Busy) else {}
        return _answer(kind, error.status, payload.failed(kind, error.status, error.line()), headers)
    return _answer(kind, 200, payload.accepted(kind, refused.n, refused.why))


async def _stored(request: Request, parts: Parts, kind: str) -> Refusals:
    """Read the spans and commit them. Raises `DxrayError`."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    body = await body_of(request, parts.settings.max_body)
    refused = Refusals()
    spans = await run_in_threadpool(_read, body, encoding, parts.settings.max_body, kind, refused)
    if spans:
        # To its end, also where whoever asked has gone: the gate is held until what is under way can be seen.
        await asyncio.shield(_commit(parts, _gate(request), spans, len(body), refused))
    return refused


async def _commit(parts: Parts, gate: Gate, spans: list[Mapped], size: int, refused: Refusals) -> None:
    async with gate.of({one.step.run_id for one in spans}):
        reader = parts.store.project(PROJECT)
        records = await run_in_threadpool(records_of, spans, reader, time.time_ns() // 1000, refused)
        if records:
            await asyncio.wrap_future(parts.ingest.add(PROJECT, records, size))


def _read(body: bytes, encoding: str, limit: int, kind: str, refused: Refusals) -> list[Mapped]:
    try:
        inflated = codec.inflate(body, encoding, limit)
    except codec.TooLarge as error:
        raise TooLarge(str(error)) from error
    except codec.CodecError as error:
        raise BadRequest(str(error)) from error
    return list(mapped(payload.read(inflated, kind), time.time_ns() // 1000, refused))


def _gate(request: Request) -> Gate:
    state = request.app.state
    if not isinstance(getattr(state, "traces", None), Gate):
        state.traces = Gate()
    gate: Gate = state.traces
    return gate


def _answer(kind: str, status: int, body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, headers, media_type=kind)
