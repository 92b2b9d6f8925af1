"""What was said of a run afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from dxray.wire.answers.base import Answer, Printed
from dxray.wire.text import Line


class Label(Answer):
    """What a person or a test said of a run, or of an item in it."""

    number: int = 0
    label: str = ""
    item_id: str | None = None
    name: str | None = None
    note: str | None = None
    at: str | None = None
    replaced_by: int | None = None
    did_you_mean: Any = None


class Labels(Printed):
    """The labels of a run that stand, and those that a later one replaced.

    `number`, where one was just said: which of them it is.
    """

    _nested: ClassVar[tuple[str, ...]] = ("labels", "replaced")

    run_id: str = ""
    number: int | None = None
    labels: list[Label] = []
    replaced: list[Label] = []
    warnings: list[str] = []
    sentence: str = ""

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.labels import labels_lines

        return labels_lines(self, width)
