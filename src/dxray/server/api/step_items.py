"""The items of a step, as a page of them is asked for and answered; `api/events.py` has the route."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Literal

from fastapi import Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from dxray.server.api.documents import Document, UnknownRow
from dxray.server.api.parts import PROJECT, Parameters, Parts
from dxray.server.questions import step_items as questions
from dxray.server.reasoning.shown import to_json


class StepItemsQuery(Parameters):
    step_id: str
    outcome: str | None = None
    reason: str | None = None
    q: str | None = Field(None, description='a filter: words of an id or a name, evidence.price:>100, "two words"')
    sort: str | None = Field(
        None, description="item_id, name, outcome, reason, score, rank or evidence.KEY; -score for the highest first"
    )
    limit: int = Field(100, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=2**31)


class EvidenceKey(Document):
    """`n` events of the step have it."""

    key: str
    kind: Literal["number", "text", "bool", "json", "nonfinite", "mixed"]
    n: int


class StepItem(Document):
    """What became of an item at a step, by all `events` of it there. `produced`: nothing more is said of it.

    `rank`: its place among the scored, 1 is best. `evidence` is put together from its events.
    """

    item_id: str
    name: str | None
    kind: str | None
    outcome: str | None
    reason: str | None
    score: float | None
    rank: int | None
    by: str
    evidence: dict[str, Any] | None
    evidence_state: str | None
    ref_item: str | None
    ref_kind: str | None
    events: int


class StepItemsAnswer(Document):
    """`total` items fit, `of` all that the step names; `outcomes`, `reasons` and `scored` count the latter."""

    run_id: str
    step_id: str
    step_name: str
    step_type: str | None
    sentence: str
    items: list[StepItem]
    total: int
    of: int
    limit: int
    offset: int
    outcomes: dict[str, int]
    reasons: dict[str, int]
    scored: int
    evidence_keys: list[EvidenceKey]
    unknown: UnknownRow | None
    hint: str | None


async def page_of_items(parts: Parts, run_id: str, query: StepItemsQuery) -> Response:
    """A page. The order of all items is worked out once, and kept as long as nothing is stored."""
    asked = query.model_dump(exclude={"limit", "offset"})
    version = parts.store.version
    key = sha256(
        repr((PROJECT, questions.order.__qualname__, run_id, asked)).encode(errors="surrogatepass")
    ).hexdigest()
    kept = parts.long.cache.get(version, key)

    def work() -> tuple[bytes, bytes]:
        reader = parts.store.project(PROJECT)
        made = questions.order(reader, run_id, **asked) if kept is None else kept
        return made, to_json(questions.page(reader, run_id, query.step_id, made, query.limit, query.offset))

    made, found = await run_in_threadpool(work)
    if kept is None:
        parts.long.cache.put(version, key, made, float("inf"))
    return Response(found, media_type="application/json")
