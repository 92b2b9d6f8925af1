"""An item across runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from dxray.wire.answers.base import Answer, Page, Printed, Unknown
from dxray.wire.answers.frames import frame
from dxray.wire.text import Line

_COLUMNS = (
    "run_id", "started_at", "pipeline", "run_status", "item_id", "name", "outcome", "step_name", "reason", "score",
    "selected",
)  # fmt: skip


class ItemMeant(Answer):
    """An item that was meant, with the names that runs gave it."""

    item_id: str = ""
    name: str | None = None
    names: list[Any] = []
    runs: int = 0
    events: int = 0


class ItemInRun(Answer):
    """The last outcome of an item in a run. `selected` is None where it is not known."""

    run_id: str = ""
    pipeline: str | None = None
    run_status: str | None = None
    started_at: str | None = None
    item_id: str = ""
    name: str | None = None
    outcome: str | None = None
    step_id: str | None = None
    step_name: str | None = None
    reason: str | None = None
    score: float | None = None
    selected: bool | None = None
    unknown: Unknown | None = None


class Items(Page, Printed):
    """An item across runs, newest first."""

    _nested: ClassVar[tuple[str, ...]] = ("items", "runs")

    id: str | None = None
    name: str | None = None
    match: str | None = None
    items: list[ItemMeant] = []
    runs: list[ItemInRun] = []
    totals: dict[str, Any] | None = None
    sentence: str = ""
    unknown: Unknown | None = None
    did_you_mean: Any = None

    def __iter__(self) -> Iterator[ItemInRun]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, index: int) -> ItemInRun:
        return self.runs[index]

    def to_frame(self) -> Any:
        """The runs as a pandas DataFrame, one row each. Raises `ImportError` where pandas is not installed."""
        return frame([row.to_dict() for row in self.runs], _COLUMNS)

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.items import items_lines

        return items_lines(self, width)
