"""Where did the items of one run go? What went in and out of every step, and what was lost between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dxray.server.filters import Clause
from dxray.server.reasoning.conservation import contradictions, counts, is_complete
from dxray.server.reasoning.edges import edges
from dxray.server.reasoning.flow import Flow, Stage, flow_of, in_order, stages_of
from dxray.server.reasoning.hints import loss_hint
from dxray.server.reasoning.journey import DROPPED
from dxray.server.reasoning.losses import NONE, losses_of
from dxray.server.reasoning.selection import existing_run
from dxray.server.reasoning.sentences import shown
from dxray.server.reasoning.shown import Row, parsed
from dxray.server.store.base import Reader

_WINNERS = 10
_LOSING = ("rejected", "outranked", "merged")  # what a step drops; what it expands goes on as something else
_UNSAID = {"cause": "not_recorded", "detail": "this run recorded no items, and no counts of any"}


def funnel(reader: Reader, run_id: str) -> dict[str, Any]:
    """The answer: every step in dataflow order with its counts and edges, and the run as a whole.

    Raises `NotFound` for the run. Superseded attempts are listed and marked; they count for nothing.
    """
    run = existing_run(reader, run_id, ("run_id", "pipeline", "status", "request_hash"))
    where = [Clause("run_id", "==", run_id)]
    rows = reader.select("steps", where=where, order=["position", "attempt"]).to_pylist()
    losses = losses_of(reader, [run_id]).get(run_id, NONE)
    stages = stages_of(rows, losses)
    flow = flow_of(stages, losses.events_elsewhere({stage.step_id for stage in stages}))
    by_id = {row["step_id"]: row for row in rows}
    between = edges(flow, by_id)
    steps = [
        _step(by_id[stage.step_id], stage, flow, between.get(stage.step_id, [])) for stage in in_order(flow, stages)
    ]
    out: dict[str, Any] = {
        "run_id": run_id,
        "pipeline": run["pipeline"],
        "run_status": run["status"],
        **_whole(reader, where, flow),
        "steps": steps,
        "loses_most": _loses_most([step for step in steps if not step["superseded"]]),
        "losses": losses.run,
        "unknown": None,
        "hint": None,
    }
    if losses.of_events() or flow.unplaced or any(stage.lossy for stage in flow.stages):
        detail = "events of this run did not arrive; the counts are of those that did"
        out["unknown"], out["hint"] = {"cause": "dropped", "detail": detail}, loss_hint(losses.run)
    elif all(stage.silent for stage in stages):
        out["unknown"], out["hint"] = _UNSAID, _hint(run["request_hash"] is not None)
    elif out["entered"] is None:
        detail = "not every step names its items, so how many came into the run is not known"
        out["unknown"], out["hint"] = (
            {"cause": "not_recorded", "detail": detail},
            _hint(run["request_hash"] is not None),
        )
    out["hint"] = out["hint"] or _accept_hint(steps, run["request_hash"] is not None)
    out["sentence"] = _sentence(out)
    return out


def _accept_hint(steps: Sequence[Mapping[str, Any]], posted: bool) -> str | None:
    """About the first step that says what it rejects, and of nothing that it goes on."""
    for step in steps:
        goes_on = (step["out"] or 0) + step["accepted_by_count"] + step["outranked"] + step["consumed"]
        if step["superseded"] or not step["ended"] or (step["unaccounted"] or 0) <= 0 or goes_on:
            continue
        what = "give what goes on an event with the outcome accepted" if posted else "call step.accept(item_id)"
        return f"{what} at {shown(step['step_name'])}: of {step['unaccounted']:,} items it does not say that they go on"
    return None


def _hint(posted: bool) -> str:
    if posted:
        return "record the items at the step where they enter, with the outcome produced"
    return "call step.produce(item_id) where items enter, or step.set_input_count(n)"


# Steps


def _step(row: Row, stage: Stage, flow: Flow, between: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    numbers = counts(row, stage.lossy)
    reasons = parsed(row["rejection_counts"], {})
    pairs = reasons.items() if isinstance(reasons, dict) else ()
    grouping = stage.silent and stage.step_id in {one.parent for one in flow.stages}
    return {
        "step_id": stage.step_id,
        "step_name": stage.name,
        "step_type": stage.type,
        "parent_step_id": stage.parent,
        "attempt": stage.attempt,
        "superseded": stage.step_id in flow.superseded,
        "failed": stage.failed,
        "ended": stage.ended,
        **numbers,
        "out": row["output_count"],
        "reasons": [
            {"reason": reason, "n": n} for reason, n in sorted(pairs, key=lambda pair: (-pair[1], pair[0])) if n
        ],
        "edges": list(between),
        "complete": is_complete(row) and not stage.lossy,
        "contradictions": contradictions(row, stage.lossy),
        "unknown": None if grouping else _unknown(stage),
    }


def _unknown(stage: Stage) -> dict[str, str] | None:
    """Why a step's counts are not the whole of it."""
    if stage.lossy:
        where = "this run" if stage.unplaced else stage.name
        return {"cause": "dropped", "detail": f"events of {where} did not arrive"}
    if not stage.ended:
        return {"cause": "interrupted", "detail": f"{stage.name} did not come to its end"}
    if stage.silent:
        return {"cause": "not_recorded", "detail": f"{stage.name} recorded no items"}
    return None


def _loses_most(steps: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The step that drops most items, or the way to a step on which most are lost without a word."""
    best: dict[str, Any] | None = None
    for step in steps:
        missing = max(step["unaccounted"] or 0, 0)
        by = {name: step[name] for name in _LOSING}
        by["rejected"] += step["rejected_by_count"]
        here = sum(by.values()) + missing
        between = max((edge["lost_between"] or 0 for edge in step["edges"]), default=0)
        of = None if step["in"] is None else step["in"] + step["produced"]
        before = next((edge for edge in step["edges"] if (edge["lost_between"] or 0) == between), None)
        for n, total, source in ((here, of, None), (between, before["out"] if before else None, before)):
            if n > 0 and (best is None or n > best["n"]):
                best = {
                    "step_id": step["step_id"],
                    "step_name": step["step_name"],
                    "lost_after": None if source is None else source["step_name"],
                    "n": n,
                    "of": total,
                    "by": {} if source else {name: count for name, count in by.items() if count},
                    "unaccounted": 0 if source else missing,
                    "reasons": [] if source else step["reasons"][:5],
                }
    return best


# The run as a whole


def _whole(reader: Reader, where: Sequence[Clause], flow: Flow) -> dict[str, Any]:
    """Distinct items: how many came in (without those that were expanded into others), were selected, or are left."""
    held = [stage.step_id for stage in flow.stages if stage.entered or stage.produced]
    here = [*where, Clause("step_id", "in", held)]
    seen = consumed = 0
    if held:
        seen = reader.count_by("events", ["item_id"], here).num_rows
        if any(stage.consumed for stage in flow.stages):
            consumed = reader.count_by("events", ["item_id"], [*here, Clause("outcome", "==", "consumed")]).num_rows
    winners = _winners(reader, where, flow)
    chooses = any(stage.decided for stage in flow.stages)
    return {
        "entered": _entered(flow, seen - consumed),
        "expanded": consumed,
        "selected": None if winners is None else len(winners),
        "chooses": chooses,
        "left": _left(flow),
        "winners": [] if not winners else _named(reader, where, winners[:_WINNERS]),
    }


def _entered(flow: Flow, named: int) -> int | None:
    """How many items came in: those named, where all are; else the count of the one step at which they enter."""
    stages = [stage for stage in flow.stages if not (stage.silent and flow.has_inside(stage.step_id))]
    spoken = [stage for stage in stages if not stage.silent]
    if not spoken or any(stage.lossy for stage in flow.stages) or flow.missing_after(()):
        return None
    if all(_brings_only_named(flow, stage) for stage in spoken):
        return named
    first, others = spoken[0], spoken[1:]
    alone = all(first.step_id in flow.ancestors(stage.step_id) for stage in others)
    if not alone or any(stage.produced or stage.consumed for stage in others) or first.consumed:
        return None
    if first.declared_in is not None:
        return first.declared_in + first.produced
    return first.declared_out if not first.entered and (first.declared_out or 0) >= first.produced else None


def _brings_only_named(flow: Flow, stage: Stage) -> bool:
    """Whether every item that enters the run at a step is named there: its counts tell of no others."""
    came = stage.entered if stage.declared_in is None else stage.declared_in
    if came > stage.entered:
        before = [one for one in flow.stages if stage.step_id in {two.step_id for two in flow.successors(one.step_id)}]
        going = sum(one.accepted if one.declared_out is None else one.declared_out for one in before)
        if going < came:
            return False
    return stage.declared_out is None or stage.declared_out <= came + stage.produced


def _winners(reader: Reader, where: Sequence[Clause], flow: Flow) -> list[str] | None:
    """The items selected by the last steps that choose, and not dropped after; None where a choice is not named."""
    choosing = [stage for stage in flow.stages if stage.decided]
    if any(stage.lossy for stage in flow.stages):
        return None
    if not choosing:
        silent = [stage for stage in flow.stages if stage.type == "select" and not stage.entered]
        return None if silent else []
    earlier = {one for stage in choosing for one in flow.ancestors(stage.step_id)}
    last = [stage.step_id for stage in choosing if stage.step_id not in earlier]
    found = _ids(reader, [*where, Clause("step_id", "in", last), Clause("outcome", "==", "selected")])
    after = [one.step_id for one in flow.stages if flow.ancestors(one.step_id) & set(last)]
    dropped = sorted(DROPPED)
    gone = (
        set(_ids(reader, [*where, Clause("step_id", "in", after), Clause("outcome", "in", dropped)]))
        if after
        else set()
    )
    return [item for item in found if item not in gone]


def _ids(reader: Reader, where: Sequence[Clause]) -> list[str]:
    rows = reader.select("events", ["item_id"], where, ["step_id", "event_no"])
    return list(dict.fromkeys(rows.column("item_id").to_pylist()))


def _named(reader: Reader, where: Sequence[Clause], items: Sequence[str]) -> list[dict[str, Any]]:
    clauses = [*where, Clause("item_id", "in", list(items)), Clause("name", "not_null")]
    rows = reader.select("events", ["item_id", "name"], clauses).to_pylist()
    names = {row["item_id"]: row["name"] for row in rows}
    return [{"item_id": item, "name": names.get(item)} for item in items]


def _left(flow: Flow) -> int | None:
    """How many items went on from the last step; None where there are several, or it does not say."""
    ends = [one for one in flow.stages if not flow.successors(one.step_id) and one.parent is None and not one.silent]
    if len(ends) != 1 or ends[0].lossy:
        return None
    end = ends[0]
    return end.declared_out if end.declared_out is not None else end.accepted or None


# Words


def _sentence(out: Mapping[str, Any]) -> str:
    parts = [_came_in(out), _dropped_most(out["loses_most"])]
    if out["unknown"] is not None:
        detail = out["unknown"]["detail"]
        parts.append(f"{detail[:1].upper()}{detail[1:]}.")
    how = {"running": "is still running", "waiting": "waits for a person", "failed": "failed"}
    if out["run_status"] != "completed":
        said = f"The run {how.get(out['run_status'], 'was ' + out['run_status'])}"
        # Where nothing was recorded, that it failed is what there is to say.
        parts = [f"{said}.", *parts] if out["unknown"] is _UNSAID else [*parts, f"{said}; this is what it came to."]
    return " ".join(part for part in parts if part)


def _came_in(out: Mapping[str, Any]) -> str:
    entered, selected, left = out["entered"], out["selected"], out["left"]
    ends = ""
    if selected:
        names = ", ".join(shown(one["name"] or one["item_id"]) for one in out["winners"][:3])
        ends = f"{_many(selected)} selected ({names}{', …' if selected > 3 else ''})"
    elif out["chooses"] and selected == 0:
        ends = "none was selected"
    elif selected == 0 and left is not None:
        ends = f"{_many(left)} kept to the end; nothing selects"
    if entered is None:
        return f"{ends[:1].upper()}{ends[1:]}." if ends else ""
    came = f"{entered:,} item{'s' if entered != 1 else ''} came in"
    if out["expanded"]:
        were = f"{out['expanded']:,} more {'was' if out['expanded'] == 1 else 'were'}"
        came += f" ({were} expanded into others)"
    return f"{came}, and {ends}." if ends else f"{came}."


def _many(n: int) -> str:
    return f"{n:,} {'was' if n == 1 else 'were'}"


def _dropped_most(most: Mapping[str, Any] | None) -> str:
    if most is None:
        return ""
    of = "" if most["of"] is None else f" of {most['of']:,}"
    if most["lost_after"] is not None:
        between = f"{most['lost_after']} and {most['step_name']}"
        return f"Most were lost between {between}: {most['n']:,}{of}, without a word."
    whys = [f"{shown(one['reason'])} {one['n']:,}" for one in most["reasons"][:3]]
    whys += [f"{name} {n:,}" for name, n in most["by"].items() if name != "rejected"]
    missing = most["unaccounted"]
    if missing == most["n"]:
        return f"{most['step_name']} left most unaccounted: {missing:,}{of}."
    said = f"{most['step_name']} dropped most, {most['n'] - missing:,}{of}" + (f": {', '.join(whys)}" if whys else "")
    return f"{said}; unaccounted {missing:,}." if missing else f"{said}."
