"""The items of a step, as a server answers them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from dxray.wire.answers.base import Answer, Page, Printed, Unknown
from dxray.wire.answers.frames import frame
from dxray.wire.text import Line

_COLUMNS = ("item_id", "name", "outcome", "reason", "score", "rank", "by", "evidence")


class StepItem(Answer):
    """What became of an item at a step, by all `events` of it there. `rank` 1 is the best of the scored."""

    item_id: str = ""
    name: str | None = None
    kind: str | None = None
    outcome: str | None = None
    reason: str | None = None
    score: float | None = None
    rank: int | None = None
    by: str | None = None
    evidence: Any = None
    evidence_state: str | None = None
    ref_item: str | None = None
    ref_kind: str | None = None
    events: int | None = None


class StepItems(Page, Printed):
    """A page of the items of a step: `total` fit, `of` are named there; `outcomes`, `reasons`, `scored` count these."""

    _nested: ClassVar[tuple[str, ...]] = ("items",)

    run_id: str = ""
    step_id: str = ""
    step_name: str | None = None
    step_type: str | None = None
    sentence: str = ""
    items: list[StepItem] = []
    of: int | None = None
    outcomes: dict[str, int] = {}
    reasons: dict[str, int] = {}
    scored: int | None = None
    evidence_keys: list[Any] = []
    distribution: Any = None
    unknown: Unknown | None = None
    hint: str | None = None

    def __iter__(self) -> Iterator[StepItem]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> StepItem:
        return self.items[index]

    def to_frame(self) -> Any:
        """The items as a pandas DataFrame, one row each. Raises `ImportError` where pandas is not installed."""
        return frame([row.to_dict() for row in self.items], _COLUMNS)

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.step_items import step_items_lines

        return step_items_lines(self, width)
