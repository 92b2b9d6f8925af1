"""The steps of one run as a flow: which attempts count, what comes after what. Pure functions on plain rows."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dxray.server.reasoning.conservation import is_complete
from dxray.server.reasoning.shown import Row, parsed


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
    lossy: bool = False  # some of its events did not arrive
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

    @property
    def _chooses(self) -> bool:
        return self.decided or self.outranked > 0 or self.cutoff is not None

    @property
    def silent(self) -> bool:
        """Whether it recorded no items, and declared no counts of any."""
        return not (self.entered or self.produced) and self.declared_in is None and self.declared_out is None

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
    holes: frozenset[int] = frozenset()  # positions of which no step arrived
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

    def missing_after(self, position: int) -> bool:
        """Whether a step that started later than this did not arrive."""
        return any(hole > position for hole in self.holes)

    def successors(self, step_id: str) -> list[Stage]:
        """The steps that take this one's items."""
        return [self.stage(one) for one in self._next[step_id]]


def stages_of(rows: Sequence[Row], run_losses: bool, deciding: Collection[str]) -> list[Stage]:
    """Rows of the source `steps` as stages; `deciding` are the ids of those that have decisions."""
    return [_stage(row, run_losses, row["step_id"] in deciding) for row in rows]


def _stage(row: Row, run_losses: bool, decides: bool) -> Stage:
    ended = row["ended_at"] is not None or row["events"] is not None
    missing: Any = row["missing_events"]
    lossy = bool(parsed(row["losses"])) or bool(missing) or (run_losses and not ended)
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
        lossy=lossy,
        complete=ended and not lossy and is_complete(row),
        declared_in=row["declared_input_count"],
        declared_out=row["declared_output_count"],
        entered=row["entered"] or 0,
        produced=row["produced"] or 0,
        accepted=row["accepted"] or 0,
        rejected=row["rejected"] or 0,
        consumed=row["consumed"] or 0,
        outranked=row["outranked"] or 0,
        decided=decides or bool(row["selected"]),
        cutoff=row["cutoff"],
        failed=row["error"] is not None,
    )


def flow_of(stages: Sequence[Stage]) -> Flow:
    """The flow of a run's steps: superseded attempts, and what is inside them, are out of it."""
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
    positions = {stage.position for stage in stages}
    known = {stage.step_id for stage in stages}
    return Flow(
        tuple(counted[one] for one in order),
        frozenset(superseded),
        frozenset(range(max(positions, default=-1) + 1)) - positions if len(positions) < 10_000 else frozenset(),
        {one: stage.parent for one, stage in counted.items() if stage.parent in known and stage.parent != one},
        before,
        {one: tuple(nexts) for one, nexts in following.items()},
    )


def _superseded(stages: Sequence[Stage]) -> set[str]:
    """Of one name under one parent the highest attempt counts; what ran inside an earlier one went with it."""
    last: dict[tuple[str | None, str], int] = {}
    for stage in stages:
        key = (stage.parent, stage.name)
        last[key] = max(last.get(key, 0), stage.attempt)
    out = {stage.step_id for stage in stages if stage.attempt < last[stage.parent, stage.name]}
    while True:
        inside = {stage.step_id for stage in stages if stage.parent in out and stage.step_id not in out}
        if not inside:
            return out
        out |= inside


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
    named = list(stage.after) or (list(parent.after) if parent is not None and parent is not stage else [])
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


def _standing_for(source: Stage, stage: Stage, counted: Mapping[str, Stage]) -> set[str]:
    """The later attempt of a superseded step, unless it ran after `stage` or is `stage`."""
    return {
        one.step_id
        for one in counted.values()
        if (one.parent, one.name) == (source.parent, source.name)
        and one.position < stage.position
        and one.step_id != stage.step_id
    }


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
