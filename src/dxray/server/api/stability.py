"""`/stability`: does the same input lead to the same decision?"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from dxray.server.api.documents import Document, ItemRow, answers
from dxray.server.api.long import answered
from dxray.server.api.parts import Parameters, PartsHere, asked
from dxray.server.questions import stability as questions

router = APIRouter(tags=["questions"])


class StabilityQuery(Parameters):
    pipeline: str | None = None
    since: str | None = Field(None, description="an RFC 3339 time, or an age: 15m, 1h, 7d; of the runs")
    until: str | None = Field(None, description="an RFC 3339 time, or an age")
    q: str | None = Field(None, description="a filter of runs")


class Repetitions(Document):
    """Runs of an input that was repeated."""

    least: int
    median: int
    most: int


class TwoRuns(Document):
    a: str
    b: str


class EntryStep(Document):
    """A step at which repeated runs part first. `share` is of all compared runs that part; `amplification` the share of
    those that part here whose decision differs; both with 95 % intervals in which the runs of one input are a cluster.
    """

    pipeline: str
    step_name: str
    first: int
    share: float
    interval: list[float]
    flipped: int
    decided: int
    amplification: float | None
    amplification_interval: list[float]
    labels: dict[str, int]
    example: TwoRuns


class ChoiceRow(Document):
    """What some runs of an input decided; `items` is null where their output stands for the decision."""

    runs: int
    items: list[ItemRow] | None
    examples: list[str]


class UnstableInput(Document):
    """An input that led to several decisions or outputs. `entropy` is of the decision, in bits."""

    pipeline: str
    input: Any
    runs: int
    newest: str
    decisions: int | None
    outputs: int | None
    entropy: float | None
    undecided: int
    choices: list[ChoiceRow]


class NotLookedAt(Document):
    runs: int
    pairs: int


class NotKnown(Document):
    cause: str
    n: int
    detail: str
    hint: str | None


class StabilityAnswer(Document):
    """`groups` are inputs under one version and one set of settings; `repeats` those that two or more completed runs
    had. Of these, `flip_rate` is the share whose decision was not always the same, with its Wilson interval (95 %), and
    `pair_flip_rate` the chance that two runs of one input differ. `tar`: the share whose raw outputs are all identical.
    `decision_of` is `output` where no run records what it selected. `entropy` in bits, the mean over inputs; `alpha` is
    Krippendorff's, of nominal data.
    """

    pipeline: str | None
    sentence: str
    did_you_mean: list[str] | None
    runs: int
    groups: int
    repeats: int
    repetitions: Repetitions | None
    decision_of: Literal["selected", "output"] | None
    decided: int
    flipped: int
    flip_rate: float | None
    interval: list[float]
    pair_flip_rate: float | None
    entropy: float | None
    alpha: float | None
    tar: float | None
    tar_interval: list[float]
    outputs_known: int
    identical: int
    compared: int
    diverged: int
    entry_steps: list[EntryStep]
    unrecorded: int
    undecided: int
    unstable: list[UnstableInput]
    not_looked_at: NotLookedAt
    unknown: list[NotKnown]


@router.get("/stability", summary="Does the same input lead to the same decision?", responses=answers(StabilityAnswer))
async def get_stability(request: Request, parts: PartsHere, query: Annotated[StabilityQuery, Query()]) -> Response:
    return await answered(request, parts, questions.stability, lambda: asked(parts, query))
