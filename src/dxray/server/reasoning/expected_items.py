"""Why an item that was expected is not in the outcome. What counts as a fault: see `faults`."""

from __future__ import annotations

from collections.abc import Sequence

from dxray.server.reasoning.faults import Fault, Judgement, Recorded, of_fate, undecided
from dxray.server.reasoning.flow import Flow, Stage
from dxray.server.reasoning.journey import Fate, Stop, Unknown
from dxray.server.reasoning.orders import by_place, is_next, made_by, taken
from dxray.server.reasoning.sentences import shown
from dxray.server.reasoning.ways_in import never_there
from dxray.server.reasoning.wrong_items import Unjudged, in_the_way

_FOLLOWED = 5  # items that the expected one became, one after another
_ASKED = 5  # items in its place that are asked


def expected(run: Recorded, item: str, follow: int = _FOLLOWED) -> Judgement:
    """Why an item that was expected is not in the outcome."""
    fate, stops = run.fate(item)
    name = run.name(item)
    stage = fate.stop.stage if fate.stop is not None else fate.at
    if fate.verdict == "never_retrieved":
        return never_there(run, item)
    if fate.verdict in ("rejected", "outranked") and stage is not None:
        beside = _dropped_beside(run.flow, stops)
        if len(beside) > 1:
            return undecided(
                "ambiguous",
                f"{' and '.join(beside)} dropped it side by side, and whether one had to keep it "
                "or all is not recorded",
                "give the step that joins them `after` and its items",
            )
        reason = fate.stop.last.reason if fate.stop is not None else None
        if fate.verdict == "rejected" and not by_place(run, stage, item, reason):
            why = f" ({shown(reason)})" if reason else ""
            return Judgement((Fault(stage, "too_strict", item, f"rejected {name}{why}"),))
        return _outranked(run, item, stage)
    if fate.verdict in ("selected", "survived"):
        return undecided("nothing_to_mend", f"{name} is in the outcome", None)
    if fate.verdict == "lost" and fate.stop is not None and fate.at is not None:
        return undecided(
            "not_recorded",
            f"{name} left {fate.stop.stage.name} and never came to {fate.at.name}; what "
            "dropped it in between is not recorded",
            f"record what {fate.at.name} is given, or the step in between",
        )
    return _followed(run, item, fate, follow) or of_fate(run, fate, name)


def _outranked(run: Recorded, item: str, stage: Stage) -> Judgement:
    """It was ranked too low; or, where it was next in line, what stood in its place should not have been there."""
    by, unsure = made_by(run, stage)
    name = run.name(item)
    own = [Fault(one, "mis_ranked", item, f"ranked {name} too low") for one in dict.fromkeys((by, stage))]
    own = own if unsure is not None else own[:1]
    follows = is_next(run, stage, item)
    if follows is False:
        return Judgement(tuple(own), unsure)
    others = [one for one in taken(run, stage) if one != item]
    if not others or len(others) > _ASKED:
        what = f"{len(others)} items" if others else "what is not recorded"
        detail = f"{stage.name} took {what} instead of {name}, and whether one of them was wrong"
        return Judgement(tuple(own), Unknown("ambiguous", f"{detail} is not said", "label the one that is wrong"))
    found: list[Fault] = []
    open_: list[Unjudged] = []
    for one in others:
        faults, unjudged = in_the_way(run, one, stage)
        found += faults
        open_ += unjudged
    if not found:
        first = min(open_, key=lambda one: one[0], default=None)
        return Judgement(tuple(own), first[1] if first is not None else unsure)
    order = {stage.step_id: place for place, stage in enumerate(run.flow.stages)}
    found.sort(key=lambda fault: order[fault.stage.step_id])
    earlier = sorted((one for one in open_ if one[0] <= order[found[0].stage.step_id]), key=lambda one: one[0])
    unknown = earlier[0][1] if earlier else None
    if follows is None:
        detail = f"whether {name} was next in line at {stage.name} is not recorded"
        unknown = Unknown("not_recorded", detail, f"call step.score(item_id, score) for every item in {stage.name}")
        found += own
    return Judgement(tuple(found), unknown)


def _followed(run: Recorded, item: str, fate: Fate, follow: int) -> Judgement | None:
    """What holds of the item that this one became, where it became one."""
    into: Sequence[str] = ()
    if fate.verdict == "merged" and fate.stop is not None and fate.stop.last.ref_item is not None:
        into = [fate.stop.last.ref_item]
    elif fate.verdict == "consumed":
        into = run.children(item)
    if len(into) == 1 and follow > 0:
        return expected(run, into[0], follow - 1)
    if fate.verdict == "consumed" and len(into) > 1:
        return undecided(
            "ambiguous", f"{len(into)} items came from {run.name(item)}", "label the one that was expected"
        )
    return None


def _dropped_beside(flow: Flow, stops: Sequence[Stop]) -> list[str]:
    """The steps that dropped an item, and of which none comes before another."""
    held = {stop.stage.step_id for stop in stops}
    earlier = {one for stop in stops for one in flow.ancestors(stop.stage.step_id) & held}
    last = [stop for stop in stops if stop.stage.step_id not in earlier]
    return [stop.stage.name for stop in last if stop.outcome in ("rejected", "outranked")]
