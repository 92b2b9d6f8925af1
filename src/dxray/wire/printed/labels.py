"""What was said of a run afterwards."""

from __future__ import annotations

from dxray.wire.answers.labels import Labels
from dxray.wire.text import WIDTH, Line


def labels_lines(answer: Labels, width: int = WIDTH) -> list[Line]:
    return [Line().add(answer.sentence)]
