"""Why one item stands before another."""

from __future__ import annotations

from dxray.wire.answers.base import Printed
from dxray.wire.text import Line


class WhyRank(Printed):
    """Why one item stands before another."""

    sentence: str = ""

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.rank import rank_lines

        return rank_lines(self, width)
