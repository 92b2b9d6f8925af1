"""Which step is to blame for the labelled runs."""

from __future__ import annotations

from dxray.wire.answers.blame import Blame
from dxray.wire.text import WIDTH, Line


def blame_lines(answer: Blame, width: int = WIDTH) -> list[Line]:
    return [Line().add(answer.sentence)]
