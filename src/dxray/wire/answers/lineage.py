"""What an item came from, and what came of it."""

from __future__ import annotations

from dxray.wire.answers.base import Printed
from dxray.wire.text import Line


class Lineage(Printed):
    """What an item came from, and what came of it."""

    sentence: str = ""

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.lineage import lineage_lines

        return lineage_lines(self, width)
