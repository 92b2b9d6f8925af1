"""`/ingest`: batches of the SDK. 2xx comes after the commit."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from dxray.server.api.documents import ReceiptAnswer, answers, batch_body
from dxray.server.api.parts import PROJECT, NoParameters, PartsHere, answer, body_of
from dxray.server.errors import Busy
from dxray.wire import codec

router = APIRouter(tags=["ingest"])


@router.post(
    "/ingest",
    summary="Store one batch of records: msgpack, as it is or compressed with zstd or gzip",
    responses=answers(ReceiptAnswer, 400, 413, 503),
    openapi_extra=batch_body(),
)
async def post_batch(request: Request, parts: PartsHere, _: Annotated[NoParameters, Query()]) -> Response:
    """The same (producer, seq) counts once. Records that cannot be read are named by their index; the others count.

    A body that does not fit its `Content-Digest` (RFC 9530, sha-256), where there is one, is asked for again.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    body = await body_of(request, parts.settings.max_body)
    if codec.is_damaged(body, request.headers.get(codec.DIGEST)):
        raise Busy("the body was damaged on its way", fix="send it again")
    receipt = await asyncio.wrap_future(parts.ingest.submit(body, encoding, PROJECT))
    rejected = [{"index": index, "error": message} for index, message in receipt.rejected]
    return answer({"accepted": receipt.accepted, "rejected": rejected, "duplicate": receipt.duplicate})
