"""`/metrics`: what this process did, what the store holds, and what was lost by cause."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Response

from dxray.server.api.documents import text_answer
from dxray.server.api.exposition import CONTENT_TYPE, Family, one, text_of
from dxray.server.api.parts import NoParameters, Parts, PartsHere
from dxray.server.settings import VERSION

router = APIRouter(tags=["operations"])

MOST_CAUSES = 100  # causes come from outside, and each is a series of its own wherever the metrics are kept
OTHER = "other"

_STARTED = time.time()
_INGEST = {
    "batches": "Batches taken, repeated ones included.",
    "duplicates": "Batches that were there already.",
    "heartbeats": "Batches without records.",
    "posted": "Runs posted whole.",
    "records": "Records committed.",
    "rejected": "Records that could not be read or stored.",
    "rows": "Rows committed.",
    "commits": "Commits.",
    "failed": "Commits that failed.",
    "refused": "Batches and runs refused, because too many bytes waited.",
}


@router.get(
    "/metrics",
    summary="Metrics, in the text format of Prometheus",
    response_class=Response,
    responses=text_answer(CONTENT_TYPE, 503),
)
def metrics(parts: PartsHere, _: Annotated[NoParameters, Query()]) -> Response:
    return Response(text_of(_families(parts)), media_type=CONTENT_TYPE)


def _families(parts: Parts) -> Iterator[Family]:
    yield one("process_start_time_seconds", "gauge", "When the process started, in seconds since 1970.", _STARTED)
    yield Family("dxray_build_info", "gauge", "The version that runs.", [({"version": VERSION}, 1)])
    for name, n in parts.ingest.counters.as_dict().items():
        yield one(f"dxray_ingest_{name}_total", "counter", _INGEST.get(name, f"Ingest: {name}."), n)
    waiting = parts.ingest.waiting.bytes
    yield one("dxray_ingest_waiting_bytes", "gauge", "Bytes of bodies that are not committed yet.", waiting)
    held = parts.store.stats()
    yield one("dxray_store_bytes", "gauge", "Bytes of the data file and its log.", held.pop("bytes", 0))
    rows = [({"table": table}, n) for table, n in sorted(held.items())]
    yield Family("dxray_store_rows", "gauge", "Rows of the store.", rows)
    lost = [({"cause": cause}, n) for cause, n in bounded(parts.store.lost()).items()]
    help_ = "Recorded events that did not arrive; of the causes truncated and redacted, values that were changed."
    yield Family("dxray_lost_total", "counter", help_, lost)


def bounded(lost: Mapping[str, int]) -> dict[str, int]:
    """The causes heard of first, and all others in one."""
    found: dict[str, int] = {}
    for cause, n in lost.items():
        kept = cause if len(found) < MOST_CAUSES else OTHER
        found[kept] = found.get(kept, 0) + n
    return found
