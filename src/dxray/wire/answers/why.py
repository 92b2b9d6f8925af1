"""The answer to why: a verdict, a sentence, the journey and the way back."""

from __future__ import annotations

from typing import Any, ClassVar

from dxray.wire.answers.base import Answer, Printed, Unknown
from dxray.wire.text import Line


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


class Why(Printed):
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
    rank_at_least: int | None = None
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

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.why import why_lines

        return why_lines(self, width)
