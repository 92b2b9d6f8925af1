"""Where two runs parted."""

from __future__ import annotations

from dxray.wire.answers.diff import Diff
from dxray.wire.text import WIDTH, Line


def diff_lines(answer: Diff, width: int = WIDTH) -> list[Line]:
    return [Line().add(answer.sentence)]
