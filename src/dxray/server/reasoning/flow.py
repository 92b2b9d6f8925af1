"""The steps of one run as a flow: which attempts count, what comes after what. Pure functions on plain rows."""

from __future__ import annotations

import heapq
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from dxray.server.reasoning.conservation import is_complete
from dxray.server.reasoning.losses import NONE, Losses
from dxray.server.reasoning.shown import Row

# What the ids of steps begin with that came from another process than the one that began the run: resumed, joined,
# forked, or begun under an id of the user's. Their positions count from the second in which that process came in.
_ORIGIN = re.compile(r"([a-z][0-9a-f]{6}\.)[0-9]+")
_SECONDS = 1_000_000_000  # positions below are of the process that began the run
FIRST = "s"

# What a stage is made of.
STAGE_COLUMNS = (
    "step_id", "step_name", "step_type", "position", "attempt", "parent_step_id", "after", "after_inferred",
    "started_at", "ended_at", "duration_ms", "events", "missing_events", "declared_input_count",
    "declared_output_count", "entered", "produced", "accepted", "rejected", "selected", "outranked", "consumed",
    "decided", "cutoff", "error",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """One step as reasoning sees it. Counts are of distinct items, by the step's events."""

    step_id: str
    name: str
    type: str | None = None
    position: int = 0
    attempt: int = 1
    parent: str | None = None
    after: tuple[str, ...] = ()
    after_inferred: bool = False
    ended: bool = True
    lossy: bool = False  # some of its events did not arrive, or may not have
    unplaced: bool = False  # lossy only because events of the run were lost, and nobody knows at which step
    complete: bool = True  # and its declared counts equal what it recorded
    declared_in: int | None = None
    declared_out: int | None = None
    entered: int = 0
    produced: int = 0
    accepted: int = 0
    rejected: int = 0
    consumed: int = 0
    outranked: int = 0
    decided: bool = False  # it chose: it has a decision, or a winner
    cutoff: int | None = None
    failed: bool = False  # an exception left it
    linked: bool = True  # it, or the process it ran in, knew what came before it
    started_at: int | None = None
    ended_at: int | None = None

    @property
    def origin(self) -> str:
        """The process it comes from; `FIRST` is the one that began the run."""
        found = _ORIGIN.fullmatch(self.step_id)
        return found[1] if found else FIRST

    @property
    def beside(self) -> bool:
        """Whether its process worked beside the one that began the run, or one that resumed it."""
        return self.origin[0] in "jf"

    @property
    def _chooses(self) -> bool:
        return self.decided or self.outranked > 0 or self.cutoff is not None

    @property
    def silent(self) -> bool:
        """Whether it recorded no items, and declared no counts of any."""
        return not (self.entered or self.produced) and self.declared_in is None and self.declared_out is None

    @property
    def counts_all(self) -> bool:
        """Whether it said how many items came in, and recorded every one of them."""
        return self.complete and self.declared_in is not None and self.declared_in == self.entered

    @property
    def records_all(self) -> bool:
        """Whether an item without an event here was certainly not here.

        Certain where as many items were recorded as came in; believed of a step that says of items both that
        they go on and nothing else happens to them. Not of one that chooses or expands: those name what they
        took, not what they looked at.
        """
        if not self.complete:
            return False
        if self.declared_in is not None:
            return self.declared_in == self.entered
        return self.accepted > 0 and not (self.produced or self.consumed or self._chooses)


@dataclass(frozen=True, slots=True)
class Flow:
    """The steps that count, in dataflow order, with the edges between them."""

    stages: tuple[Stage, ...]
    superseded: frozenset[str] = frozenset()
    holes: Mapping[str, int] = field(default_factory=dict)  # by origin, the last position of which no step arrived
    unplaced: bool = False  # events were lost, and nobody knows at which step
    lossy_before: tuple[Stage, ...] = ()  # superseded attempts of which events did not arrive
    parents: Mapping[str, str] = field(default_factory=dict)
    _before: Mapping[str, frozenset[str]] = field(default_factory=dict)  # all ancestors
    _next: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def stage(self, step_id: str) -> Stage:
        """The stage with this id."""
        return next(stage for stage in self.stages if stage.step_id == step_id)

    def ancestors(self, step_id: str) -> frozenset[str]:
        """All steps from which items can have come to this one."""
        return self._before[step_id]

    def parent_of(self, step_id: str) -> str | None:
        """The step around this one."""
        return self.parents.get(step_id)

    def has_inside(self, step_id: str) -> bool:
        """Whether there are steps inside this one."""
        return step_id in self.parents.values()

    def missing_after(self, latest: Sequence[Stage]) -> bool:
        """Whether a step that may have started later than all of these did not arrive."""
        return any(all(_may_follow(origin, hole, stage) for stage in latest) for origin, hole in self.holes.items())

    def successors(self, step_id: str) -> list[Stage]:
        """The steps that take this one's items."""
        return [self.stage(one) for one in self._next[step_id]]


def stages_of(rows: Sequence[Row], losses: Losses = NONE) -> list[Stage]:
    """Rows of the source `steps`, all those of a run, as stages."""
    unplaced = losses.events_elsewhere({row["step_id"] for row in rows})
    return [_stage(row, losses.events_at(row["step_id"]), unplaced) for row in rows]


def _stage(row: Row, lost: bool, unplaced: bool) -> Stage:
    ended = row["ended_at"] is not None or row["events"] is not None
    missing: Any = row["missing_events"]
    lossy = lost or bool(missing)
    return Stage(
        step_id=row["step_id"],
        name=row["step_name"],
        type=row["step_type"],
        position=row["position"],
        attempt=row["attempt"],
        parent=row["parent_step_id"],
        after=tuple(row["after"] or ()),
        after_inferred=row["after_inferred"],
        ended=ended,
        lossy=lossy or unplaced,
        unplaced=unplaced and not lossy,
        complete=ended and not (lossy or unplaced) and is_complete(row),
        declared_in=row["declared_input_count"],
        declared_out=row["declared_output_count"],
        entered=row["entered"] or 0,
        produced=row["produced"] or 0,
        accepted=row["accepted"] or 0,
        rejected=row["rejected"] or 0,
        consumed=row["consumed"] or 0,
        outranked=row["outranked"] or 0,
        decided=bool(row["decided"] or row["selected"]),
        cutoff=row["cutoff"],
        failed=row["error"] is not None,
        linked=row["after"] is not None,
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )


def flow_of(stages: Sequence[Stage], unplaced: bool = False) -> Flow:
    """The flow of a run's steps: superseded attempts, and what is inside them, are out of it.

    `unplaced`: events of the run were lost, and nobody knows at which step.
    """
    superseded = _superseded(stages)
    counted = {stage.step_id: stage for stage in stages if stage.step_id not in superseded}
    edges = {one: _sources(stage, stages, counted) for one, stage in counted.items()}
    order = _sorted(counted, edges)
    before: dict[str, frozenset[str]] = {}
    following: dict[str, list[str]] = {one: [] for one in counted}
    for one in order:
        direct = [source for source in edges[one] if source in before]  # an edge back in a cycle is none
        before[one] = frozenset(direct).union(*(before[source] for source in direct))
        for source in direct:
            following[source].append(one)
    known = {stage.step_id for stage in stages}
    return Flow(
        tuple(counted[one] for one in order),
        frozenset(superseded),
        _holes(stages),
        unplaced,
        tuple(stage for stage in stages if stage.lossy and stage.step_id in superseded),
        {one: stage.parent for one, stage in counted.items() if stage.parent in known and stage.parent != one},
        before,
        {one: tuple(nexts) for one, nexts in following.items()},
    )


def _holes(stages: Sequence[Stage]) -> dict[str, int]:
    """Of each origin the last position between its steps that none has. The first origin counts from 0."""
    taken = {stage.position for stage in stages}
    by_origin: dict[str, set[int]] = {}
    for stage in stages:
        if stage.origin[0] == "f" and stage.position < _SECONDS:
            continue  # a step that was open at the fork goes on under its old position
        by_origin.setdefault(stage.origin, {-1} if stage.origin == FIRST else set()).add(stage.position)
    holes: dict[str, int] = {}
    for origin, some in by_origin.items():
        later = sorted(some, reverse=True)
        for position, before in pairwise(later):
            hole = position - 1
            while hole > before and hole in taken:
                hole -= 1
            if hole > before:
                holes[origin] = hole
                break
    return holes


def _may_follow(origin: str, position: int, stage: Stage) -> bool:
    """Whether a step of that origin and position may have started after `stage`: processes side by side may."""
    beside = origin[0] in "jf" or stage.beside
    return position > stage.position or (beside and origin != stage.origin)


def _superseded(stages: Sequence[Stage]) -> set[str]:
    """Failed steps that were tried again, and attempts before the last one; what ran inside them went with them."""
    groups: dict[tuple[str | None, str, str], list[Stage]] = {}
    for stage in stages:
        groups.setdefault((stage.parent, stage.name, stage.origin if stage.beside else FIRST), []).append(stage)
    out: set[str] = set()
    for group in groups.values():
        out |= _tried_again(sorted(group, key=lambda stage: (stage.position, stage.attempt)))
    while True:
        inside = {stage.step_id for stage in stages if stage.parent in out and stage.step_id not in out}
        if not inside:
            return out
        out |= inside


def _tried_again(group: Sequence[Stage]) -> set[str]:
    """Of steps of one name, in order: a failed one by any later attempt of a higher number; one that did not fail
    only where the numbers go up from it without a break, to one that began after it and did not fail either."""
    out: set[str] = set()
    highest = 0  # attempt of those that come after
    climbing: list[Stage] = []  # the attempts that follow directly, each of a higher number
    for stage in reversed(group):
        if climbing and not _is_next(stage, climbing[-1]):
            climbing = []
        if stage.failed:
            if stage.attempt < highest:
                out.add(stage.step_id)
        elif any(not later.failed and _is_next(stage, later) for later in climbing):
            out.add(stage.step_id)
        highest = max(highest, stage.attempt)
        climbing.append(stage)
    return out


def _is_next(stage: Stage, later: Stage) -> bool:
    """Whether `later` can be another attempt at what `stage` did: of a higher number, and not at the same time."""
    overlap = stage.ended_at is not None and later.started_at is not None and later.started_at < stage.ended_at
    return stage.attempt < later.attempt and stage.position < later.position and not overlap


def _sources(stage: Stage, stages: Sequence[Stage], counted: Mapping[str, Stage]) -> set[str]:
    """The steps whose items come to `stage`: those it names, through superseded attempts to what stands for them.

    What is around other steps hands its items to the first of them, and closes after the last.
    """
    inside = [one for one in counted.values() if one.parent == stage.step_id and one is not stage]
    if inside:
        taken = {before for one in inside for before in one.after}
        return {one.step_id for one in inside if one.step_id not in taken} or {inside[-1].step_id}
    by_id = {one.step_id: one for one in stages}
    found: set[str] = set()
    seen: set[str] = set()
    parent = by_id.get(stage.parent or "")
    named = [*stage.after, *_beside(stage, stages, by_id), *_elsewhere(stage, stages, by_id)]
    if not named and parent is not None and parent is not stage:
        named = list(parent.after)
    while named:
        source = by_id.get(named.pop())
        if source is None or source.step_id in seen or source.step_id == stage.step_id:
            continue
        seen.add(source.step_id)
        if source.step_id in counted:
            found.add(source.step_id)
        else:
            stands = _standing_for(source, stage, counted)
            found |= stands
            named += [] if stands else source.after
    return found


def _beside(stage: Stage, stages: Sequence[Stage], by_id: Mapping[str, Stage]) -> list[str]:
    """Where nobody said what a step comes after: what ran side by side with the step before it, after the same."""
    before = by_id.get(stage.after[0]) if stage.after_inferred and stage.after else None
    if before is None or before.after_inferred or not before.after:
        return []
    taken = {source for one in stages if one is not stage for source in one.after}
    same = (before.parent, before.after)
    return [
        one.step_id
        for one in stages
        if one is not before and (one.parent, one.after) == same and not one.after_inferred
        if one.name != before.name and one.step_id not in taken and before.position > one.position
    ]


def _elsewhere(stage: Stage, stages: Sequence[Stage], by_id: Mapping[str, Stage]) -> list[str]:
    """What other processes did last before a step began, where nobody said what it comes after.

    A process that resumed or joined the run begins after the last step of those before it, and the next step of
    these takes what processes beside them did meanwhile.
    """
    began, origin = stage.started_at, stage.origin
    starts = not stage.linked and origin[0] in "rjf"
    if began is None or not (starts or (stage.after_inferred and not stage.beside)):
        return []
    before = [
        one
        for one in stages
        if one.parent == stage.parent and one.origin != origin and one.ended_at is not None and one.ended_at <= began
    ]
    found: list[Stage] = []
    if starts:
        line = [one for one in before if not one.beside]
        found = sorted(line, key=lambda one: (one.ended_at, one.position))[-1:]
    if not stage.beside:
        last = [*found, *(by_id[one] for one in stage.after if one in by_id)]
        since = max((one.started_at for one in last if one.started_at is not None), default=0)
        meanwhile = [one for one in before if one.beside and (one.ended_at or 0) > since]
        taken = {step for one in meanwhile for step in one.after}
        found += [one for one in meanwhile if one.step_id not in taken]
    return [one.step_id for one in found]


def _standing_for(source: Stage, stage: Stage, counted: Mapping[str, Stage]) -> set[str]:
    """The later attempt of a superseded step, unless it ran after `stage` or is `stage`."""
    later = [
        one
        for one in counted.values()
        if (one.parent, one.name) == (source.parent, source.name)
        and one.attempt > source.attempt
        and source.position < one.position < stage.position
    ]
    return {min(later, key=lambda one: one.position).step_id} if later else set()


def _sorted(counted: Mapping[str, Stage], edges: Mapping[str, set[str]]) -> list[str]:
    """Topological, the step that started first where the flow leaves it open; a cycle is cut there too."""
    waiting = {one: len([source for source in edges[one] if source in counted]) for one in counted}
    after: dict[str, list[str]] = {one: [] for one in counted}
    for one, sources in edges.items():
        for source in sources:
            if source in counted:
                after[source].append(one)
    ready = [(counted[one].position, one) for one, n in waiting.items() if n == 0]
    heapq.heapify(ready)
    order: list[str] = []
    done: set[str] = set()
    while len(order) < len(counted):
        if not ready:
            left = min((stage.position, one) for one, stage in counted.items() if one not in done)
            heapq.heappush(ready, left)
        _, one = heapq.heappop(ready)
        if one in done:
            continue
        done.add(one)
        order.append(one)
        for following in after[one]:
            waiting[following] -= 1
            if waiting[following] == 0 and following not in done:
                heapq.heappush(ready, (counted[following].position, following))
    return order


def in_order(flow: Flow, stages: Sequence[Stage]) -> list[Stage]:
    """Dataflow order; a superseded attempt stands before what started after it."""
    order = list(flow.stages)
    for stage in stages:
        if stage.step_id in flow.superseded:
            later = [n for n, other in enumerate(order) if other.position > stage.position]
            order.insert(later[0] if later else len(order), stage)
    return order


def last_superseded(flow: Flow, stages: Sequence[Stage], step_ids: Collection[str]) -> Stage | None:
    """Of these steps the superseded attempt that started last."""
    gone = flow.superseded.intersection(step_ids)
    return max((one for one in stages if one.step_id in gone), key=lambda one: one.position, default=None)
