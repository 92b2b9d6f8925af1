"""What would have to be another limit, so that one item is selected? See `reasoning.cheapest`."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dxray.server.filters import Clause
from dxray.server.reasoning.cheapest import (
    KEPT,
    MAY_BE_SELECTED,
    SELECTED,
    Cheapest,
    Option,
    cheapest,
    options,
    reached,
    spread,
)
from dxray.server.reasoning.flow import STAGE_COLUMNS, flow_of, last_superseded, stages_of
from dxray.server.reasoning.histories import OF_RUN, histories
from dxray.server.reasoning.journey import Fate, fate_of, seen_of, stops_of
from dxray.server.reasoning.losses import NONE, losses_of
from dxray.server.reasoning.outcomes import then
from dxray.server.reasoning.peers import RunPeers
from dxray.server.reasoning.replay import History, replay
from dxray.server.reasoning.selection import existing_run
from dxray.server.reasoning.sentences import shown
from dxray.server.reasoning.shown import Row
from dxray.server.reasoning.similar import nearest_items
from dxray.server.store.base import Reader, Value

_COMPARED = 200  # runs of the pipeline, the newest, whose values give the spread


def flip(reader: Reader, run_id: str, item_id: str) -> dict[str, Any]:
    """The answer, fields as in the contract. Raises `NotFound` for a run that does not exist."""
    row = existing_run(reader, run_id, OF_RUN)
    run = next(iter(histories(reader, [row])))
    peers = RunPeers(reader, run_id)
    fate, name = _fate(reader, row, item_id, peers)
    out: dict[str, Any] = {
        "run_id": run_id,
        "item_id": item_id,
        "name": name,
        "verdict": fate.verdict,
        "changes": [],
        "single": None,
        "exactness": "certain",
        "cost": None,
        "proved": True,
        "then": None,
        "unknown": None,
        "did_you_mean": None if peers.has(item_id) else nearest_items(reader, run_id, item_id),
    }
    title = shown(name or item_id)
    if fate.verdict != "rejected" or item_id not in run.items:
        return {**out, **_not_by_a_rule(fate, title)}
    item = run.items.index(item_id)
    _share(reader, row["pipeline"], run)
    found = options(run, item, _spreads(reader, row["pipeline"], run, item))
    if not found:
        at = fate.stop.stage.name if fate.stop is not None else "a step"
        why = f" ({shown(fate.stop.last.reason)})" if fate.stop is not None and fate.stop.last.reason else ""
        return {**out, **_unknown(title, "not_recorded", f"{at} rejected it{why} without a rule to ask again")}
    before = reached(run, replay(run, ()), item)
    return {**out, **_changed(run, item, title, cheapest(run, item, found), before)}


def _fate(reader: Reader, row: Row, item: str, peers: RunPeers) -> tuple[Fate, str | None]:
    """What became of the item, as `why` says it, and its name."""
    run_id = row["run_id"]
    losses = losses_of(reader, [run_id]).get(run_id, NONE)
    here = [Clause("run_id", "==", run_id)]
    stages = stages_of(reader.select("steps", STAGE_COLUMNS, here, ["position", "attempt"]).to_pylist(), losses)
    flow = flow_of(stages, losses.events_elsewhere({stage.step_id for stage in stages}))
    events = [seen_of(one) for one in peers.events_of(item)]
    gone = last_superseded(flow, stages, {event.step_id for event in events})
    fate = fate_of(row["status"], flow, stops_of(flow, events, peers), peers, item, gone)
    return fate, peers.origin(item, stages)[0]


def _not_by_a_rule(fate: Fate, title: str) -> dict[str, Any]:
    """The item is where it should be, or something else than a rule stands in its way."""
    at = fate.stop.stage.name if fate.stop is not None else ""
    said = {
        "selected": f"{title} is selected already: nothing has to change.",
        "survived": f"{title} is kept to the end already: nothing has to change.",
        "outranked": f"{title} was not stopped by a rule: it was outranked at {at}, where its score decides.",
        "merged": f"{title} was merged into another item at {at}; no rule stopped it.",
        "consumed": f"{title} became other items at {at}; no rule stopped it.",
        "never_retrieved": f"{title} never came to a step of this run, so no other limit of a rule brings it in.",
        "interrupted": f"The run ended, or was left, before it was decided about {title}: no rule stopped it.",
    }.get(fate.verdict)
    if said is not None:
        return {"sentence": said}
    if fate.verdict == "lost" and fate.at is not None:
        return _unknown(title, "not_recorded", f"it left {at} and never came to {fate.at.name}, and no event says why")
    cause, detail = "not_recorded", "what became of it is not recorded"
    if fate.unknown is not None:
        cause, detail = fate.unknown.cause, fate.unknown.detail
    return _unknown(title, cause, detail)


def _unknown(title: str, cause: str, detail: str) -> dict[str, Any]:
    sentence = f"What would keep {title} is not known: {detail}."
    return {"sentence": sentence, "exactness": "bounded", "unknown": {"cause": cause, "detail": detail}}


def _share(reader: Reader, pipeline: str, run: History) -> None:
    """Steps that reject without a rule in other runs may do so here."""
    table = _runs(reader, pipeline)
    where = [Clause("outcome", "==", "rejected"), Clause("rule_id", "is_null")]
    plain = set(reader.count_by("events", ["step_name"], where, beside=table)["step_name"].to_pylist())
    for at in run.at:
        at.plain = at.plain or (at.stage.name in plain and not run.by_hand)


def _runs(reader: Reader, pipeline: str) -> pa.Table:
    return reader.select("runs", ["run_id"], [Clause("pipeline", "==", pipeline)], ["-started_at"], _COMPARED)


def _spreads(reader: Reader, pipeline: str, run: History, item: int) -> dict[tuple[str, str], float]:
    """Of each field that a rule looks at, how it varies at the step in the pipeline."""
    table, found = _runs(reader, pipeline), {}
    for option in options(run, item, {}):
        key = (option.step_name, option.limit.field)
        value = Value(f"evidence.{option.limit.field}", "number")
        if key not in found:
            rows = reader.select("events", [value], [Clause("step_name", "==", key[0])], beside=table)
            found[key] = spread(pc.drop_null(rows[value.name]).to_numpy())
    return found


def _changed(run: History, item: int, title: str, found: Cheapest, before: int) -> dict[str, Any]:
    """What the cheapest set does."""
    if not found.options or found.reaches <= before:
        rules = sorted({option.limit.reason for option in options(run, item, {})})
        return _unknown(title, "not_recorded", f"without {' and '.join(map(shown, rules))} it may come no further")
    replayed = replay(run, [option.change for option in found.options])
    exactness = "certain" if found.reaches in (SELECTED, KEPT) else "bounded"
    if exactness == "bounded" and replayed.again:
        exactness = "replay_needed"
    first = min(n for n, at in enumerate(run.at) if at.stage.step_id in {one.step_id for one in found.options})
    way = then(run, first, item, replayed)
    return {
        "changes": [_row(option) for option in found.options],
        "single": None if found.single is None else _row(found.single),
        "cost": sum(option.cost for option in found.options),
        "proved": found.proved,
        "exactness": exactness,
        "then": way,
        "sentence": _sentence(title, found, way, exactness, any(at.stage.decided for at in run.at)),
    }


def _row(option: Option) -> dict[str, Any]:
    return {
        "step_name": option.step_name,
        "reason": option.limit.reason,
        "field": option.limit.field,
        "op": option.limit.op,
        "from": option.limit.threshold,
        "to": option.to,
        "disable": option.disable,
        "observed": option.observed,
        "cost": option.cost,
    }


def _sentence(title: str, found: Cheapest, way: str, exactness: str, chooses: bool) -> str:
    said = " and ".join(
        f"without the rule {shown(one.limit.reason)}"
        if one.disable
        else f"with {shown(one.limit.reason)} at {shown(one.to)} instead of {shown(one.limit.threshold)}"
        for one in found.options
    )
    said = said[:1].upper() + said[1:]
    on_its_way = way.removesuffix(", then unknown").removesuffix(", and goes no further")
    if found.reaches == SELECTED:
        tail = "would be selected"
    elif found.reaches == MAY_BE_SELECTED:
        until = " until the steps in between have run again" if exactness == "replay_needed" else ""
        tail = f"{on_its_way}, and whether it is selected then is not known{until}"
    elif found.reaches == KEPT:
        tail = f"{on_its_way}, and is not selected there" if chooses else "would be kept"
    else:
        tail = f"{on_its_way}, and what becomes of it then is not known"
    return f"{said}, {title} {tail}."
