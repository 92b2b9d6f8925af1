"""Why a wrong item is in the outcome: every step that it passed is asked. What counts as a fault: see `faults`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dxray.server.reasoning.faults import GENERATE, Fault, Judgement, Recorded, of_fate, undecided
from dxray.server.reasoning.flow import Stage
from dxray.server.reasoning.journey import KEPT, Stop, Unknown
from dxray.server.reasoning.orders import made_by, ranks
from dxray.server.reasoning.rule_faults import against
from dxray.server.reasoning.sentences import shown

# Types of which it is known that their steps make no values, and those that may as well let pass what they should not.
KNOWN = frozenset(("retrieve", "transform", "filter", "rank", "select", "merge", "route", "tool", "approve"))
_JUDGES = frozenset(("filter", "rank", "select", "approve"))

Unjudged = tuple[int, Unknown]  # by the place of the step in the flow


def wrong(run: Recorded, item: str) -> Judgement:
    """Why an item that is wrong is in the outcome; also a value from which what was chosen came."""
    fate, _ = run.fate(item)
    name = run.name(item)
    if fate.verdict == "consumed":
        return _wrong_value(run, item)
    if fate.verdict in ("unknown", "interrupted") or fate.stop is None:
        if fate.verdict == "never_retrieved":
            return undecided("nothing_to_mend", f"the run never saw {name}", None)
        return of_fate(run, fate, name)
    if fate.verdict not in ("selected", "survived"):
        return undecided("nothing_to_mend", f"{name} was {fate.verdict}, so it is not in the outcome", None)
    return _Passed(run, item, fate.stop.stage, fate.verdict == "selected").judgement()


def in_the_way(run: Recorded, item: str, stage: Stage) -> tuple[list[Fault], list[Unjudged]]:
    """What speaks against an item that a step took in the place of another, and what could not be judged."""
    passed = _Passed(run, item, stage, True)
    passed.ask()
    return passed.faults, passed.unjudged


def _wrong_value(run: Recorded, item: str) -> Judgement:
    """The label itself says that a value is bad; it is to blame where what was chosen came from it alone."""
    of_it = [one for one in run.winners() if one != item and item in only_through(run, one)[0]]
    stage = _stage_of(run, item)
    if not of_it:
        return undecided("nothing_to_mend", f"nothing that was chosen came from {run.name(item)} alone", None)
    if stage is not None and stage.type == GENERATE:
        return Judgement((Fault(stage, "bad_generation", item, f'generated "{run.name(item)}"'),))
    return wrong(run, of_it[0])


def _stage_of(run: Recorded, item: str) -> Stage | None:
    step_id = run.made_at(item)
    return next((stage for stage in run.flow.stages if stage.step_id == step_id), None)


def only_through(run: Recorded, item: str) -> tuple[list[str], list[str]]:
    """What the item would not be there without, itself first; and all that it came from, itself included.

    Of several parents any one would have brought it in: a value is needed only where all lineage leads through it.
    """
    family: list[str] = [item]
    for one in family:
        family += [parent for parent in run.parents(one) if parent not in family]
    return [one for one in family if one == item or not _comes_without(run, item, one)], family


def _comes_without(run: Recorded, item: str, value: str) -> bool:
    waiting, seen = [item], {item}
    while waiting:
        parents = run.parents(waiting.pop())
        if not parents:
            return True
        waiting += [one for one in parents if one not in seen and one != value]
        seen.update(parents)
    return False


@dataclass(slots=True)
class _Passed:
    """A wrong item that was taken at `end`: every step that it passed, in dataflow order."""

    run: Recorded
    item: str
    end: Stage
    chosen: bool  # or it was left over, and nothing chose
    faults: list[Fault] = field(default_factory=list)
    unjudged: list[Unjudged] = field(default_factory=list)
    line: list[str] = field(default_factory=list)
    family: list[str] = field(default_factory=list)
    held: dict[str, set[str]] = field(default_factory=dict)  # by step, those of the line that it kept

    def judgement(self) -> Judgement:
        """All steps asked, and the choice itself where nothing before it was found."""
        self.ask()
        if not self.faults and not self.unjudged:
            self._choice()
        order = {stage.step_id: place for place, stage in enumerate(self.run.flow.stages)}
        found = sorted(self.faults, key=lambda fault: order[fault.stage.step_id])
        first = order[found[0].stage.step_id] if found else len(order)
        earlier = [unknown for place, unknown in self.unjudged if place <= first]
        return Judgement(tuple(found), earlier[0] if earlier else None)

    def ask(self) -> None:
        """All steps on the way asked."""
        self.line, self.family = only_through(self.run, self.item)
        for item in self.line:
            for stop in self.run.fate(item)[1]:
                if stop.outcome in KEPT or stop.outcome == "consumed":
                    self.held.setdefault(stop.stage.step_id, set()).add(item)
        flow = self.run.flow
        if flow.holes:
            self._not_judged(
                -1, "dropped", "a step of this run did not arrive", "`dxray sync` delivers what still lies in the spool"
            )
        for one in self.family:
            if one != self.item and self.run.made_at(one) is None:
                self._not_judged(
                    -1,
                    "not_recorded",
                    f"which step made {self.run.name(one)} is not recorded",
                    "call step.produce(item_id) where it is made",
                )
        passed_over = self._taken_back()
        on_the_way = (flow.ancestors(self.end.step_id) | {self.end.step_id}) - passed_over
        for place, stage in enumerate(flow.stages):
            if stage.step_id in on_the_way:
                self._stage(place, stage)

    def _taken_back(self) -> set[str]:
        """Steps that took the item back, which one before had dropped; returns those between, which it did not pass."""
        flow, entry = self.run.flow, self.run.made_at(self.item)
        passed_over: set[str] = set()
        dropped: Stop | None = None
        for stop in self.run.fate(self.item)[1]:
            if stop.outcome in ("rejected", "outranked"):
                dropped = stop
            elif dropped is not None and stop.outcome in KEPT:
                before, by = flow.ancestors(stop.stage.step_id), dropped.stage
                around = stop.stage.type != "approve" and self._goes_round(by, entry, stop.stage.step_id)
                if by.step_id in before and not around:
                    why = f" ({shown(dropped.last.reason)})" if dropped.last.reason else ""
                    detail = f"took {self.run.name(self.item)} back, which {by.name} had {dropped.outcome}{why}"
                    self.faults.append(Fault(stop.stage, "too_lenient", self.item, detail))
                    between = {one for one in before if by.step_id in flow.ancestors(one)}
                    passed_over |= {by.step_id, *between} - self.held.keys()
                dropped = None
        return passed_over

    def _not_judged(self, place: int, cause: str, detail: str, hint: str | None) -> None:
        self.unjudged.append((place, Unknown(cause, detail, hint)))

    def _stage(self, place: int, stage: Stage) -> None:
        if stage.lossy:
            where = "this run" if stage.unplaced else stage.name
            self._not_judged(place, "dropped", f"events of {where} did not arrive", "see `losses` of the run")
            return
        if stage.silent:
            if not self.run.flow.has_inside(stage.step_id) and (stage.type in _JUDGES or stage.type not in KNOWN):
                self._not_judged(
                    place,
                    "not_recorded",
                    f"{stage.name} recorded no items",
                    f"record what {stage.name} does with each item",
                )
            return
        made = [item for item in self.line if self.run.made_at(item) == stage.step_id]
        if stage.type not in KNOWN:
            self._values(place, stage, made)
        here = self.held.get(stage.step_id, set())
        for item in self.line:
            if item in here:
                for rule in self.run.rules(stage.step_id):
                    said = against(self.run, stage, item, rule)
                    if isinstance(said, Fault):
                        self.faults.append(said)
                    elif said is not None:
                        self.unjudged.append((place, said))
        if self.item in here and stage is not self.end:
            self._ranked(place, stage)
            self._vanished(place, stage)
        elif not here and not made and stage.type != GENERATE:
            self._not_named(place, stage)

    def _values(self, place: int, stage: Stage, made: Sequence[str]) -> None:
        """What a step generated, and the wrong item came from."""
        if not made:
            self._where_from(place, stage)
        for item in made:
            said = self.run.judge(stage, item)
            if isinstance(said, Unknown):
                self.unjudged.append((place, said))
            elif said is not None and stage.type == GENERATE:
                self.faults.append(Fault(stage, "bad_generation", item, said))
            elif said is not None:
                self._not_judged(
                    place,
                    "not_recorded",
                    f"whether {stage.name} generates values or looks items up is not recorded",
                    f"give {stage.name} a step_type: generate, retrieve, …",
                )

    def _where_from(self, place: int, stage: Stage) -> None:
        """The item does not come through one value of this step: by what is recorded, or for want of a record?"""
        if not stage.produced:
            if stage.type == GENERATE:
                self._not_judged(
                    place,
                    "not_recorded",
                    f"{stage.name} did not record what it generated",
                    f"call step.produce(value) in {stage.name}",
                )
            return
        if any(self.run.made_at(one) == stage.step_id for one in self.family):
            return  # several values brought it in, and no one of them alone
        entered = [self.run.made_at(one) for one in self.family]
        for one, step_id in zip(self.family, entered, strict=True):
            after = step_id is None or stage.step_id in self.run.flow.ancestors(step_id)
            if after and not self.run.parents(one):
                self._not_judged(
                    place,
                    "not_recorded",
                    f"which value of {stage.name} brought {self.run.name(one)} in is not recorded",
                    "give step.produce(item_id, parents=[…])",
                )
                return

    def _ranked(self, place: int, stage: Stage) -> None:
        """A step that ranked the item among those that go on: does it do so in other runs?"""
        by, unsure = made_by(self.run, self.end)
        if not ranks(self.run, stage) or (by is stage and unsure is None):
            return
        kept, dropped = self.run.fared_elsewhere(stage, self.item)
        name, of = self.run.name(self.item), kept + dropped
        if dropped and not kept:
            others = "the other run" if of == 1 else f"all {of} other runs"
            detail = f"ranked {name} among the best, and in {others} with the same input it did not"
            self.faults.append(Fault(stage, "mis_ranked", self.item, detail))
        elif by is not stage and (kept * 2 < of or not of):
            elsewhere = (
                f"{kept} of {of} other runs with this input do so too" if of else "no other run shows if it does"
            )
            self._not_judged(
                place,
                "nothing_to_compare",
                f"{stage.name} ranked {name} among the best, and {elsewhere}",
                "record more runs with the same input, or label the item that was expected",
            )

    def _vanished(self, place: int, stage: Stage) -> None:
        """Items that went on from a step of the way, and of which nothing later has a word: somebody dropped them."""
        seen: set[str] = set()
        for one in self.run.flow.stages:
            if stage.step_id in self.run.flow.ancestors(one.step_id):
                seen.update(self.run.ids(one.step_id))
        kept = set(self.run.kept(stage.step_id))
        gone = len(kept - seen)
        counted = self.end in self.run.flow.successors(stage.step_id) and (self.end.declared_in or 0) >= len(kept)
        if gone and not counted:  # a choice need not name all that it looked at, if it says how many those were
            what = "an item" if gone == 1 else f"{gone} items"
            self._not_judged(
                place,
                "not_recorded",
                f"{what} of {stage.name} came to no later step: what dropped them "
                f"is not recorded, nor that it kept {self.run.name(self.item)}",
                f"record the step after {stage.name}, and its input_count",
            )

    def _not_named(self, place: int, stage: Stage) -> None:
        """A step on the way that has no event of the item, nor of the value that became it."""
        before = self.run.flow.ancestors
        became: str | None = None  # where the item before in the line was made
        for item in self.line:
            entry = self.run.made_at(item)
            there = entry is None or entry in before(stage.step_id)
            gone = became is not None and stage.step_id not in before(became)
            if there and not gone:
                surely_not = stage.counts_all and not stage.failed
                if not (surely_not and self._goes_round(stage, entry, became or self.end.step_id)):
                    self._not_judged(
                        place,
                        "not_recorded",
                        f"{stage.name} does not name {self.run.name(item)}, and may have let it pass",
                        f"record what {stage.name} does with each item",
                    )
                return
            became = entry

    def _goes_round(self, stage: Stage, start: str | None, end: str) -> bool:
        """Whether an item can have come from one step to another without this one."""
        flow = self.run.flow
        waiting = [one.step_id for one in flow.stages if not flow.ancestors(one.step_id)] if start is None else [start]
        seen = {stage.step_id}
        while waiting:
            step_id = waiting.pop()
            if step_id == end:
                return True
            if step_id not in seen:
                seen.add(step_id)
                waiting += [one.step_id for one in flow.successors(step_id)]
        return False

    def _choice(self) -> None:
        """Nothing before was wrong: then the choice was, if there was one."""
        others = set(self.run.ids(self.end.step_id)) - {self.item}
        name = self.run.name(self.item)
        if self.chosen and others:
            by, unsure = made_by(self.run, self.end)
            detail = f"put {name} before {_count(len(others))}"
            for stage in dict.fromkeys((by, self.end) if unsure is not None else (by,)):
                self.faults.append(Fault(stage, "mis_ranked", self.item, detail))
            if unsure is not None:
                self.unjudged.append((-1, unsure))
        elif self.chosen:
            self._not_judged(
                len(self.run.flow.stages),
                "not_recorded",
                f"{self.end.name} recorded no other item that it could have chosen",
                "name the others as alternatives, or label the item that was expected",
            )
        else:
            self._not_judged(
                len(self.run.flow.stages),
                "not_recorded",
                f"nothing that is recorded speaks against {name}: every rule that there is, it passed",
                "record the rule that it should have failed, with step.require",
            )


def _count(n: int) -> str:
    return "1 other" if n == 1 else f"{n} others"
