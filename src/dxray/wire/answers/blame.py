"""Which step is to blame for the labelled runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec

from dxray.wire.answers.base import Answer, Printed
from dxray.wire.text import Line


class BlamedStep(Answer):
    """A step, and how many of the explained labels one changed verdict there would have mended."""

    pipeline: str | None = None
    step_name: str = ""
    faults: int = 0
    earliest: int | None = None
    share: float = 0.0
    interval: list[float] = []
    classes: dict[str, int] = {}


class Fault(Answer):
    """A verdict to blame for one label. `earliest` is None where a step before it could not be judged."""

    run_id: str = ""
    number: int | None = None
    label: str | None = None
    labelled_item: str | None = None
    note: str | None = None
    item_id: str | None = None
    name: str | None = None
    step_id: str | None = None
    step_name: str | None = None
    class_: str | None = msgspec.field(default=None, name="class")
    earliest: bool | None = None
    detail: str | None = None
    never_seen: bool = False
    unknown: Any = None
    hint: str | None = None


class Undecided(Answer):
    """A label that the record does not explain."""

    run_id: str = ""
    number: int | None = None
    label: str | None = None
    labelled_item: str | None = None
    note: str | None = None
    item_id: str | None = None
    name: str | None = None
    cause: str | None = None
    detail: str | None = None
    hint: str | None = None


class Blame(Printed):
    """Which steps are to blame for what labels say was wrong; the earliest first."""

    _nested: ClassVar[tuple[str, ...]] = ("steps", "faults", "unknown")

    pipeline: str | None = None
    labelled: int = 0
    complaints: int | None = None
    explained: int | None = None
    undecided: int = 0
    not_looked_at: int | None = None
    steps: list[BlamedStep] = []
    faults: list[Fault] = []
    unknown: list[Undecided] = []
    did_you_mean: list[str] | None = None
    sentence: str = ""

    def __iter__(self) -> Iterator[BlamedStep]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.blame import blame_lines

        return blame_lines(self, width)
