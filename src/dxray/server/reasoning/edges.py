"""What was lost between steps: `out` of the one = `in` of the next + `lost_between`. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from dxray.server.reasoning.flow import Stage
from dxray.server.reasoning.shown import Row


def edges(rows: Sequence[Row], stages: Sequence[Stage]) -> dict[str, list[dict[str, Any]]]:
    """By step, its edges from the steps before it. `lost_between` is null, with a cause, where it cannot be said."""
    by_id = {row["step_id"]: (row, stage) for row, stage in zip(rows, stages, strict=True)}
    taken = Counter(before for row in rows for before in row["after"] or ())
    out: dict[str, list[dict[str, Any]]] = {}
    for row, stage in by_id.values():
        before = [one for one in row["after"] or () if one in by_id]
        out[stage.step_id] = [_edge(by_id[one], (row, stage), len(before), taken[one]) for one in before]
    return out


def _edge(earlier: tuple[Row, Stage], later: tuple[Row, Stage], sources: int, takers: int) -> dict[str, Any]:
    (row_before, before), (row, stage) = earlier, later
    going, coming = row_before["output_count"], row["input_count"]
    cause = None
    if before.silent or stage.silent or going is None or coming is None:
        cause = "one of the two steps recorded no items"
    elif before.lossy or stage.lossy:
        lossy = before if before.lossy else stage
        where = "this run" if lossy.unplaced else lossy.name
        cause = f"events of {where} did not arrive"
    elif takers > 1:
        cause = f"{takers} steps take items of {before.name}"
    elif sources > 1:
        cause = f"{stage.name} takes items of {sources} steps"
    elif not before.complete:
        cause = f"{before.name} did not record every item"
    elif not (stage.records_all or (stage.complete and coming == going)):
        cause = f"{stage.name} does not name every item that it looks at, or did not say how many came"
    elif coming > going:
        cause = f"{stage.name} saw {coming - going} items that {before.name} did not pass on"
    return {
        "step_id": before.step_id,
        "step_name": before.name,
        "out": going,
        "in": coming,
        "lost_between": going - coming if cause is None else None,
        "cause": cause,
    }
