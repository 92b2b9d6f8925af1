"""A run that is told in parts, as one row.

A process that resumes a run knows only what it adds itself, and says so by a version without `started_at`. The row of
such a run notes in `said` which version each value comes from: so it becomes the same in whatever order they arrive.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

Row = dict[str, Any]

# What holds on when a later version does not speak of it. The rest is the newest version's own: a run that failed and
# goes on has no end and no error.
_KEPT = (
    "started_at", "input", "output", "metadata", "environment", "code_version", "variant", "parent_run_id", "trace_id",
    "input_fingerprint", "output_fingerprint",
)  # fmt: skip


def merged(versions: Iterable[Row]) -> Row:
    """One row of these versions of a run, of which some may be rows that were made here before."""
    ordered = sorted(versions, key=lambda row: int(row["version"]))  # of equals the one that came last
    newest = ordered[-1]
    made: Row = {**newest, **dict.fromkeys((*_KEPT, "duration_ms"))}
    said: dict[str, int] = {}
    marks: set[str] = set()
    for row in ordered:
        origin = json.loads(row["said"]) if row.get("said") else None
        for name in (*_KEPT, "duration_ms") if row is newest else _KEPT:
            version = row["version"] if origin is None else origin.get(name)
            if row[name] is not None and version is not None and version >= said.get(name, version):
                said[name], made[name] = version, row[name]
        marks.update(json.loads(row["marks"] or "[]"))
    if made["started_at"] is None:  # until a version says it: when the server first heard of the run
        heard = (row["received_at"] if row["started_at"] is None else row["started_at"] for row in ordered)
        made["started_at"] = min(heard)
    elif made["ended_at"] is not None and made["duration_ms"] is None:
        made["duration_ms"] = (made["ended_at"] - made["started_at"]) / 1000
    made["marks"] = json.dumps(sorted(marks), ensure_ascii=False) if marks else None
    made["said"] = json.dumps(said)
    return made
