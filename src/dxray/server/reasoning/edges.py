"""What was lost between steps: `out` of the one = `in` of the next + `lost_between`. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from dxray.server.reasoning.flow import Flow, Stage
from dxray.server.reasoning.shown import Row


def edges(flow: Flow, rows: Mapping[str, Row]) -> dict[str, list[dict[str, Any]]]:
    """By step, its edges from the steps before it; `rows` are those of `steps`, by step id.

    `lost_between` is null, with a cause, where it cannot be said. Superseded attempts have none, and steps that only
    group others are looked through.
    """
    before: dict[str, list[str]] = {stage.step_id: [] for stage in flow.stages}
    for stage in flow.stages:
        for taker in flow.successors(stage.step_id):
            before[taker.step_id].append(stage.step_id)
    grouping = {one.step_id for one in flow.stages if one.silent and flow.has_inside(one.step_id)}
    counted = [stage for stage in flow.stages if stage.step_id not in grouping]
    through = {stage.step_id: _through(before[stage.step_id], before, grouping) for stage in counted}
    found = _between([{**rows[stage.step_id], "after": through[stage.step_id]} for stage in counted], counted)
    for stage in counted:
        for edge in found[stage.step_id]:
            around = next((one for one in (edge["step_id"], stage.step_id) if flow.has_inside(one)), None)
            if around is not None:  # the steps inside speak of the same items
                name = flow.stage(around).name
                edge["lost_between"], edge["cause"] = None, f"steps inside {name} also say what becomes of its items"
    return found


def _through(sources: Sequence[str], before: Mapping[str, Sequence[str]], grouping: set[str]) -> list[str]:
    found: dict[str, None] = {}
    waiting, seen = list(sources), set()
    while waiting:
        one = waiting.pop(0)
        if one in seen:
            continue
        seen.add(one)
        if one in grouping:
            waiting += before[one]
        else:
            found[one] = None
    return list(found)


def _between(rows: Sequence[Row], stages: Sequence[Stage]) -> dict[str, list[dict[str, Any]]]:
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
    elif not (stage.counts_all or (stage.complete and coming == going)):
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
