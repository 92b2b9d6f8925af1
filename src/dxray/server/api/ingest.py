"""`/ingest`: batches of the SDK. 2xx comes after the commit."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from dxray.server.api.documents import ReceiptAnswer, answers, batch_body
from dxray.server.api.parts import PROJECT, NoParameters, PartsHere, answer, body_of

router = APIRouter(tags=["ingest"])


@router.post(
    "/ingest",
    summary="Store one batch of records: msgpack, as it is or compressed with zstd or gzip",
    responses=answers(ReceiptAnswer, 400, 413, 503),
    openapi_extra=batch_body(),
)
async def post_batch(request: Request, parts: PartsHere, _: Annotated[NoParameters, Query()]) -> Response:
    """The same (producer, seq) counts once. Records that cannot be read are named by their index; the others count."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    body = await body_of(request, parts.settings.max_body)
    receipt = await asyncio.wrap_future(parts.ingest.submit(body, encoding, PROJECT))
    rejected = [{"index": index, "error": message} for index, message in receipt.rejected]
    return answer({"accepted": receipt.accepted, "rejected": rejected, "duplicate": receipt.duplicate})
