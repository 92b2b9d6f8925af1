"""What became of one item in one run: the verdict, by the latest word on it in dataflow order.

The picky step is Chapman & Jagadish's picky manipulation (Why not?, SIGMOD 2009): the last whose input
holds the item and whose output does not. Pure functions: what other items did is asked of `Peers`, and
only where the verdict depends on it. Three-valued: where the record cannot carry a verdict it is
`unknown`, with the cause and the call that would have told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dxray.server.reasoning.flow import Flow, Stage
from dxray.server.reasoning.identity import known_before, shorter_list, strangers, two_things
from dxray.server.reasoning.shown import Row

KEPT = frozenset(("produced", "accepted", "selected"))
DROPPED = frozenset(("rejected", "outranked", "merged", "consumed"))
_SELECT_NOTHING = frozenset(("generate", "retrieve", "transform", "filter", "merge", "tool"))
_BRING_IN = frozenset(("generate", "retrieve"))
_BRING_NOTHING_IN = frozenset(("filter", "rank", "select", "route", "approve"))


@dataclass(frozen=True, slots=True)
class Seen:
    """One event of the item."""

    step_id: str
    event_no: int
    outcome: str | None = None
    reason: str | None = None
    score: float | None = None
    name: str | None = None
    ref_item: str | None = None


def seen_of(row: Row) -> Seen:
    """A row of the source `events` as reasoning sees it."""
    into = row["ref_item"] if row["ref_kind"] == "merged_into" else None
    return Seen(row["step_id"], row["event_no"], row["outcome"], row["reason"], row["score"], row["name"], into)


@dataclass(frozen=True, slots=True)
class Stop:
    """What became of the item at one stage. `outcome` None: it was seen, and nothing says more."""

    stage: Stage
    outcome: str | None
    score: float | None
    last: Seen  # the event that gave the outcome, else the last one
    events: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why nothing can be said, and the call that would have told."""

    cause: str  # not_recorded, dropped, ambiguous
    detail: str
    hint: str | None  # None where it follows from how events were lost, see `hints`
    by_hand: str | None = None  # the hint where a run was posted, and no call of the SDK would have told


@dataclass(frozen=True, slots=True)
class Fate:
    """The verdict. `stop` is where it fell (None for an item never seen), `at` the stage to look at."""

    verdict: str
    stop: Stop | None = None
    at: Stage | None = None
    unknown: Unknown | None = None


class Peers(Protocol):
    """What the run's other items did."""

    def scores(self, step_id: str) -> Mapping[str, float]:
        """The last score of each item scored at a step."""

    def ids(self, step_id: str) -> Collection[str]:
        """The items with events at a step."""

    def produced(self, step_id: str) -> Collection[str]:
        """The items that a step produced."""

    def dropped(self, step_id: str) -> Collection[str]:
        """The items that a step rejected or outranked."""


def stops_of(flow: Flow, events: Sequence[Seen], peers: Peers) -> list[Stop]:
    """The item's stops in dataflow order, superseded attempts left out."""
    by_step: dict[str, list[Seen]] = {}
    for event in events:
        by_step.setdefault(event.step_id, []).append(event)
    return [
        _stop(stage, sorted(by_step[stage.step_id], key=lambda event: event.event_no), peers)
        for stage in flow.stages
        if stage.step_id in by_step
    ]


def _stop(stage: Stage, events: Sequence[Seen], peers: Peers) -> Stop:
    said = [event for event in events if event.outcome is not None]
    scored = [event.score for event in events if event.score is not None]
    outcome, score = (said[-1].outcome if said else None), (scored[-1] if scored else None)
    # What follows from all events of a step does not follow from some.
    open_ = score is not None and outcome in (None, "produced") and not stage.lossy
    if open_ and stage.decided:
        outcome = "outranked"  # scored where a choice was made, and not named by it
    elif open_ and score is not None and stage.cutoff is not None:
        outcome = _by_cutoff(stage, score, outcome, peers)
    return Stop(stage, outcome, score, (said or list(events))[-1], tuple(events))


def _by_cutoff(stage: Stage, score: float, outcome: str | None, peers: Peers) -> str | None:
    """The best `cutoff` of the scored go on, the others are outranked; a tie across the limit decides nothing."""
    assert stage.cutoff is not None
    scores = peers.scores(stage.step_id).values()
    above = sum(other > score for other in scores)
    if above >= stage.cutoff:
        return "outranked"
    if stage.declared_in is not None and stage.declared_in > stage.entered:
        return None  # those of which no score is here may be above it
    level = sum(other == score for other in scores)
    return "accepted" if above + level <= stage.cutoff else None


def fate_of(
    status: str, flow: Flow, stops: Sequence[Stop], peers: Peers, item: str, seen_before: Stage | None = None
) -> Fate:
    """The verdict on an item with these stops, in a run of this status.

    `seen_before`: the last superseded attempt that has events of the item.
    """
    if not stops:
        return _never_seen(status, flow, peers, seen_before)
    mixed = two_things(flow, stops, peers, item)
    if mixed is not None:
        return Fate("unknown", stops[-1], stops[-1].stage, _ambiguous(mixed))
    held = {stop.stage.step_id for stop in stops}
    earlier = {one for stop in stops for one in flow.ancestors(stop.stage.step_id) & held}
    latest = [stop for stop in stops if stop.stage.step_id not in earlier]
    fate = _combined([_after(status, flow, stop, stops, peers) for stop in latest], flow)
    fate = _unless_another_id(flow, fate, stops, peers, item)
    if fate.verdict in ("unknown", "interrupted"):
        chosen = [stop for stop in stops if stop.outcome == "selected"]
        if chosen and all(stop.outcome in KEPT for stop in stops[stops.index(chosen[-1]) :]):
            fate = _unless_approval_unsaid(flow, Fate("selected", chosen[-1], chosen[-1].stage), held)
    settled = frozenset.intersection(*(flow.ancestors(stop.stage.step_id) for stop in latest))
    if fate.verdict != "selected":
        fate = _unless_elsewhere(flow, fate, stops, settled, peers)
    return _unless_lost_events(flow, fate, latest, settled)


def _unless_another_id(flow: Flow, fate: Fate, stops: Sequence[Stop], peers: Peers, item: str) -> Fate:
    """What is missing from a list that is numbered anew, or came from nowhere, may go by another id."""
    if fate.stop is None or fate.at is None:
        return fate
    here = fate.stop.stage
    if fate.verdict in ("lost", "interrupted") and fate.at is not here:
        shorter = shorter_list(flow, fate.at, peers, item)
        return fate if shorter is None else Fate("unknown", fate.stop, fate.at, _ambiguous(shorter))
    if fate.verdict == "survived" and item not in known_before(flow, stops[0].stage, peers):
        chose = [one for one in flow.stages if one.decided and one.step_id in flow.ancestors(stops[0].stage.step_id)]
        if chose:
            return Fate("unknown", fate.stop, chose[-1], _not_said(chose[-1]))
    return fate


def _ambiguous(detail: str) -> Unknown:
    hint = "give items ids that stay their own through the run, such as 'kw:stand' and 'sku:17', not places in a list"
    return Unknown("ambiguous", detail, hint)


def _after(status: str, flow: Flow, stop: Stop, stops: Sequence[Stop], peers: Peers) -> Fate:
    """What follows from one of the item's latest stops."""
    stage = stop.stage
    if stop.outcome in DROPPED:
        return Fate(str(stop.outcome), stop, stage)
    if stop.outcome is None:
        return _undecided(status, stop)
    inside = [one for one in stops if one.stage.parent == stage.step_id and one.outcome in DROPPED]
    if inside and stop.outcome == "produced":  # it went in there, and did not come out
        return Fate(str(inside[-1].outcome), inside[-1], inside[-1].stage)
    if inside:
        return Fate("unknown", stop, stage, _either_first(inside[-1].stage, stage))
    return _going_on(status, flow, stop, stops, peers)


def _either_first(inner: Stage, outer: Stage) -> Unknown:
    return Unknown(
        "not_recorded",
        f"{inner.name} dropped the item and {outer.name}, around it, kept it; which came last is not recorded",
        f"say what becomes of an item in one of the two, or in a step after {outer.name}",
    )


def _undecided(status: str, stop: Stop) -> Fate:
    stage = stop.stage
    if status != "completed" and (not stage.ended or stage.failed):
        return Fate("interrupted", stop, stage)
    what = "scored it" if stop.score is not None else "looked at it"
    return Fate(
        "unknown",
        stop,
        stage,
        Unknown(
            "not_recorded",
            f"{stage.name} {what}, and no event says what became of it there",
            f"call step.accept(item_id) or step.reject(item_id, reason) in {stage.name}",
            f"record the item's outcome at {stage.name}: accepted, rejected or another",
        ),
    )


def _going_on(status: str, flow: Flow, stop: Stop, stops: Sequence[Stop], peers: Peers) -> Fate:
    """The item left `stop` and no later step has an event of it."""
    takers = _takers(flow, stop.stage)
    was_chosen = any(one.outcome == "selected" for one in stops)
    if not takers:
        if was_chosen:
            chosen = [one for one in stops if one.outcome == "selected"][-1]
            return Fate("selected", chosen, chosen.stage)
        unsaid = [
            one for one in flow.stages if one.type == "select" and one.silent and not flow.has_inside(one.step_id)
        ]
        if unsaid:
            return Fate("unknown", stop, unsaid[-1], _not_said(unsaid[-1]))
        return Fate("survived" if status == "completed" else "interrupted", stop, stop.stage)
    fates = [_missing_from(status, flow, stop, taker, peers) for taker in takers]
    for verdict in ("interrupted", "unknown"):
        found = [fate for fate in fates if fate.verdict == verdict]
        if found:
            return found[0]
    return fates[-1]


def _takers(flow: Flow, stage: Stage) -> list[Stage]:
    """The steps that take a step's items.

    Looked through are a step that only groups others, and the next turn of a loop that brings items in
    (a search for each keyword) or that resumes the run (an approval at a time): it takes nothing of the turn before.
    """
    found: list[Stage] = []
    waiting, seen = list(flow.successors(stage.step_id)), set()
    while waiting:
        one = waiting.pop(0)
        if one.step_id in seen:
            continue
        seen.add(one.step_id)
        grouping = one.silent and flow.has_inside(one.step_id)
        if grouping or _is_next_turn(stage, one):
            waiting += flow.successors(one.step_id)
        else:
            found.append(one)
    return found


def _is_next_turn(stage: Stage, one: Stage) -> bool:
    again = (one.name, one.parent) == (stage.name, stage.parent)
    brings_in = one.after_inferred and (one.produced or stage.produced)
    return again and bool(brings_in or (not one.linked and one.origin != stage.origin))


def _missing_from(status: str, flow: Flow, stop: Stop, taker: Stage, peers: Peers) -> Fate:
    """The item went on from `stop`, and `taker` has no event of it."""
    if status != "completed" and (not taker.ended or taker.failed):
        if strangers(flow, taker, peers) or _from_nowhere(flow, stop.stage, peers):  # or there is more that is not said
            return Fate("unknown", stop, taker, _not_said(taker))
        if taker.failed and not taker.entered and not _says_what_it_does(flow, taker):
            return Fate("unknown", stop, taker, _not_said(taker))
        return Fate("interrupted", stop, taker)
    resumed = taker.origin != stop.stage.origin and taker.origin[0] == stop.stage.origin[0] == "r"
    if not resumed and _was_not_at(flow, taker, peers):  # who resumes a run may go on with some of its items
        return Fate("lost", stop, taker)
    return Fate("unknown", stop, taker, _not_said(taker))


def _from_nowhere(flow: Flow, stage: Stage, peers: Peers) -> bool:
    """Whether items came to a step that those before it did not record, though they recorded some."""
    before = [flow.stage(one) for one in flow.ancestors(stage.step_id)]
    return any(one.produced for one in before) and strangers(flow, stage, peers)


def _says_what_it_does(flow: Flow, failed: Stage) -> bool:
    """Whether a step that failed without an event had decided nothing: it counted, as did all before it that take."""
    takers = [one for one in map(flow.stage, flow.ancestors(failed.step_id)) if one.entered and not one.produced]
    return failed.declared_in is not None and all(one.counts_all or one.type in _BRING_IN for one in takers)


def _not_said(taker: Stage) -> Unknown:
    if taker.failed and not taker.entered:
        detail = f"{taker.name} failed and recorded no items; what it had decided by then is not known"
    elif taker.silent:
        detail = f"{taker.name} recorded no items"
    elif taker.failed:
        detail = f"{taker.name} failed before it had an event of the item"
    elif taker.declared_in is not None and taker.declared_in != taker.entered:
        detail = f"{taker.name} took {taker.declared_in} items and named {taker.entered} of them, not this one"
    else:
        detail = f"{taker.name} has no event of the item, and does not name every item that it looks at"
    call = "step.decide(…, alternatives=[…]) or step.score(item_id, score)" if taker.decided else "step.accept(item_id)"
    by_hand = f"record the item at {taker.name}, and give the step's input_count"
    return Unknown("not_recorded", detail, f"call {call} in {taker.name}, and step.set_input_count(n)", by_hand)


def _combined(fates: Sequence[Fate], flow: Flow) -> Fate:
    """One verdict from parallel branches, given in dataflow order."""
    for verdict in ("selected", "interrupted", "unknown"):
        found = [fate for fate in fates if fate.verdict == verdict]
        if found:
            return found[-1]
    gone = [fate for fate in fates if fate.verdict != "survived"]
    lost = [fate for fate in gone if fate.verdict == "lost"]
    dropped = [fate for fate in gone if fate.verdict in DROPPED]
    if lost and dropped:
        return Fate("unknown", lost[-1].stop, lost[-1].at, _lost_or_dropped(lost[-1], dropped[-1]))
    if gone and (len(gone) == len(fates) or any(stage.decided for stage in flow.stages)):
        return gone[-1]
    return [fate for fate in fates if fate.verdict == "survived"][-1]


def _lost_or_dropped(lost: Fate, dropped: Fate) -> Unknown:
    """Two branches had it. One dropped it, the other did not, and what joins them has no event of it."""
    assert lost.stop is not None and lost.at is not None and dropped.stop is not None
    join, kept, other = lost.at.name, lost.stop.stage.name, dropped.stop.stage.name
    return Unknown(
        "not_recorded",
        f"{other} dropped the item, {kept} beside it kept it, and {join} has no event of it; whether {join} takes only "
        "what both kept is not recorded",
        f"call step.reject(item_id, reason) in {join} for what it does not take",
        f"record at {join} what it does not take, with the outcome rejected",
    )


def _unless_elsewhere(flow: Flow, fate: Fate, stops: Sequence[Stop], settled: Collection[str], peers: Peers) -> Fate:
    """A parallel step that kept no full record may have had the item too, and a later word on it."""
    held = {stop.stage.step_id for stop in stops}
    went_on = [stop for stop in stops if stop.outcome not in DROPPED or stop.stage.lossy]  # or may have
    waiting = [taker for stop in went_on for taker in _takers(flow, stop.stage)]
    for stop in stops:
        before = flow.ancestors(stop.stage.step_id)
        if not before & held and all(event.outcome != "produced" for event in stop.events):
            # Nobody says where it came from: it may have gone wherever those steps lead.
            waiting += [taker for one in before for taker in flow.successors(one)]
    seen: set[str] = set()
    while waiting:
        stage = waiting.pop()
        if stage.step_id in seen or stage.step_id in held or _was_not_at(flow, stage, peers):
            continue
        # Workers share the items of one step out among them; and what was dropped does not go on as a rule.
        shared = any((stage.name, stage.parent) == (stop.stage.name, stop.stage.parent) for stop in stops)
        after = fate.stop is not None and fate.stop.stage.step_id in flow.ancestors(stage.step_id)
        if (shared or after) and _says_all(flow, stage, peers):
            continue
        seen.add(stage.step_id)
        grouping = stage.silent and flow.has_inside(stage.step_id)
        if stage.step_id not in settled and not grouping and fate.verdict not in ("unknown", "interrupted"):
            return Fate("unknown", fate.stop, stage, _not_said(stage))
        waiting += flow.successors(stage.step_id)
    return _unless_taken_back(flow, fate, held, peers)


def _unless_approval_unsaid(flow: Flow, fate: Fate, held: Collection[str]) -> Fate:
    """Whoever approves after the choice may have refused what it chose."""
    assert fate.stop is not None
    for stage in flow.stages:
        after = fate.stop.stage.step_id in flow.ancestors(stage.step_id)
        over = stage.ended and not stage.failed
        if after and over and stage.type == "approve" and stage.step_id not in held:
            return Fate("unknown", fate.stop, stage, _not_said(stage))
    return fate


def _unless_taken_back(flow: Flow, fate: Fate, held: Collection[str], peers: Peers) -> Fate:
    """Whoever approves may overrule what came before; of other steps that is not assumed.

    What became others is not there any more to be taken back.
    """
    if fate.verdict not in DROPPED or fate.verdict == "consumed" or fate.stop is None:
        return fate
    for stage in flow.stages:
        after = fate.stop.stage.step_id in flow.ancestors(stage.step_id)
        if not after or stage.type != "approve" or stage.step_id in held:
            continue
        if not _says_all(flow, stage, peers):
            return Fate("unknown", fate.stop, stage, _not_said(stage))
    return fate


def _was_not_at(flow: Flow, stage: Stage, peers: Peers) -> bool:
    """Whether an item without an event at this step was certainly not there."""
    return stage.counts_all and _says_all(flow, stage, peers)


def _says_all(flow: Flow, stage: Stage, peers: Peers) -> bool:
    """Whether that is at least to be believed."""
    return stage.records_all and not stage.failed and not strangers(flow, stage, peers)


def _unnamed_before(flow: Flow, stage: Stage) -> bool:
    """Whether a step before this one counted more items than it named: what it dropped is not known here."""
    before = [flow.stage(one) for one in flow.ancestors(stage.step_id)]
    return any(one.declared_in is not None and one.declared_in > one.entered for one in before)


def _unless_lost_events(flow: Flow, fate: Fate, latest: Sequence[Stop], settled: Collection[str]) -> Fate:
    """A step that may have had a later word, and of which events did not arrive, leaves nothing certain."""
    lossy = _lossy(flow, settled)
    if lossy is None and fate.verdict == "survived":  # or was it selected, and that is among what was lost?
        lossy = _lossy(flow, [one.step_id for one in flow.stages if one.type in _SELECT_NOTHING and not one.decided])
    if lossy is not None:
        return Fate("unknown", fate.stop, lossy, _events_lost(lossy))
    if flow.missing_after([stop.stage for stop in latest]):
        return Fate("unknown", fate.stop, fate.at, _STEP_LOST)
    return fate


def _lossy(flow: Flow, but: Collection[str] = ()) -> Stage | None:
    """The first step of which events did not arrive, else the first of which they may not have."""
    lossy = [stage for stage in flow.stages if stage.lossy and stage.step_id not in but]
    return next((stage for stage in lossy if not stage.unplaced), lossy[0] if lossy else None)


def _events_lost(stage: Stage | None) -> Unknown:
    if stage is None or stage.unplaced:
        detail = "events of this run did not arrive, of which step is not known, and one may have been of this item"
    else:
        detail = f"events of {stage.name} did not arrive, and one of them may have been of this item"
    return Unknown("dropped", detail, None)


_STEP_LOST = Unknown(
    "dropped", "a later step of this run did not arrive", "`dxray sync` delivers what still lies in the spool"
)


def _never_seen(status: str, flow: Flow, peers: Peers, seen_before: Stage | None) -> Fate:
    lossy = _lossy(flow) or next(iter(flow.lossy_before), None)
    if lossy is not None or flow.unplaced:
        return Fate("unknown", None, lossy, _events_lost(lossy))
    if seen_before is not None and (status == "completed" or _went_well_again(flow, seen_before)):
        return Fate("unknown", None, seen_before, _only_before(seen_before))
    over = flow.stages if status == "completed" else [one for one in flow.stages if one.ended and not one.failed]
    unknown = _may_have_been_there(flow, over, peers) if over or status == "completed" else None
    if unknown is not None:
        return Fate("unknown", None, unknown[0], unknown[1])
    if status != "completed":
        return Fate("interrupted", None, flow.stages[-1] if flow.stages else None)
    doors = [stage for stage in flow.stages if stage.produced] or list(flow.stages[:1])
    return Fate("never_retrieved", None, doors[-1])


def _went_well_again(flow: Flow, attempt: Stage) -> bool:
    """Whether a later attempt at the same came to its end."""
    same = (attempt.name, attempt.parent)
    return any((one.name, one.parent) == same and one.ended and not one.failed for one in flow.stages)


def _only_before(stage: Stage) -> Unknown:
    how = "failed" if stage.failed else "was tried again"
    return Unknown(
        "not_recorded",
        f"attempt {stage.attempt} of {stage.name} had the item and {how}, and no event after that names it",
        f"name the item again in the later attempt of {stage.name}, or in the step that goes on with it",
    )


def _may_have_been_there(flow: Flow, over: Sequence[Stage], peers: Peers) -> tuple[Stage | None, Unknown] | None:
    """Why "it was never there" cannot be said of the steps that are over; None when it can."""
    if all(stage.silent for stage in over):
        return None, Unknown(
            "not_recorded",
            "this run recorded no items",
            "call step.produce(item_id) where items enter",
            "record the items at the step where they enter, with the outcome produced",
        )
    if flow.missing_after(()):
        return None, _STEP_LOST
    for stage in over:
        hints = (
            f"call step.produce(item_id) for every item in {stage.name}",
            f"record every item at {stage.name}, with the outcome produced",
        )
        if stage.silent:
            if stage.type not in _BRING_NOTHING_IN and not flow.has_inside(stage.step_id):
                return stage, Unknown("not_recorded", f"{stage.name} recorded no items", *hints)
        elif (stage.produced and not stage.complete) or (
            stage.consumed and not stage.produced and stage.declared_out != 0  # where it says 0, it found nothing
        ):
            return stage, Unknown("not_recorded", f"{stage.name} did not record every item that it brought in", *hints)
        elif strangers(flow, stage, peers) and (not stage.counts_all or _unnamed_before(flow, stage)):
            return stage, Unknown(
                "not_recorded",
                f"items came to {stage.name} that no step before it recorded, and not all by name",
                *hints,
            )
    return None
