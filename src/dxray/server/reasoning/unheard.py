"""Is an item one that no run of a pipeline ever had? Then an id was mistyped, or a name was given for one."""

from __future__ import annotations

from typing import Any

from dxray.server.filters import Clause
from dxray.server.reasoning.similar import nearest_items
from dxray.server.store.base import Reader

_NEWEST = 5  # runs of the pipeline among whose items the nearest are looked for
_OFFERED = 3


def ever_seen(reader: Reader, pipeline: str, item: str) -> bool:
    """Whether a run of a pipeline has events of an item, by its id."""
    return bool(_of_pipeline(reader, pipeline, Clause("item_id", "==", item)))


def unheard_of(reader: Reader, pipeline: str, item: str) -> list[dict[str, Any]] | None:
    """The items that are called so, or are most like it, where no run of the pipeline has it; None where one has."""
    if ever_seen(reader, pipeline, item):
        return None
    named = Clause("name", "==", item)
    runs = _of_pipeline(reader, pipeline, named)
    if runs:
        where = [Clause("run_id", "in", runs), named]
        ids = reader.count_by("events", ["item_id"], where).column("item_id").to_pylist()
        return [{"item_id": one, "name": item} for one in sorted(ids)[:_OFFERED]]
    here = [Clause("pipeline", "==", pipeline)]
    found: dict[str, str | None] = {}
    for run_id in reader.select("runs", ["run_id"], here, ["-started_at"], _NEWEST).column("run_id").to_pylist():
        for one in nearest_items(reader, run_id, item[:200]):
            found.setdefault(one["item_id"], one["name"])
    return [{"item_id": one, "name": name} for one, name in list(found.items())[:_OFFERED]]


def _of_pipeline(reader: Reader, pipeline: str, clause: Clause) -> list[str]:
    runs = reader.count_by("events", ["run_id"], [clause]).column("run_id").to_pylist()
    if not runs:
        return []
    where = [Clause("run_id", "in", runs), Clause("pipeline", "==", pipeline)]
    found: list[str] = reader.select("runs", ["run_id"], where).column("run_id").to_pylist()
    return found
