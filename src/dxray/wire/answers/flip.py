"""Which other limits would select an item."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from dxray.wire.answers.base import Answer, Printed, Unknown
from dxray.wire.text import Line


class FlipChange(Answer):
    """A rule with the nearest limit that lets the item pass; `disable` where only switching it off does."""

    step_name: str = ""
    reason: str = ""
    field: str = ""
    op: str = ""
    from_: Any = msgspec.field(default=None, name="from")
    to: Any = None
    disable: bool = False
    observed: Any = None
    cost: float = 0.0


class Flip(Printed):
    """The cheapest change of limits that selects an item, or brings it furthest."""

    _nested: ClassVar[tuple[str, ...]] = ("changes",)

    run_id: str = ""
    item_id: str = ""
    name: str | None = None
    verdict: str = ""
    changes: list[FlipChange] = []
    single: FlipChange | None = None
    cost: float | None = None
    proved: bool = True
    exactness: str = ""
    then: str | None = None
    sentence: str = ""
    unknown: Unknown | None = None
    did_you_mean: Any = None

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.flip import flip_lines

        return flip_lines(self, width)
