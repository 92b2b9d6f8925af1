"""Why one item stands before another."""

from __future__ import annotations

from dxray.wire.answers.rank import WhyRank
from dxray.wire.text import WIDTH, Line


def rank_lines(answer: WhyRank, width: int = WIDTH) -> list[Line]:
    return [Line().add(answer.sentence)]
