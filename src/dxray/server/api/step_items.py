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
    bins_of: str | None = Field(None, description="a key of the evidence: how its values lie, of the items that fit")
    edge: float | None = Field(None, allow_inf_nan=False, description="a number that no bin lies on both sides of")
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


class ValueBin(Document):
    """`n` items, `kept` and `dropped` here; of the others nothing says it. From `from`, up to but not with `to`."""

    from_: float = Field(alias="from")
    to: float
    n: int
    kept: int
    dropped: int


class ValueCount(Document):
    value: str
    n: int
    kept: int
    dropped: int


class Distribution(Document):
    """How a key's values lie in the evidence of the items that fit: the last value of each.

    `n` items have a number there, and `without` have none. `bins` and `values` (the most frequent texts) count items.
    """

    key: str
    n: int
    without: int
    least: float | None
    greatest: float | None
    bins: list[ValueBin]
    values: list[ValueCount]


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
    distribution: Distribution | None
    unknown: UnknownRow | None
    hint: str | None


async def page_of_items(parts: Parts, run_id: str, query: StepItemsQuery) -> Response:
    """A page. The step is read once, and what was worked out of it is kept as long as nothing is stored."""
    asked = query.model_dump(exclude={"step_id", "limit", "offset"})
    version, cache, step_id = parts.store.version, parts.long.steps, query.step_id
    by = (query.sort or "").removeprefix("-")
    keys = [_key(run_id, step_id, *more) for more in (("table",), ("place", by), ("order", asked))]
    before = [cache.get(version, key) for key in keys]

    def work() -> tuple[list[bytes | None], bytes]:
        table, placed, order = before
        reader = parts.store.project(PROJECT)
        if table is None:  # what was made of another one may number its items otherwise
            table, placed, order = questions.table(reader, run_id, step_id), None, None
        if order is None:
            if by and placed is None:
                placed = questions.place(reader, run_id, step_id, table, by)
            order = questions.order(reader, run_id, step_id, table, placed, **asked)
        found = to_json(questions.page(reader, run_id, step_id, table, order, query.limit, query.offset))
        return [table, placed, order], found

    made, found = await run_in_threadpool(work)
    for key, old, new in zip(keys, before, made, strict=True):
        if new is not None and new is not old:
            cache.put(version, key, new, float("inf"))
    return Response(found, media_type="application/json")


def _key(*of: object) -> str:
    return sha256(repr((PROJECT, "items of a step", *of)).encode(errors="surrogatepass")).hexdigest()
