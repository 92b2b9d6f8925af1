"""Where two runs parted."""

from __future__ import annotations

from dxray.wire.answers.base import Printed
from dxray.wire.text import Line


class Diff(Printed):
    """Where two runs parted."""

    sentence: str = ""

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.diff import diff_lines

        return diff_lines(self, width)
