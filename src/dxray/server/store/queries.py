"""SQL files of named queries: `-- name: NAME`, then a sentence as comment, then the query."""

from __future__ import annotations

import re
from pathlib import Path

_HEAD = re.compile(r"^-- name: (\w+)$", re.MULTILINE)

SQL = Path(__file__).parent / "sql"


def read_queries(path: Path) -> dict[str, str]:
    """The queries of one file, by name."""
    pieces = _HEAD.split(path.read_text("utf-8"))
    return {name: text.strip().rstrip(";") for name, text in zip(pieces[1::2], pieces[2::2], strict=True)}
