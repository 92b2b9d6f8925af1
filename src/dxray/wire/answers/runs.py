"""Runs, steps, pipelines and events, as a server answers them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec

from dxray.wire.answers.base import Answer, Page, Printed
from dxray.wire.text import Line, plain, to_html


class Edge(Answer):
    """From a step before: its `out` = `in_` here + `lost_between`, which is None, for a `cause`, when not known."""

    step_id: str | None = None
    step_name: str | None = None
    out: int | None = None
    in_: int | None = msgspec.field(default=None, name="in")
    lost_between: int | None = None
    cause: str | None = None


class Step(Answer):
    """A step of a run. `counts` holds distinct items: `in`, `produced`, each outcome, `unaccounted`."""

    _nested: ClassVar[tuple[str, ...]] = ("edges",)

    step_id: str = ""
    name: str | None = None
    step_name: str | None = None
    step_type: str | None = None
    run_id: str | None = None
    pipeline: str | None = None
    parent_step_id: str | None = None
    after: list[str] | None = None
    after_inferred: bool | None = None
    attempt: int | None = None
    started_at: str | None = None
    ended_at: str | None = None
    duration_ms: float | None = None
    input: Any = None
    output: Any = None
    input_count: int | None = None
    output_count: int | None = None
    rejection_rate: float | None = None
    rejection_counts: dict[str, int] | None = None
    counts: dict[str, Any] | None = None
    unaccounted: int | None = None
    lost_between: int | None = None
    edges: list[Edge] = []
    complete: bool | None = None
    contradictions: list[str] | None = None
    config: Any = None
    usage: Any = None
    metadata: Any = None
    error: Any = None
    cutoff: int | None = None
    rules: list[Any] | None = None
    decisions: list[Any] | None = None
    losses: dict[str, Any] | None = None
    marks: list[Any] | None = None

    @property
    def title(self) -> str:
        """The step's name, under whichever field it came."""
        return self.step_name or self.name or self.step_id


class Summary(Answer):
    """What a run of a list was about: the first fields of its input and output, cut, and how many candidates."""

    input: Any = None
    output: Any = None
    items_in: int | None = None
    items_out: int | None = None
    steps: int | None = None
    worst_step: Any = None
    labels: list[str] = []


class Run(Printed):
    """One execution of a pipeline. In lists `input`, `output`, `steps` and more are absent; `summary` is only there."""

    _nested: ClassVar[tuple[str, ...]] = ("steps",)

    run_id: str
    pipeline: str = ""
    status: str = ""
    started_at: str | None = None
    ended_at: str | None = None
    duration_ms: float | None = None
    step_count: int | None = None
    input: Any = None
    output: Any = None
    error: Any = None
    metadata: Any = None
    environment: str | None = None
    code_version: str | None = None
    variant: str | None = None
    parent_run_id: str | None = None
    trace_id: str | None = None
    losses: dict[str, Any] | None = None
    marks: list[Any] | None = None
    labels: list[Any] | None = None
    url: str | None = None
    steps: list[Step] = []
    summary: Summary | None = None

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.runs import run_lines

        return run_lines(self, width)


class Runs(Page, Printed):
    """A page of runs, newest first."""

    _nested: ClassVar[tuple[str, ...]] = ("runs",)

    runs: list[Run] = []

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, index: int) -> Run:
        return self.runs[index]

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.runs import runs_lines

        return runs_lines(self)


class Steps(Page, Printed):
    """A page of steps across runs, newest first."""

    _nested: ClassVar[tuple[str, ...]] = ("steps",)

    steps: list[Step] = []

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> Step:
        return self.steps[index]

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.runs import steps_lines

        return steps_lines(self)


class Pipeline(Answer):
    """A pipeline, with its health."""

    pipeline: str = ""
    runs: int | None = None
    completed: int | None = None
    failed: int | None = None
    running: int | None = None
    waiting: int | None = None
    abandoned: int | None = None
    last_run_at: str | None = None
    last_run: Any = None
    worst_step: Any = None


class Pipelines(list[Pipeline]):
    """The pipelines, printed one a line."""

    def __str__(self) -> str:
        from dxray.wire.printed.runs import pipelines_lines

        return plain(pipelines_lines(self))

    def _repr_html_(self) -> str:
        from dxray.wire.printed.runs import pipelines_lines

        return to_html(pipelines_lines(self))


class Event(Answer):
    """An observation of an item at a step."""

    event_no: int | None = None
    step_id: str | None = None
    step_name: str | None = None
    step_type: str | None = None
    item_id: str = ""
    name: str | None = None
    kind: str | None = None
    outcome: str | None = None
    reason: str | None = None
    evidence: Any = None
    evidence_state: str | None = None
    kept_because: str | None = None
    p: float | None = None
    score: float | None = None
    passed: bool | None = None
    ref_item: str | None = None
    ref_kind: str | None = None
    by: str | None = None
    at: str | None = None
    marks: list[Any] | None = None


class Posted(Answer):
    """What became of a run that was posted whole. `created` is False when the same run was there already."""

    run_id: str
    created: bool = True
    message: str | None = None
