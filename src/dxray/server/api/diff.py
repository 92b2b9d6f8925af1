"""`/diff`: where two runs parted, and what became of what."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from dxray.server.api.documents import Document, ItemRow, UnknownRow, answers
from dxray.server.api.long import answered
from dxray.server.api.parts import PROJECT, Parameters, PartsHere, answer
from dxray.server.questions import diff as questions

router = APIRouter(tags=["questions"])

Label = Literal["same", "config_changed", "nondeterministic_here", "unknown_cause", "inherited", "structural"]
Known = Literal["same", "other", "absent", "unknown"]


class DiffStepIds(Document):
    """The step in each of the two runs; null where it is not there."""

    a: str | None
    b: str | None


class DiffPoint(Document):
    step_name: str
    step_id: DiffStepIds
    label: Label


class DiffFirst(DiffPoint):
    """`only_a` and `only_b`: some of the items that only one of the runs had there."""

    only_a: list[ItemRow]
    only_b: list[ItemRow]


class DiffRun(Document):
    pipeline: str
    status: str
    started_at: str | None
    duration_ms: float | None
    code_version: str | None
    variant: str | None
    environment: str | None
    error: Any
    lost_events: bool


class DiffRuns(Document):
    a: DiffRun
    b: DiffRun


class DiffPrints(Document):
    """Of the items that came in (in any order, and in theirs), of all config, and of what became of the items.

    `recorded_*` are those of the texts. Null for nothing.
    """

    input: str | None
    input_ordered: str | None
    config: str | None
    output: str | None
    recorded_input: str | None
    recorded_config: str | None
    recorded_output: str | None


class DiffSide(Document):
    """A step as it was in one of the runs; `superseded` are the attempts that it took the place of."""

    step_id: str
    position: int
    attempt: int
    input_count: int | None
    output_count: int | None
    rejection_rate: float | None
    rejection_counts: dict[str, int]
    duration_ms: float | None
    superseded: list[Any]
    complete: bool
    error: Any
    fingerprints: DiffPrints


class DiffCounts(Document):
    both: int
    changed: int
    flipped: int
    only_a: int
    only_b: int


class DiffStep(Document):
    """A step of both runs, or of one of them. `differs` is null where the record does not say; `order_only`: the same
    items, in another order. `items` is null where events of it are missing."""

    step_name: str
    step_id: DiffStepIds
    step_type: str | None
    path: list[str]
    occurrence: int
    label: Label
    differs: bool | None
    order_only: bool
    a: DiffSide | None
    b: DiffSide | None
    items: DiffCounts | None
    unknown: UnknownRow | None
    hint: str | None


class DiffOutcome(Document):
    outcome: str
    reason: str | None
    score: float | None


class DiffFlip(Document):
    """An item that both runs had at a step, with another outcome."""

    item_id: str
    name: str | None
    step_name: str
    step_id: DiffStepIds
    a: DiffOutcome
    b: DiffOutcome


class DiffPlace(Document):
    rank: int
    score: float


class DiffMove(Document):
    item_id: str
    name: str | None
    step_name: str
    step_id: DiffStepIds
    a: DiffPlace
    b: DiffPlace


class DiffItem(Document):
    item_id: str
    name: str | None
    step_id: str
    step_name: str


class DiffWinners(Document):
    """What each run selected last; null where that is not known."""

    a: list[DiffItem] | None
    b: list[DiffItem] | None


class DiffChange(Document):
    """`kind`: `run` (`field` is a version, and there is no step), `rule`, `cutoff` or `config` (`field` is a path)."""

    step_name: str | None
    step_id: DiffStepIds | None
    kind: Literal["run", "rule", "cutoff", "config"]
    field: str
    a: Any
    b: Any


class DiffTotals(Document):
    """How many there are in all: the lists are cut. Null where it is not known."""

    steps: int
    steps_apart: int
    flips: int
    rank_moves: int
    arrivals: int | None
    departures: int | None
    config_changes: int


class DiffAnswer(Document):
    """`first_effect` is the first step that gave something else, not only in another order or from another setting.

    `arrivals` are items that only b had, `departures` those that only a had; null where that cannot be said.
    """

    a: str
    b: str
    sentence: str
    first_divergence: DiffFirst | None
    first_effect: DiffPoint | None
    runs: DiffRuns
    run_input: Known
    run_output: Known
    steps: list[DiffStep]
    flips: list[DiffFlip]
    rank_moves: list[DiffMove]
    arrivals: list[DiffItem] | None
    departures: list[DiffItem] | None
    winners: DiffWinners
    config_changes: list[DiffChange]
    minimal_changes: list[MinimalChange] | None
    totals: DiffTotals
    unknown: UnknownRow | None
    hint: str | None


class LimitChange(Document):
    """A rule of the first run as the second has it; `disable` where the second has none."""

    step_id: str
    step_name: str
    reason: str
    field: str
    op: str
    from_: Any = Field(alias="from")
    to: Any
    disable: bool


class MinimalChange(Document):
    """The smallest set of changes that gives an item in run `a` the fate it has in run `b`.

    `not_replayed`: steps whose other differences cannot be tried without running the pipeline again.
    """

    item_id: str
    becomes: str
    changes: list[LimitChange]
    exactness: str
    not_replayed: list[str]
    sentence: str


class DiffQuery(Parameters):
    a: str = Field(description="the id of the one run")
    b: str = Field(description="the id of the other run")
    isolate: bool = Field(False, description="also the smallest changes of limits that flip a decision")


@router.get("/diff", summary="Where did two runs part?", responses=answers(DiffAnswer, 404))
async def get_diff(request: Request, parts: PartsHere, query: Annotated[DiffQuery, Query()]) -> Response:
    if query.isolate:  # it replays a run many times
        return await answered(request, parts, questions.diff, query.model_dump)
    return await run_in_threadpool(lambda: answer(questions.diff(parts.store.project(PROJECT), query.a, query.b)))
