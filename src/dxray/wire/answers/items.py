"""An item across runs."""

from __future__ import annotations

from dxray.wire.answers.base import Printed
from dxray.wire.text import Line


class Items(Printed):
    """An item across runs."""

    sentence: str = ""

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.items import items_lines

        return items_lines(self, width)
