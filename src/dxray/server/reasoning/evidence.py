"""Evidence of event rows: shapes and typed arrays back to what was recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dxray.server.filters import Clause
from dxray.server.reasoning.shown import Row
from dxray.server.store.base import Reader
from dxray.wire.evidence import ShapeReader

_COLUMNS = ("shape_id", "key", "class", "position")


def shapes_of(reader: Reader, rows: Iterable[Row]) -> ShapeReader:
    """The shapes that these events have."""
    wanted = sorted({row["shape_id"] for row in rows if row["shape_id"] is not None})
    if not wanted:
        return ShapeReader(())
    return ShapeReader.of_table(reader.select("shapes", _COLUMNS, [Clause("shape_id", "in", wanted)]))


def evidence_of(row: Row, shapes: ShapeReader) -> dict[str, Any] | None:
    """What was recorded with an event; None where nothing was, or nothing was kept."""
    try:
        return shapes.evidence(row["shape_id"], row["num"], row["str"], row["evidence_text"])
    except (ValueError, IndexError, RecursionError):  # a row of another server's making: shown as not there
        return None
