"""What a server answers, typed. Fields that a server does not send are None or empty; fields not known here are kept.

The names are those of the JSON. `to_dict()` gives the JSON as it came, so that nothing is lost between
versions; `str()` gives what a person wants to read, and a notebook shows runs and whys in colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self, cast

import msgspec


class Answer(msgspec.Struct, kw_only=True, dict=True, repr_omit_defaults=True):
    """Base of all answers."""

    # Fields that hold answers: their own JSON is kept with them too.
    _nested: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        """The answer in decoded JSON. Raises `msgspec.ValidationError` where a field has another type than it must."""
        # A null says no more than an absent field, and lets every field be optional.
        answer = msgspec.convert({name: value for name, value in raw.items() if value is not None}, cls)
        answer._keep(raw)
        return answer

    def _keep(self, raw: Mapping[str, Any]) -> None:
        self.__dict__["_raw"] = raw
        for name in self._nested:
            for child, child_raw in zip(getattr(self, name), raw.get(name) or (), strict=False):
                child._keep(child_raw)

    def to_dict(self) -> dict[str, Any]:
        """The JSON as the server sent it; for an answer made by hand, its fields."""
        raw = self.__dict__.get("_raw")
        return dict(raw) if raw is not None else cast("dict[str, Any]", msgspec.to_builtins(self))


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


class Run(Answer):
    """One execution of a pipeline. In lists `input`, `output`, `steps` and more are absent."""

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

    def __str__(self) -> str:
        from dxray.wire import text
        from dxray.wire.printed_run import run_lines

        return text.plain(run_lines(self))

    def _repr_html_(self) -> str:
        from dxray.wire import text
        from dxray.wire.printed_run import run_lines

        return text.to_html(run_lines(self, width=120))


class _Page(Answer):
    total: int | None = None
    limit: int | None = None
    offset: int | None = None


class Runs(_Page):
    """A page of runs, newest first."""

    _nested: ClassVar[tuple[str, ...]] = ("runs",)

    runs: list[Run] = []

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, index: int) -> Run:
        return self.runs[index]

    def __str__(self) -> str:
        from dxray.wire import text
        from dxray.wire.printed_run import runs_lines

        return text.plain(runs_lines(self))


class Steps(_Page):
    """A page of steps across runs, newest first."""

    _nested: ClassVar[tuple[str, ...]] = ("steps",)

    steps: list[Step] = []

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> Step:
        return self.steps[index]


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


class Predicate(Answer):
    """A rule as it met an item. A negative `margin` is how far the item was outside."""

    field: str | None = None
    op: str | None = None
    threshold: Any = None
    observed: Any = None
    margin: float | None = None


class Stop(Answer):
    """One step of an item's journey, and what became of the item there."""

    step_id: str | None = None
    step_name: str | None = None
    step_type: str | None = None
    attempt: int | None = None
    outcome: str | None = None
    reason: str | None = None
    evidence: Any = None
    score: float | None = None
    parts: Any = None
    evidence_state: str | None = None
    by: str | None = None
    superseded: bool | None = None


class Ancestor(Answer):
    """An item or a value that another came from."""

    item_id: str = ""
    name: str | None = None
    step_name: str | None = None
    also_from: list[Any] | None = None


class Unknown(Answer):
    """Why something cannot be said."""

    cause: str | None = None
    detail: str | None = None


class Why(Answer):
    """What became of one item in one run, and why. Fields that do not apply to the verdict are None."""

    _nested: ClassVar[tuple[str, ...]] = ("journey", "lineage")

    run_id: str
    pipeline: str | None = None
    run_status: str | None = None
    item_id: str = ""
    name: str | None = None
    verdict: str = ""
    step_id: str | None = None
    step_name: str | None = None
    reason: str | None = None
    predicate: Predicate | None = None
    rank: int | None = None
    scored: int | None = None
    cutoff: int | None = None
    gap: float | None = None
    into: Any = None
    expanded: int | None = None
    not_evaluated: list[Any] | None = None
    lost_at: Any = None
    sentence: str = ""
    journey: list[Stop] = []
    lineage: list[Ancestor] = []
    twin: Any = None
    unknown: Unknown | None = None
    hint: str | None = None
    did_you_mean: Any = None

    def __str__(self) -> str:
        from dxray.wire import text
        from dxray.wire.printed import why_lines

        return text.plain(why_lines(self))

    def _repr_html_(self) -> str:
        from dxray.wire import text
        from dxray.wire.printed import why_lines

        return text.to_html(why_lines(self, width=120))
