"""Pipelines in which one fault is planted: as plain data, executed as often as it takes, with the fault or without.

A pipeline generates values (in one step, in two side by side, or in one that rewrites what the other made), looks them
up in one search or in two side by side, joins what these found, sifts it by rules, ranks it, and chooses one item or
several. Some of its steps are tried again, and what the first attempt said is not what counts. One fault is drawn, and
with it the step and the class that are to blame: everything else happens as it does in the runs without it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dxray.wire.records import Op, Rule

FAULTS = {  # the class of each, by what happens
    "missed": "recall_loss",
    "missing_word": "recall_loss",
    "too_strict": "too_strict",
    "refused": "too_strict",
    "too_lenient": "too_lenient",
    "reinstated": "too_lenient",
    "bad_word": "bad_generation",
    "chosen_wrongly": "mis_ranked",
    "not_chosen": "mis_ranked",
    "ranked_wrongly": "mis_ranked",
    "scored_wrongly": "mis_ranked",
    "scored_too_low": "mis_ranked",
}
OF_THE_RIGHT = ("missed", "missing_word", "too_strict", "refused", "not_chosen", "scored_too_low")  # it is not chosen
LIMIT = 100.0
RIGHT, SPARE, THIRD, BAD = "right", "spare", "third", "planted"
TWIN = "right again"  # what the right one is called by the second search
KEPT_BY_RANK = 3


@dataclass
class Made:
    """One step as it is recorded, before anything of it is lost."""

    name: str
    type: str | None
    after: list[Made] = field(default_factory=list)
    input_count: int | None = None
    output_count: int | None = None
    rules: list[Rule] = field(default_factory=list)
    rows: list[tuple[int, str, Any, Any]] = field(default_factory=list)  # op, item, a, b
    chosen: list[tuple[str, float]] = field(default_factory=list)
    attempt: int = 1
    failed: bool = False
    cutoff: int | None = None
    lost: int = 0  # events that did not arrive, and are known not to have
    unplaced: int = 0  # the same, but nobody knows of which step they were
    sampled: bool = False  # some of its evidence was not kept, by chance
    inferred: bool = False  # nobody said what it comes after
    place: int = 0

    def say(self, op: int, item: str, a: Any = None, b: Any = None) -> None:
        self.rows.append((op, item, a, b))


@dataclass
class Filter:
    """A step with rules: each a field that may be at most `LIMIT`. `how`: until one fails, all of them, or no rule."""

    name: str
    fields: list[str]
    how: str


@dataclass
class World:
    """A pipeline, and the fault that is planted in its last run."""

    name: str
    fault: str
    generators: list[str]
    chained: bool  # the second rewrites what the first made
    values: dict[str, list[str]]  # by generator
    searches: list[str]
    own: bool  # each search takes the values of its own generator
    merged: bool  # a step joins what the searches found
    approves: bool  # a person looks at what the filters left
    twins: bool  # the right item is found under two ids
    filters: list[Filter]
    ranked: str  # "top": only the best go on; "scores": the choice goes by them; or not at all
    winners: int
    at: Filter  # the filter with the fault
    rule: str  # and its field
    bad_from: str  # the generator that makes the bad value
    home: str  # the search that brings the right item in
    overruled: bool  # the rule was asked, failed, and the item kept: else it was not asked
    by_limit: bool  # the limit is too strict, not the item's value wrong
    asked_for: str  # what the label says: "expected" of what is missing, or "wrong" of what is there
    found: dict[tuple[str, str], list[str]] = field(default_factory=dict)  # by search and value
    rank: dict[str, float] = field(default_factory=dict)
    score: dict[str, float] = field(default_factory=dict)
    facts: dict[str, dict[str, float]] = field(default_factory=dict)  # by item, by field
    again: dict[str, str] = field(
        default_factory=dict
    )  # by step tried again: the first attempt failed, or is thrown away

    @property
    def truth(self) -> tuple[str, str]:
        """The step and the class."""
        step = {
            "missed": self.home,
            "missing_word": sources(self, self.home)[0] if not self.chained else self.bad_from,
            "too_strict": self.at.name,
            "refused": "approve",
            "too_lenient": self.at.name,
            "reinstated": "approve",
            "bad_word": self.bad_from,
            "ranked_wrongly": "rank",
            "scored_wrongly": "rank",
            "scored_too_low": "rank",
        }.get(self.fault, "choose")
        return step, FAULTS[self.fault]

    @property
    def right(self) -> str:
        """The id under which the right item goes on."""
        return TWIN if self.twins else RIGHT

    def label(self, usual: Sequence[str], chosen: Sequence[str]) -> dict[str, str]:
        """What somebody would say who knows what is usually chosen."""
        if self.fault in OF_THE_RIGHT:
            return {"label": "expected", "item_id": RIGHT}
        if self.asked_for == "expected":
            missing = [one for one in usual if one not in chosen]
            return {"label": "expected", "item_id": missing[0]}
        return {"label": "bad"} if self.winners == 1 else {"label": "wrong", "item_id": BAD}


def made(seed: int) -> World:
    """A pipeline drawn by chance."""
    chance = random.Random(seed)
    fault = list(FAULTS)[seed % len(FAULTS)]
    generators = ["generate", "expand"][: chance.randint(1, 2)]
    searches = ["search", "look up"][: chance.randint(1, 2)]
    values = {one: [f"{one} word {n}" for n in range(chance.randint(2, 4))] for one in generators}
    chained = len(generators) == 2 and chance.random() < 0.5
    if chained:
        values["expand"] = [f"{one}, longer" for one in values["generate"]]
    filters = [_filter(number, chance) for number in range(chance.randint(1, 3))]
    at = chance.choice(filters)
    at.how = at.how if at.how != "plain" or fault == "too_strict" else "first"
    merged = len(searches) == 2 and chance.random() < 0.7
    twins = merged and fault in ("too_strict", "not_chosen") and chance.random() < 0.4
    ranked = _ranked(fault, chance)
    world = World(
        name=f"p{seed}",
        fault=fault,
        generators=generators,
        chained=chained,
        values=values,
        searches=searches,
        own=len(generators) == len(searches) == 2 and not chained and chance.random() < 0.5,
        merged=merged,
        approves=fault in ("refused", "reinstated") or chance.random() < 0.25,
        twins=twins,
        filters=filters,
        ranked=ranked,
        winners=chance.randint(1, 2 if ranked else 3),
        at=at,
        rule=chance.choice(at.fields),
        bad_from=chance.choice(generators),
        home=searches[0] if twins else chance.choice(searches),
        overruled=chance.random() < 0.4,
        by_limit=chance.random() < 0.5,
        asked_for=chance.choice(("expected", "wrong")),
    )
    _stock(world, chance)
    steps = [*generators, *searches, *(one.name for one in filters), *(["rank"] if ranked else []), "choose"]
    for name in chance.sample(steps, chance.choice((0, 0, 1, 2))):
        world.again[name] = chance.choice(("failed", "thrown away"))
    return world


def _filter(number: int, chance: random.Random) -> Filter:
    fields = [f"x{number}{n}" for n in range(chance.randint(1, 3))]
    return Filter(f"filter {number}", fields, chance.choice(("first", "first", "all", "plain")))


def _ranked(fault: str, chance: random.Random) -> str:
    if fault == "ranked_wrongly":
        return "top"
    if fault in ("scored_wrongly", "scored_too_low"):
        return "scores"
    own_scores = fault in ("chosen_wrongly", "not_chosen")
    return chance.choice(("", "", "top", "" if own_scores else "scores"))


def sources(world: World, search: str) -> list[str]:
    """The generators whose values a search takes."""
    if world.own:
        return [world.generators[world.searches.index(search)]]
    return world.generators[-1:] if world.chained else world.generators


def _stock(world: World, chance: random.Random) -> None:
    """What the searches find, and what is known of each thing."""
    fields = [name for one in world.filters for name in one.fields]
    for search in world.searches:
        for value in (one for source in sources(world, search) for one in world.values[source]):
            some = [f"{search}/{value}/{n}" for n in range(chance.randint(0, 3))]
            world.found[search, value] = some
            for one in some:
                world.facts[one] = {name: chance.uniform(0, 2 * LIMIT) for name in fields}
                world.rank[one] = world.score[one] = round(chance.uniform(0, 0.8), 3)
            if some:  # each filter drops something, so that it can be missed
                world.facts[some[0]] = dict.fromkeys(fields, 2 * LIMIT)
    scores = {RIGHT: 0.9, TWIN: 0.9, SPARE: 0.85, THIRD: 0.82, BAD: 0.1}
    for one, score in scores.items():
        world.facts[one] = dict.fromkeys(fields, LIMIT / 2)
        world.rank[one] = world.score[one] = score
    _put(world, world.home, 0, RIGHT)
    _put(world, world.searches[-1], 1, SPARE)
    _put(world, world.home, 1, THIRD)
    if world.twins:
        _put(world, world.searches[-1], 0, TWIN)
    if world.fault != "bad_word":
        _put(world, chance.choice(world.searches), -1, BAD)


def _put(world: World, search: str, number: int, item: str) -> None:
    value = world.values[sources(world, search)[0]][number]
    world.found[search, value].append(item)


# --- a run -----------------------------------------------------------------------------------------------------


class Execution:
    """One run of a world: what is true in it, and the steps as they are recorded."""

    def __init__(self, world: World, broken: bool) -> None:
        self.world = world
        self.fault = world.fault if broken else ""
        self.values = {one: list(some) for one, some in world.values.items()}
        self.found = {key: list(some) for key, some in world.found.items()}
        self.rank, self.score = dict(world.rank), dict(world.score)
        self.facts = {one: dict(some) for one, some in world.facts.items()}
        self.limits = {name: LIMIT for one in world.filters for name in one.fields}
        self.parents: dict[str, list[str]] = {}
        self.steps: list[Made] = []
        self._of_the_wrong()
        self._of_the_right()
        if world.ranked == "scores":
            self.score = self.rank

    def _of_the_wrong(self) -> None:
        """Why the planted item is chosen, where that is the fault; and what is so in all runs of this world."""
        world, fault = self.world, self.fault
        if world.fault in ("too_lenient", "reinstated"):
            self.facts[BAD][world.rule] = LIMIT * 1.5
            self.rank[BAD] = self.score[BAD] = 0.95
        if world.fault == "chosen_wrongly":  # it is ranked among the best, and chosen only by mistake
            self.rank[BAD], self.score[BAD] = 0.86, 0.95 if fault else 0.1
        if world.fault == "ranked_wrongly":
            self.rank[BAD], self.score[BAD] = 0.95 if fault else 0.1, 0.95
        if fault == "scored_wrongly":
            self.rank[BAD] = 0.95
        if fault == "bad_word":
            self._generates_badly()

    def _of_the_right(self) -> None:
        """Why the right item is not chosen, where that is the fault."""
        world, fault = self.world, self.fault
        if fault == "missed":
            self.found = {key: [one for one in some if one != RIGHT] for key, some in self.found.items()}
        if fault == "missing_word":
            self._lacks_a_word()
        if world.fault == "too_strict" and world.by_limit and world.at.how != "plain":
            self.facts[world.right][world.rule] = LIMIT * 0.8
            self.limits[world.rule] = LIMIT * (0.7 if fault else 1)
        elif fault == "too_strict":
            self.facts[world.right][world.rule] = LIMIT * 1.5
        if fault == "not_chosen":
            self.score[world.right] = 0.01
            self.rank[world.right] = 0.849 if world.by_limit else 0.9  # behind, but kept
        if fault == "scored_too_low":
            self.rank[world.right] = 0.01

    def _lacks_a_word(self) -> None:
        """The word that brings the right item in, and none but it."""
        world = self.world
        last = sources(world, world.home)[0]
        del self.values[last][0]
        if world.chained and world.bad_from == "generate":
            del self.values["generate"][0]

    def _generates_badly(self) -> None:
        world = self.world
        value = "bad word"
        self.values[world.bad_from].append(value)
        if world.chained and world.bad_from == "generate":
            value = "bad word, longer"
            self.values["expand"].append(value)
        for search in world.searches:
            if world.bad_from in sources(world, search) or world.chained:
                self.found[search, value] = [BAD, f"{search}/{value}/1"]
                self.facts[f"{search}/{value}/1"] = dict.fromkeys(self.limits, LIMIT / 2)
                self.rank[f"{search}/{value}/1"] = self.score[f"{search}/{value}/1"] = 0.05
        self.rank[BAD] = self.score[BAD] = 0.95

    def run(self) -> list[str]:
        """Execute; what was chosen."""
        world = self.world
        made: list[Made] = []
        for number, name in enumerate(world.generators):
            chain = world.chained and number == 1
            made.append(self._step(name, "generate", made[-1:] if chain else [], self._generate))
        searches = []
        for name in world.searches:
            before = [step for step in made if step.name in sources(world, name)]
            searches.append(self._step(name, "retrieve", before, self._search))
        before = searches
        pool = list(dict.fromkeys(item for step in searches for op, item, _, _ in step.rows if op == Op.PRODUCED))
        if world.merged:
            before = [self._step("merge", "merge", before, lambda step: self._merge(step, pool))]
            pool = _left(before[0])
        for one in world.filters:
            before = [self._step(one.name, "filter", before, self._sifting(one, pool))]
            pool = _left(before[0])
        if world.approves:
            before = [self._step("approve", "approve", before, self._approving(pool))]
            pool = _left(before[0])
        if world.ranked:
            before = [self._step("rank", "rank", before, self._ranking(pool))]
        if world.ranked == "top":
            pool = sorted(pool, key=lambda one: (-self.rank[one], one))[:KEPT_BY_RANK]
        last = self._step("choose", "select", before, self._choosing(pool))
        for place, step in enumerate(self.steps):
            step.place = place
        return [item for item, _ in last.chosen]

    def _step(self, name: str, type_: str, after: Sequence[Made], act: Callable[[Made], None]) -> Made:
        """A step; with another attempt before it, where it is tried again."""
        how = self.world.again.get(name)
        step = Made(name, type_, list(after), attempt=1 if how is None else 2)
        act(step)
        if how is not None:
            self.steps.append(_first_attempt(step, how == "failed", self.fault))
        self.steps.append(step)
        return step

    def _generate(self, step: Made) -> None:
        chained = self.world.chained and step.name == "expand"
        values = self.values[step.name]
        if not chained:
            for value in values:
                step.say(Op.PRODUCED, f"v:{value}", value)
            return
        before = self.values["generate"]
        if self.fault == "missing_word" and self.world.bad_from == "expand":
            step.say(Op.CONSUMED, f"v:{before[0]}")
            before = before[1:]
        step.input_count = len(self.values["generate"])
        for number, value in enumerate(values):  # of the last word it may make a bad one too
            one = before[min(number, len(before) - 1)]
            step.say(Op.CONSUMED, f"v:{one}")
            step.say(Op.PRODUCED, f"v:{value}", value, [f"v:{one}"])

    def _search(self, step: Made) -> None:
        taken = [value for source in sources(self.world, step.name) for value in self.values[source]]
        step.input_count = len(taken)
        parents: dict[str, list[str]] = {}
        for value in taken:
            step.say(Op.CONSUMED, f"v:{value}")
            for one in self.found.get((step.name, value), ()):
                parents.setdefault(one, []).append(f"v:{value}")
        for one, some in parents.items():
            step.say(Op.PRODUCED, one, f"name of {one}", some)
        if not parents:
            step.output_count = 0  # else nobody could tell it from a search that did not record what it found

    def _merge(self, step: Made, pool: Sequence[str]) -> None:
        step.input_count = len(pool)
        for one in pool:
            if one == RIGHT and TWIN in pool:
                step.say(Op.MERGED, one, TWIN)
            else:
                step.say(Op.ACCEPTED, one)

    def _sifting(self, one: Filter, pool: Sequence[str]) -> Callable[[Made], None]:
        def sift(step: Made) -> None:
            step.input_count = len(pool)
            evaluated, failures = dict.fromkeys(one.fields, 0), dict.fromkeys(one.fields, 0)
            for item in pool:
                self._sift(step, one, item, evaluated, failures)
            if one.how != "plain":
                step.rules = [
                    Rule(name, "<=", str(self.limits[name]), f"{name}_too_much", evaluated[name], failures[name])
                    for name in one.fields
                ]

        return sift

    def _sift(self, step: Made, one: Filter, item: str, evaluated: dict[str, int], failures: dict[str, int]) -> None:
        facts = {name: self.facts[item][name] for name in one.fields}
        lenient = self.fault == "too_lenient" and item == BAD and one is self.world.at
        failed = False
        for number, name in enumerate(one.fields):
            if lenient and name == self.world.rule and not self.world.overruled:
                continue
            if failed and one.how == "first":
                break
            bad = facts[name] > self.limits[name]
            if one.how != "plain":
                evaluated[name] += 1
                failures[name] += bad
                op = Op.RULE_ALSO_FAILED if bad and failed else Op.RULE_FAILED if bad else Op.RULE_PASSED
                step.say(op, item, number, facts[name])
            failed = failed or bad
        if failed and one.how == "plain":
            step.say(Op.REJECTED, item, "not_wanted", facts)
        elif not failed or lenient:
            step.say(Op.ACCEPTED, item, None, facts)

    def _approving(self, pool: Sequence[str]) -> Callable[[Made], None]:
        def approve(step: Made) -> None:
            seen = [*pool, BAD] if self.fault == "reinstated" else list(pool)
            step.input_count = len(seen)
            for one in seen:
                if self.fault == "refused" and one == self.world.right:
                    step.say(Op.REJECTED, one, "refused")
                else:
                    step.say(Op.ACCEPTED, one)

        return approve

    def _ranking(self, pool: Sequence[str]) -> Callable[[Made], None]:
        def rank(step: Made) -> None:
            step.input_count = len(pool)
            step.cutoff = KEPT_BY_RANK if self.world.ranked == "top" else None
            for one in pool:
                step.say(Op.SCORED, one, self.rank[one])
                if self.world.ranked == "scores":
                    step.say(Op.ACCEPTED, one)

        return rank

    def _choosing(self, pool: Sequence[str]) -> Callable[[Made], None]:
        def choose(step: Made) -> None:
            step.input_count = len(pool)
            order = sorted(pool, key=lambda one: (-self.score[one], one))
            for one in pool:
                step.say(Op.SCORED, one, self.score[one])
            for place, one in enumerate(order):
                step.say(Op.SELECTED if place < self.world.winners else Op.OUTRANKED, one, None, self.score[one])
            step.chosen = [(one, self.score[one]) for one in order[: self.world.winners]]

        return choose


def _left(step: Made) -> list[str]:
    return [item for op, item, _, _ in step.rows if op == Op.ACCEPTED]


def _first_attempt(step: Made, failed: bool, fault: str) -> Made:
    """An attempt that says other things: of what it named it drops what the next one keeps."""
    rows = step.rows[: len(step.rows) // 2] if failed else step.rows
    first = Made(
        step.name, step.type, step.after, step.input_count, None, step.rules, failed=failed, cutoff=step.cutoff
    )
    for op, item, a, b in rows:
        if op == Op.ACCEPTED:
            first.say(Op.REJECTED, item, "first_look", b)
        elif op in (Op.SELECTED, Op.OUTRANKED):
            first.say(Op.OUTRANKED if op == Op.SELECTED else Op.ACCEPTED, item, None, b if op == Op.SELECTED else None)
        elif op == Op.SCORED:
            first.say(op, item, 1 - a, b)
        elif op in (Op.PRODUCED, Op.CONSUMED):
            first.say(op, item, a, b)
    if step.type == "generate" and not step.input_count:
        first.say(Op.PRODUCED, "v:first thought", "first thought")
    return first
