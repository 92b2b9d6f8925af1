"""What an item came from, and what came of it."""

from __future__ import annotations

from dxray.wire.answers.lineage import Lineage
from dxray.wire.text import WIDTH, Line


def lineage_lines(answer: Lineage, width: int = WIDTH) -> list[Line]:
    return [Line().add(answer.sentence)]
