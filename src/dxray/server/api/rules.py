"""`/rules`: which rules matter, which are dead, and which limit to look at first?"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from dxray.server.api.documents import Document, UnknownRow, answers
from dxray.server.api.long import answered
from dxray.server.api.parts import Parameters, PartsHere, asked
from dxray.server.questions import rules as questions

router = APIRouter(tags=["questions"])


class RulesQuery(Parameters):
    pipeline: str | None = None
    since: str | None = Field(None, description="an RFC 3339 time, or an age: 15m, 1h, 7d; of the runs")
    until: str | None = Field(None, description="an RFC 3339 time, or an age")
    q: str | None = Field(None, description="a filter of runs")
    step: str | None = Field(None, description="only rules of steps with this name")


class Bin(Document):
    """Margins in [from, to), in the unit of the field; negative ones were outside the limit."""

    from_: float = Field(alias="from")
    to: float
    n: int


class NearMissesRow(Document):
    """How close values came to the limit. `within` is 5 % of the `spread` of the values (from their 5 % to their 95 %
    quantile) and the width of a bin; `failed` and `passed` are that close to the limit, and of `failed_alone` no other
    rule is known to have failed. `below` and `above` lie outside the bins.
    """

    values: int
    spread: float
    within: float
    failed: int
    failed_alone: int
    passed: int
    below: int
    above: int
    bins: list[Bin]


class RedundantRow(Document):
    """A rule that failed on every one of the items (`support`) on which this one failed, in steps that have both.
    `mutual`: and this one on every one of its."""

    step_name: str
    reason: str
    field: str
    op: str
    support: int
    mutual: bool


class KillRate(Document):
    """How often a rule failed, with a 95 % interval in which a run is a cluster."""

    runs: int
    evaluated: int
    kills: int
    rate: float | None
    interval: list[float]


class Point(KillRate):
    from_: str | None = Field(alias="from")


class Version(KillRate):
    """The rule under one limit, and when runs with it began."""

    threshold: Any
    from_: str | None = Field(alias="from")
    to: str | None


class DriftRow(Document):
    """The kill rate over time, in periods of so many minutes, and by limit. `changed`: whether the `first` and the
    `last` quarter of the runs differ by more than chance (95 %, for each rule by itself); null for too few runs."""

    changed: bool | None
    first: KillRate | None
    last: KillRate | None
    minutes: int
    points: list[Point]
    versions: list[Version]


class RuleHealthRow(Document):
    """A rule, under its latest `threshold`. `evaluated` and `kills` are how often it was asked and failed, counted
    exactly; `sole_kills` the items that failed no other rule of the step, null where `sole_unknown` says why only the
    range is known; `never_ran` means that it was never asked. Null throughout where `unknown` says why."""

    pipeline: str
    step_name: str
    reason: str
    field: str
    op: str
    threshold: Any
    thresholds: int
    steps: int
    runs: int
    evaluated: int | None
    kills: int | None
    uncomparable: int | None
    rate: float | None
    interval: list[float]
    sole_kills: int | None
    sole_kills_range: list[int] | None
    sole_unknown: Literal["not_counted", "not_read", "not_all_asked"] | None
    near_misses: NearMissesRow | None
    no_margin: Literal["not_ordered", "not_asked", "no_numbers", "one_value", "too_far_apart", "not_read"] | None
    fires_never: bool | None
    never_ran: bool | None
    redundant_with: list[RedundantRow]
    drift: DriftRow | None
    unknown: UnknownRow | None


class RuleNamed(Document):
    pipeline: str
    step_name: str
    reason: str
    field: str
    op: str
    threshold: Any


class ReasonRow(Document):
    pipeline: str
    step_name: str
    reason: str | None
    rejections: int


class WithoutRule(Document):
    """Rejections that no rule made: they cannot be evaluated again."""

    rejections: int
    reasons: list[ReasonRow]
    hint: str | None


class NotReadRows(Document):
    runs: int
    observations: int


class NotCounted(Document):
    cause: str
    n: int
    detail: str
    hint: str | None


class RulesAnswer(Document):
    """The rules, first those whose limit to look at first: most items that fell close to it and by no other rule."""

    pipeline: str | None
    sentence: str
    did_you_mean: list[str] | None
    runs: int
    rules: list[RuleHealthRow]
    look_first: RuleNamed | None
    without_rule: WithoutRule
    not_looked_at: NotReadRows
    unknown: list[NotCounted]


@router.get("/rules", summary="Which rules matter, and which limit to look at first?", responses=answers(RulesAnswer))
async def get_rules(request: Request, parts: PartsHere, query: Annotated[RulesQuery, Query()]) -> Response:
    return await answered(request, parts, questions.rules, lambda: asked(parts, query))
