"""Which step is to blame for the labelled runs."""

from __future__ import annotations

from dxray.wire.answers.base import Printed
from dxray.wire.text import Line


class Blame(Printed):
    """Which step is to blame for the labelled runs."""

    sentence: str = ""

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.blame import blame_lines

        return blame_lines(self, width)
