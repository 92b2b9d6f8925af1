"""An item across runs."""

from __future__ import annotations

from dxray.wire.answers.items import Items
from dxray.wire.text import WIDTH, Line


def items_lines(answer: Items, width: int = WIDTH) -> list[Line]:
    return [Line().add(answer.sentence)]
