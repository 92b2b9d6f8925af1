"""`/healthz` and `/readyz`: is the process up, and can it answer?"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from dxray.server.api.documents import Health, answers
from dxray.server.api.parts import NoParameters, PartsHere, ReaderHere, answer
from dxray.server.errors import StoreError
from dxray.server.settings import VERSION

router = APIRouter(tags=["operations"])


@router.get("/healthz", summary="The process is up", responses=answers(Health))
async def healthz(_: Annotated[NoParameters, Query()]) -> Response:
    return answer({"status": "ok", "version": VERSION})


@router.get("/readyz", summary="The store answers", responses=answers(Health, 503))
def readyz(parts: PartsHere, reader: ReaderHere, _: Annotated[NoParameters, Query()]) -> Response:
    if not parts.ingest.is_alive:
        raise StoreError("ingest has stopped; restart the server")
    reader.select("runs", ["run_id"], limit=1)
    return answer({"status": "ok", "version": VERSION})
