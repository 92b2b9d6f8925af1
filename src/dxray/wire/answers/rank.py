"""Why one item stands before another."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from dxray.wire.answers.base import Answer, Printed, Unknown
from dxray.wire.text import Line


class RankSide(Answer):
    """One of the two items: what became of it, and its place at the step that ranked both."""

    item_id: str = ""
    name: str | None = None
    verdict: str | None = None
    step_name: str | None = None
    sentence: str | None = None
    rank: int | None = None
    rank_at_least: int | None = None
    score: float | None = None

    @property
    def title(self) -> str:
        """The item's name, else its id."""
        return self.name or self.item_id


class Component(Answer):
    """A part of both scores; `delta` is the item's less the other's. All deltas sum to the gap."""

    name: str = ""
    item: float | None = None
    over: float | None = None
    delta: float = 0.0
    recorded: bool = True
    decisive: bool = False


class RankChange(Answer):
    """One part of the lower score that, raised past `to`, swaps the two."""

    item_id: str = ""
    name: str | None = None
    component: str = ""
    from_: float | None = msgspec.field(default=None, name="from")
    to: float = 0.0
    by: float = 0.0
    share_of_spread: float | None = None
    seen: bool = False


class Ranking(Answer):
    """What one step says of the two, with every score that it gave them, in order."""

    step_id: str | None = None
    step_name: str | None = None
    verdict: str = ""
    decided_by: str | None = None
    deciding: bool = False
    item_scores: list[float] = []
    over_scores: list[float] = []
    item_ahead: int = 0
    over_ahead: int = 0
    item_outcome: str | None = None
    over_outcome: str | None = None


class WhyRank(Printed):
    """Why one item stands before another, or behind it. `verdict`: before, behind, level, not_ranked or unknown."""

    _nested: ClassVar[tuple[str, ...]] = ("components", "rankings")

    run_id: str = ""
    pipeline: str | None = None
    run_status: str | None = None
    verdict: str = ""
    decided_by: str | None = None
    step_id: str | None = None
    step_name: str | None = None
    item: RankSide = msgspec.field(default_factory=RankSide)
    over: RankSide = msgspec.field(default_factory=RankSide)
    scored: int | None = None
    gap: float | None = None
    components: list[Component] = []
    parts_from: Any = None
    change: RankChange | None = None
    rankings: list[Ranking] = []
    comparisons: list[Any] = []
    sentence: str = ""
    unknown: Unknown | None = None
    hint: str | None = None
    did_you_mean: Any = None

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.rank import rank_lines

        return rank_lines(self, width)
