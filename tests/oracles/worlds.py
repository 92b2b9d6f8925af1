"""Pipelines with rules that can be executed again with other limits: plain Python, recorded by the SDK.

A world has one to three filters with rules, asked one after another or all together, of everything or only where the
code thinks so; with checks without a rule, merges, branches, steps that make items of items, cut-offs, a model, and a
choice, by score or otherwise. All chance in it depends on nothing but the world and the item.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from dxray import XRay, testing
from dxray.server.store.base import Commit, Reader
from dxray.server.store.duckdb import DuckStore
from dxray.wire.columns import PipelineMemory, Sent, build, check
from dxray.wire.evidence import ShapeBook
from dxray.wire.predicates import comparable, comparison
from dxray.wire.records import AnyRecord, Run

Limits = dict[str, Any]  # threshold by reason
DISABLED = object()
FLOOR = 0.4


def draw(*words: object) -> float:
    """Chance that depends on nothing but the words: the same whenever a pipeline runs."""
    return random.Random(crc32(repr(words).encode())).random()


@dataclass(frozen=True)
class Rule:
    field: str
    op: str
    threshold: Any
    reason: str

    def passes(self, value: Any, limits: Limits) -> bool:
        """By the operators themselves, not by what reasons over the record."""
        threshold = limits.get(self.reason, self.threshold)
        if threshold is DISABLED:
            return True
        try:
            return comparable(value) and bool(comparison(self.op)(value, threshold))
        except TypeError:
            return False


@dataclass(frozen=True)
class Filter:
    """A step with rules. `careful`: the first rule is not asked of what has no such value."""

    name: str
    rules: tuple[Rule, ...]
    together: bool
    careful: bool
    plain: bool  # some items are rejected without a rule
    kind: str
    evidence: bool  # what goes on is accepted with its facts
    either: bool = False  # one of its rules is enough

    def lets(self, world: World, item: str, limits: Limits) -> bool:
        return self.by_rules(world, item, limits) and not self.odd(world, item)

    def by_rules(self, world: World, item: str, limits: Limits) -> bool:
        facts = world.of(item)
        asked = [rule for rule in self.rules if not (self.careful and facts[rule.field] is None)]
        passes = [rule.passes(facts[rule.field], limits) for rule in asked]
        return any(passes) or not asked if self.either else all(passes)

    def fails_one(self, world: World, item: str) -> bool:
        facts = world.of(item)
        return any(facts[rule.field] is not None and not rule.passes(facts[rule.field], {}) for rule in self.rules)

    def odd(self, world: World, item: str) -> bool:
        return self.plain and draw(world.seed, self.name, item) < 0.3


@dataclass
class Went:
    """What truly happened: what came to each filter, and what was chosen; None where nothing was."""

    came: dict[str, list[str]] = field(default_factory=dict)
    let: dict[str, list[str]] = field(default_factory=dict)
    chosen: set[str] = field(default_factory=set)
    hidden: bool = False  # nothing shows what a step does: one that drops some for others had nothing to drop, say
    by_score: bool = False  # it looks as if the best scores were chosen, whether or not they were


@dataclass
class World:
    """A pipeline, and what comes to it."""

    seed: int
    whole: bool  # the rules see everything, and everything is scored before
    facts: dict[str, dict[str, Any]]
    filters: list[Filter]
    between: list[str]  # after each filter: "", merge, remake, model, branch, top
    words: int  # items come from so many words; 0: from nowhere
    top: int
    winners: int
    choice: str  # score, worst, taste; the best of at least FLOOR, all of at least FLOOR, or the best of each kind
    capture: str
    named: float  # the share of those not chosen that the choice names

    @property
    def name(self) -> str:
        return f"world{self.seed}"

    def of(self, item: str) -> dict[str, Any]:
        """The facts of an item, which those that are made of it share."""
        return self.facts[item.split("/")[0]]

    def score(self, item: str) -> float:
        return round(draw(self.seed, "score", item), 6)


FIELDS: tuple[tuple[str, str], ...] = (("price", "<="), ("rating", ">="), ("stock", ">"), ("price", ">="),
                                       ("kind", "in"), ("sealed", "=="), ("weight", "between"))  # fmt: skip


def facts_of(chance: random.Random, holes: bool) -> dict[str, Any]:
    made: dict[str, Any] = {
        "price": chance.randint(10, 2000) / 10,
        "rating": chance.randint(10, 50) / 10,
        "stock": chance.randint(0, 9),
        "kind": chance.choice(("case", "cover", "stand")),
        "sealed": chance.random() < 0.7,
        "weight": chance.uniform(0, 10),
    }
    if holes:
        made |= {name: None for name in made if chance.random() < 0.08}
    return made


def limit(chance: random.Random, name: str, op: str) -> Any:
    if name == "price":
        return chance.randint(80, 180) if op == "<=" else chance.randint(5, 60)
    if name == "rating":
        return chance.randint(12, 30) / 10
    if name == "stock":
        return chance.randint(0, 4)
    if name == "kind":
        return chance.sample(["case", "cover", "stand"], chance.randint(1, 3))
    if name == "sealed":
        return chance.random() < 0.7
    return [chance.randint(0, 3), chance.randint(7, 10)]


def made(seed: int, whole: bool) -> World:
    """A world drawn by chance."""
    chance = random.Random(seed)
    facts = {f"p{n}": facts_of(chance, not whole and chance.random() < 0.5) for n in range(chance.randint(2, 16))}
    filters = []
    for n in range(chance.randint(1, 3)):
        some = chance.sample(FIELDS, chance.randint(1, 3))
        rules = tuple(Rule(one, op, limit(chance, one, op), f"{one}{n}{op}") for one, op in some)
        filters.append(
            Filter(
                f"filter{n}",
                rules,
                whole or chance.random() < 0.4,
                not whole and chance.random() < 0.3,
                not whole and chance.random() < 0.3,
                "filter" if whole else chance.choice(("filter", "filter", "transform", "rank")),
                whole or chance.random() < 0.5,
                not whole and len(rules) > 1 and chance.random() < 0.25,
            )
        )
    after = ("", "", "merge", "remake", "model", "branch", "top", "cut", "dedupe", "quiet")
    between = [chance.choice(after) for _ in filters]
    return World(
        seed,
        whole,
        facts,
        filters,
        [("top" if one == "top" and n == len(filters) - 1 else "") for n, one in enumerate(between)]
        if whole
        else between,
        0 if whole else chance.choice((0, 0, 2)),
        chance.randint(1, 6),
        chance.randint(1, 3),
        "score" if whole else chance.choice(("score", "score", "score", "worst", "taste", "floor", "all", "each")),
        "full" if whole else chance.choice(("full", "none", "sample", "auto")),
        1.0 if whole else chance.choice((1.0, 0.5, 0.0)),
    )


def limits_of(world: World, seed: int) -> Limits:
    """Other limits for one rule or for several: looser, tighter, or none."""
    chance = random.Random(f"{world.seed}.{seed}")
    rules = [rule for one in world.filters for rule in one.rules]
    out: Limits = {}
    for rule in chance.sample(rules, min(len(rules), chance.choice((1, 1, 1, 2)))):
        out[rule.reason] = DISABLED if chance.random() < 0.15 else limit(chance, rule.field, rule.op)
    return out


class Execution:
    """One run of a world, with limits; recorded where `xray` is not disabled."""

    def __init__(self, world: World, limits: Limits, run: Any) -> None:
        self.world, self.limits, self.run, self.went = world, limits, run, Went()
        self.last: Any = None  # the step that was begun last

    def go(self) -> Went:
        pool = self.retrieve()
        if self.world.whole or draw(self.world.seed, "early") < 0.3:
            self.rate(pool)
        for one, then in zip(self.world.filters, self.world.between, strict=True):
            pool = self.sift(one, pool)
            if then:
                pool = getattr(self, then)(one.name, pool)
        self.choose(pool)
        return self.went

    def step(self, name: str, kind: str, **more: Any) -> Any:
        self.last = self.run.step(name, kind, capture=self.world.capture, **more)
        return self.last

    def retrieve(self) -> list[str]:
        world = self.world
        words = [f"word{n}" for n in range(world.words)]
        if words:
            with self.step("think", "generate") as step:
                for word in words:
                    step.produce(word, name=word)
        with self.step("retrieve", "retrieve") as step:
            for n, (item, facts) in enumerate(world.facts.items()):
                parents = [words[n % len(words)]] if words else None
                step.produce(item, name=item.upper(), parents=parents, evidence=dict(facts) if world.whole else None)
        return list(world.facts)

    def rate(self, pool: list[str]) -> None:
        with self.step("rate", "rank") as step:
            for item in pool:
                step.score(item, self.world.score(item))
                step.accept(item)

    def sift(self, one: Filter, pool: list[str]) -> list[str]:
        world, went = self.world, self.went
        went.came[one.name] = list(pool)
        kept = []
        with self.step(one.name, one.kind) as step:
            if draw(world.seed, one.name, "counts") < 0.7:
                step.set_input_count(len(pool))
            now = [self.limits.get(rule.reason, rule.threshold) for rule in one.rules]
            rules = [
                (rule.field, None if at is DISABLED else step.require(rule.field, rule.op, at, reason=rule.reason))
                for rule, at in zip(one.rules, now, strict=True)
            ]
            for item in pool:
                facts = world.of(item)
                asked = [(name, rule) for name, rule in rules if not (one.careful and facts[name] is None)]
                if one.together and not one.either:
                    all_of_them = [rule for _, rule in asked if rule is not None]
                    good = not all_of_them or step.require_all(all_of_them).passes(item, facts)
                else:
                    every = (rule is None or rule.passes(item, facts[name]) for name, rule in asked)
                    said = list(every) if one.together else every
                    good = not asked or (any(said) if one.either else all(said))
                if good and one.odd(world, item):
                    step.reject(item, "looks_odd", {"n": 1})
                    good = False
                if good:
                    step.accept(item, evidence=dict(facts) if one.evidence else None)
                    kept.append(item)
                assert good == one.lets(world, item, self.limits), (world.seed, item)
        went.let[one.name] = kept
        if one.either:  # seen where something failed a rule and was kept, or was not asked the rest
            went.hidden |= not any(not one.together or one.fails_one(world, item) for item in kept)
        return kept

    def merge(self, name: str, pool: list[str]) -> list[str]:
        """Of those alike only the first stays."""
        kept: list[str] = []
        with self.step(f"{name}.merge", "merge") as step:
            for item in pool:
                like = [one for one in kept if crc32(one.encode()) % 3 == crc32(item.encode()) % 3]
                if like:
                    step.merge(item, into=like[0])
                else:
                    step.accept(item)
                    kept.append(item)
        return kept

    def remake(self, name: str, pool: list[str]) -> list[str]:
        """Each item becomes one or two others."""
        new = []
        with self.step(f"{name}.remake", "transform") as step:
            for item in pool:
                for n in range(1 + crc32(item.encode()) % 2):
                    child = f"{item}/{name}.{n}"
                    step.produce(child, parents=[item])
                    new.append(child)
        return new

    def model(self, name: str, pool: list[str]) -> list[str]:
        """What it drops depends on everything that it is given."""
        kept = []
        with self.step(f"{name}.model", "rank") as step:
            step.set_config(model="m1")
            for item in pool:
                if draw(self.world.seed, sorted(pool), item) < 0.7:
                    step.accept(item)
                    kept.append(item)
                else:
                    step.reject(item, "not_liked")
        return kept

    def quiet(self, name: str, pool: list[str]) -> list[str]:
        """It says nothing of what it drops, now and then nothing at all."""
        kept = [item for item in pool if draw(self.world.seed, name, item) < 0.8]
        with self.step(f"{name}.quiet", "filter") as step:
            for item in kept if draw(self.world.seed, name, "says") < 0.5 else ():
                step.accept(item)
        return kept

    def branch(self, name: str, pool: list[str]) -> list[str]:
        """Two checks side by side, then what either or what both kept."""
        before = self.last
        left, ends = [], []
        for side, (op, at) in enumerate((("<=", 100), (">=", 30))):
            rule = Rule("price", op, at, f"{name}.{side}")
            with self.step(f"{name}.side{side}", "filter", after=[before] if before else None) as step:
                asked = step.require(rule.field, rule.op, at, reason=rule.reason)
                left.append([item for item in pool if asked.passes(item, self.world.of(item)["price"])])
                ends.append(step)
        both = draw(self.world.seed, name, "both") < 0.5
        kept = []
        with self.step(f"{name}.join", "merge", after=ends) as step:
            for item in pool:
                held = [item in side for side in left]
                if all(held) or (any(held) and not both):
                    step.accept(item)
                    kept.append(item)
                elif any(held):
                    step.reject(item, "not_in_both")
        return kept

    def top(self, name: str, pool: list[str]) -> list[str]:
        with self.step(f"{name}.top", "rank") as step:
            for item in pool:
                step.score(item, self.world.score(item))
            step.cutoff(self.world.top)
        return sorted(pool, key=lambda item: -self.world.score(item))[: self.world.top]

    def cut(self, name: str, pool: list[str]) -> list[str]:
        """The best so many, and the rest is rejected for it."""
        best = sorted(pool, key=lambda item: -self.world.score(item))[: self.world.top]
        with self.step(f"{name}.cut", "rank") as step:
            for item in pool:
                if draw(self.world.seed, name, "scored") < 0.5:
                    step.score(item, self.world.score(item))
                if item in best:
                    step.accept(item)
                else:
                    step.reject(item, "below_top_k")
        self.went.hidden |= len(best) == len(pool)
        return [item for item in pool if item in best]

    def dedupe(self, name: str, pool: list[str]) -> list[str]:
        """Of those alike only the first stays, and the others are rejected."""
        kept: list[str] = []
        with self.step(f"{name}.dedupe", "filter") as step:
            for item in pool:
                if any(crc32(one.encode()) % 3 == crc32(item.encode()) % 3 for one in kept):
                    step.reject(item, "duplicate")
                else:
                    step.accept(item)
                    kept.append(item)
        self.went.hidden |= len(kept) == len(pool)
        return kept

    def each(self, pool: list[str]) -> None:
        """The best of each kind, in a decision of its own."""
        world = self.world
        with self.step("choose", "select") as step:
            for item in pool:
                step.score(item, world.score(item))
            kinds = sorted({str(world.of(item)["kind"]) for item in pool})
            self.went.hidden |= len(kinds) == 1
            for kind in kinds:
                order = [item for item in pool if str(world.of(item)["kind"]) == kind]
                order.sort(key=lambda item: -world.score(item))
                step.decide(kind, order[0], "best", alternatives=order[1:])
                self.went.chosen.add(order[0])

    def choose(self, pool: list[str]) -> None:
        world = self.world
        if not pool:
            return
        if world.choice == "each":
            self.each(pool)
            return
        order = sorted(pool, key=lambda item: -world.score(item))
        if world.choice == "worst":
            order.reverse()
        elif world.choice == "taste":
            order.sort(key=lambda item: draw(world.seed, sorted(pool), item))
        best = order[: world.winners if world.choice != "all" else None]
        if world.choice in ("floor", "all"):
            best = [item for item in best if world.score(item) >= FLOOR]
            self.went.hidden |= world.choice == "all" and len(best) == 1 < len(order)  # as if it took one
        others = [item for item in order if item not in best]
        with self.step("choose", "select") as step:
            for item in pool if draw(world.seed, "scores") < 0.7 or world.whole else ():
                step.score(item, world.score(item))
            if world.whole:
                step.cutoff(world.winners)
            said = others[: round(world.named * len(others))]
            alternatives = [{"id": one, "score": world.score(one)} for one in said]
            step.decide("pick", list(best), "best", alternatives=alternatives)
        self.went.chosen = set(best)
        by_score = sorted(pool, key=lambda item: -world.score(item))[: len(best)]
        self.went.by_score = set(by_score) == set(best)


def record(worlds: Sequence[World], other: Sequence[Limits] = ()) -> tuple[dict[str, Went], Reader, DuckStore]:
    """Run the worlds as they are, and with other limits where given, recorded; and store what a server makes of it."""
    went: dict[str, Went] = {}
    with testing.capture() as captured:
        for world in worlds:
            with XRay(world.name).run(run_id=world.name) as run:
                went[world.name] = Execution(world, {}, run).go()
        for world, limits in zip(worlds, other, strict=False):
            with XRay(world.name).run(run_id=f"{world.name}-b") as run:
                went[f"{world.name}-b"] = Execution(world, limits, run).go()
        records: list[AnyRecord] = sorted(captured.records, key=lambda one: type(one) is not Run)
    for one in records:
        check(one)
    store = DuckStore()
    store.insert(Commit(build([Sent("default", "oracle", 1, records)], ShapeBook(), PipelineMemory()).tables))
    return went, store.project("default"), store


def again(world: World, limits: Limits) -> Went:
    """Run a world with other limits, not recorded."""
    with XRay(world.name, disabled=True).run() as run:
        return Execution(world, limits, run).go()
