"""Where the items of one run went, step by step."""

from __future__ import annotations

from dxray.wire.answers.base import Printed
from dxray.wire.text import Line


class Funnel(Printed):
    """Where the items of one run went, step by step."""

    sentence: str = ""

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.funnel import funnel_lines

        return funnel_lines(self, width)
