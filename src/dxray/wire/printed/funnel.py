"""Where the items of one run went, step by step."""

from __future__ import annotations

from dxray.wire.answers.funnel import Funnel
from dxray.wire.text import WIDTH, Line


def funnel_lines(answer: Funnel, width: int = WIDTH) -> list[Line]:
    return [Line().add(answer.sentence)]
