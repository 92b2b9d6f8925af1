"""Where the items of one run went, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec

from dxray.wire.answers.base import Answer, Printed, Unknown
from dxray.wire.answers.frames import frame
from dxray.wire.answers.runs import Edge
from dxray.wire.text import Line

_COLUMNS = (
    "step_id", "step_name", "step_type", "attempt", "superseded", "in", "produced", "accepted", "rejected", "selected",
    "outranked", "merged", "consumed", "accepted_by_count", "rejected_by_count", "unaccounted", "out",
)  # fmt: skip


class FunnelStep(Answer):
    """A step with its distinct items: what came in, was produced, and became of both."""

    _nested: ClassVar[tuple[str, ...]] = ("edges",)

    step_id: str = ""
    step_name: str = ""
    step_type: str | None = None
    parent_step_id: str | None = None
    attempt: int = 1
    superseded: bool = False
    failed: bool = False
    ended: bool = True
    in_: int | None = msgspec.field(default=None, name="in")
    produced: int = 0
    accepted: int = 0
    rejected: int = 0
    selected: int = 0
    outranked: int = 0
    merged: int = 0
    consumed: int = 0
    unaccounted: int | None = None
    accepted_by_count: int = 0
    rejected_by_count: int = 0
    out: int | None = None
    reasons: list[Any] = []
    edges: list[Edge] = []
    complete: bool | None = None
    contradictions: list[str] = []
    unknown: Unknown | None = None


class Funnel(Printed):
    """Where the items of one run went, step by step in dataflow order."""

    _nested: ClassVar[tuple[str, ...]] = ("steps",)

    run_id: str = ""
    pipeline: str | None = None
    run_status: str | None = None
    entered: int | None = None
    expanded: int = 0
    selected: int | None = None
    chooses: bool | None = None
    left: int | None = None
    winners: list[Any] = []
    steps: list[FunnelStep] = []
    loses_most: Any = None
    losses: dict[str, Any] | None = None
    sentence: str = ""
    unknown: Unknown | None = None
    hint: str | None = None

    def __iter__(self) -> Iterator[FunnelStep]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def to_frame(self) -> Any:
        """The steps as a pandas DataFrame, one row each. Raises `ImportError` where pandas is not installed."""
        return frame([step.to_dict() for step in self.steps], _COLUMNS)

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.funnel import funnel_lines

        return funnel_lines(self, width)

    def _repr_html_(self) -> str:
        from dxray.wire.printed.svg import Bar, funnel_svg

        bars = [
            Bar(
                name=step.step_name or step.step_id,
                depth=0 if step.parent_step_id is None else 1,
                came=step.in_,
                kept=step.out,
                dropped=step.rejected + step.rejected_by_count + step.outranked + step.merged,
                missing=max(step.unaccounted or 0, 0),
                lost=sum(max(edge.lost_between or 0, 0) for edge in step.edges),
                dim=step.superseded,
            )
            for step in self.steps
        ]
        return funnel_svg(bars) + super()._repr_html_()
