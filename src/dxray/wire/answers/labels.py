"""What was said of a run afterwards."""

from __future__ import annotations

from dxray.wire.answers.base import Printed
from dxray.wire.text import Line


class Labels(Printed):
    """What was said of a run afterwards."""

    sentence: str = ""

    def _lines(self, width: int) -> list[Line]:
        from dxray.wire.printed.labels import labels_lines

        return labels_lines(self, width)
