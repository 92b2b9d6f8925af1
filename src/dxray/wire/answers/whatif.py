"""What another threshold would have done."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from dxray.wire.answers.base import Answer, Printed
from dxray.wire.text import Line


class RuleChange(Answer):
    """A rule with another threshold; `from_` are those that were recorded."""

    step_name: str | None = None
    reason: str = ""
    field: str | None = None
    op: str | None = None
    from_: list[Any] = msgspec.field(default_factory=list, name="from")
    to: Any = None
    disable: bool = False


class ReasonCount(Answer):
    """How many items have a reason, before and after (at least, at most); None: not rejected."""

    reason: str | None = None
    before: int = 0
    after: list[int] = []


class Named(Answer):
    """An item."""

    item_id: str = ""
    name: str | None = None

    @property
    def title(self) -> str:
        """The item's name, else its id."""
        return self.name or self.item_id


class WinnerChange(Answer):
    """A run that would choose something else, or may."""

    run_id: str = ""
    from_: list[Named] = msgspec.field(default_factory=list, name="from")
    to: list[Named] = []
    may_win: list[Named] = []
    may_be_others: bool = False
    changes: str = ""
    exactness: str = ""
    again: list[str] = []


class FlippedItem(Named):
    """An item that its step now rejects, or keeps."""

    run_id: str = ""
    step_id: str = ""
    step_name: str = ""
    now: str = ""
    exactness: str = ""
    reason: str = ""
    field: str | None = None
    observed: Any = None
    then: str | None = None


class Estimate(Answer):
    """How many items flip, by a sample: about, and the 95 % interval."""

    about: int | None = None
    interval: list[int] = []
    items: int | None = None
    looked_at: int | None = None


class CurvePoint(Answer):
    """A threshold, and how many items are decided otherwise there: at least, at most."""

    threshold: float = 0.0
    flipped: list[int] = []


class Open(Answer):
    """What keeps the answer from being certain."""

    cause: str | None = None
    step_name: str | None = None
    detail: str | None = None
    hint: str | None = None
    runs: int | None = None


class Whatif(Printed):
    """What another threshold would have done. Pairs of numbers are at least and at most."""

    _nested: ClassVar[tuple[str, ...]] = (
        "changes", "by_reason_after", "winner_changes", "examples", "curve", "unknown",
    )  # fmt: skip

    pipeline: str | None = None
    runs: int | None = None
    runs_with_rule: int | None = None
    replayed: int | None = None
    not_looked_at: int | None = None
    changes: list[RuleChange] = []
    exactness: str = ""
    items: int | None = None
    flipped: list[int] = []
    flipped_estimate: Estimate | None = None
    newly_rejected: list[int] = []
    newly_kept: list[int] = []
    by_reason_after: list[ReasonCount] = []
    runs_affected: list[int] = []
    runs_with_winner: int | None = None
    winners_changed: list[int] = []
    winner_changes: list[WinnerChange] = []
    examples: list[FlippedItem] = []
    unknown: list[Open] = []
    curve: list[CurvePoint] = []
    sentence: str = ""

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.whatif import whatif_lines

        return whatif_lines(self, width)
