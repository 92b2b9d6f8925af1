"""Pipelines that run for real, and know what became of every item.

`execute` draws a pipeline from a seed and runs it as plain Python over plain lists; while it runs it writes a `Book`
of what truly happened to each thing at each step. The book comes from the lists and the pipeline's own comparisons:
nothing of the product's reasoning, and nothing that was recorded, is asked. What the pipeline *says* of itself to the
SDK goes through a `Voice`; the plain one says all of it, the others (`badly`) do not, and the book stays the same.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from dxray import XRay
from dxray.sdk.null import NullRun
from dxray.sdk.run import Run
from dxray.sdk.step import Step
from tests.oracles.book import Book, Place, Thing
from tests.oracles.voices import TESTS, Instrument, Limit, Voice


class Failed(Exception):
    """What stops a pipeline, or an attempt."""


@dataclass(slots=True)
class Executed:
    """A pipeline that ran."""

    run_id: str
    book: Book


class Sourced:
    """The beginning of a pipeline, and what all its steps need."""

    def __init__(self, run: Run | NullRun, chance: random.Random, instrument: Instrument, book: Book) -> None:
        self.run, self.chance, self.instrument, self.book = run, chance, instrument, book
        self.level = 0
        self.pool: list[Thing] = []
        self.dropped: list[Thing] = []
        self.handles: list[Step] = []  # the steps that left the pool, for `after`
        self.names: dict[str, int] = {}

    @contextmanager
    def at(
        self, kind: str, name: str | None = None, after: list[Step] | None = None, attempt: int | None = None
    ) -> Iterator[tuple[Place, Voice]]:
        """One step: `kind` is its type."""
        if name is None:
            number = self.names[kind] = self.names.get(kind, 0) + 1
            name = f"{kind}{number}"
        place = Place(name, self.level, self.instrument.mentions(name, kind))
        self.book.places.append(place)
        if not place.mentioned:
            yield place, self.instrument.voice(None, self.book, place, kind)
            return
        given = None if after is None or not after else after
        step = self.run.step(name, kind, after=given, attempt=attempt, capture=self.instrument.capture)
        assert isinstance(step, Step)
        self.handles = [step]
        with step:
            yield place, self.instrument.voice(step, self.book, place, kind)

    def next_level(self) -> list[Step]:
        self.level += 1
        return list(self.handles)

    def some(self, things: Iterable[Thing], share: float = 0.4) -> list[Thing]:
        return [thing for thing in things if self.chance.random() < share]

    def product(self, number: int, made_from: list[Thing]) -> Thing:
        draw = self.chance
        facts = {"price": draw.randint(10, 2000) / 10, "rating": draw.randint(10, 50) / 10, "stock": draw.randint(0, 9)}
        return self.book.new(Thing(f"sku:{number}", f"Product {number}", facts, made_from))

    # -- what a pipeline does ---------------------------------------------------------------------------

    def retrieve(self) -> None:
        """Keywords, and a search for them: one step for all, a turn for each, or a bare list."""
        how = self.chance.choice(("keywords", "turns", "bare"))
        count = self.chance.randint(3, 12)
        if how == "bare":
            with self.at("retrieve") as (place, voice):
                voice.ran_with(index="v1", top=count)
                for number in range(count):
                    self.came(place, voice, self.product(number, []))
            return
        words = [self.book.new(Thing(f"kw:{n}", f"word {n}", {})) for n in range(self.chance.randint(1, 3))]
        with self.at("generate") as (place, voice):
            voice.ran_with(model="m1")
            for word in words:
                self.book.note(place, word, "kept")
                voice.produce(word, False)
        numbers = iter(range(count))
        for turn in [words] if how == "keywords" else [[word] for word in words]:
            self.next_level()
            with self.at("retrieve", "retrieve" if how == "turns" else None) as (place, voice):
                for word in turn:
                    found = list(zip(range(count if how == "keywords" else 4), numbers, strict=False))
                    for _, number in found:
                        self.came(place, voice, self.product(number, [word]))
                    if found:
                        self.book.note(place, word, "consumed")
                    else:
                        self.book.note(place, word, "rejected", reason="nothing_found")
                        voice.reject(word, "nothing_found")
        self.flatten({"retrieve"} if how == "turns" else set())

    def flatten(self, names: set[str]) -> None:
        """The turns of a loop take nothing of each other: they stand side by side."""
        for place in self.book.places:
            if place.name in names:
                place.level = self.level

    def came(self, place: Place, voice: Voice, thing: Thing) -> None:
        self.book.note(place, thing, "kept")
        self.pool.append(thing)
        voice.produce(thing, self.chance.random() < 0.5)

    def losing(self) -> None:
        """Now and then things get lost between two steps: a list cut short, an exception swallowed."""
        if len(self.pool) > 2 and self.chance.random() < 0.25:
            for thing in self.some(self.pool, 0.3):
                self.pool.remove(thing)

    def limits(self) -> list[Limit]:
        choices: list[Limit] = [
            ("price", "<=", self.chance.randint(60, 180), "price_too_high"),
            ("rating", ">=", self.chance.randint(15, 35) / 10, "low_rating"),
            ("stock", ">", 1, "out_of_stock"),
            ("price", ">=", 20, "suspiciously_cheap"),
        ]
        return self.chance.sample(choices, self.chance.randint(1, 3))


class Sifting(Sourced):
    """Steps that look at the things one after another."""

    def filter(self) -> None:
        """Rules, short-circuit or all of them; reasons by hand; or many at once."""
        self.losing()
        self.next_level()
        how = self.chance.choice(("rules", "rules", "all", "plain", "columns", "filtered", "mask"))
        limits = self.limits()
        with self.at("filter") as (place, voice):
            self.sift(place, voice, how, limits)

    def sift(self, place: Place, voice: Voice, how: str, limits: list[Limit]) -> None:
        voice.takes(self.pool)
        voice.ran_with(limits=len(limits))
        kept: list[Thing] = []
        gone: list[Thing] = []
        for thing in self.pool:
            failed = [limit for limit in limits if not TESTS[limit[1]](thing.facts[limit[0]], limit[2])]
            facts = judged(thing, failed, how, limits)
            if how in ("rules", "all") and voice.judge(thing, limits, how == "all") == bool(failed):
                raise AssertionError(f"{limits} said otherwise of {thing.facts}")
            self.book.note(place, thing, "rejected" if failed else "kept", **(facts if failed else {}))
            (gone if failed else kept).append(thing)
            if how == "plain" and failed:
                field_ = failed[0][0]
                voice.reject(thing, failed[0][3], {field_: thing.facts[field_]})
            elif how in ("rules", "all", "plain") and not failed:
                voice.accept(thing, {"price": thing.facts["price"]} if self.chance.random() < 0.3 else None)
        if how in ("columns", "filtered", "mask"):
            voice.many(kept, gone, "not_wanted", how)
        voice.leaves(kept)
        self.pool = kept
        self.dropped += gone

    def twice(self) -> None:
        """A step that rejects again what it had rejected: the last word counts; and one that takes its word back."""
        self.losing()
        self.next_level()
        with self.at("filter") as (place, voice):
            voice.takes(self.pool)
            kept = []
            for thing in self.pool:
                first, second = self.chance.random() < 0.4, self.chance.random() < 0.4
                for bad, reason in ((first, "looks_odd"), (second, "is_odd")):
                    if bad:
                        voice.reject(thing, reason, {"price": thing.facts["price"]})
                if second:
                    earlier = {"said_first": "looks_odd"} if first else {}
                    self.book.note(place, thing, "rejected", reason="is_odd", **earlier)
                    self.dropped.append(thing)
                elif first and self.chance.random() < 0.5:
                    self.book.note(place, thing, "rejected", reason="looks_odd")
                    self.dropped.append(thing)
                else:
                    if first:
                        voice.take_back(thing)
                    else:
                        voice.accept(thing)
                    self.book.note(place, thing, "kept")
                    kept.append(thing)
            self.pool = kept

    def dedupe(self) -> None:
        self.losing()
        self.next_level()
        with self.at("merge") as (place, voice):
            voice.takes(self.pool)
            kept: list[Thing] = []
            for thing in self.pool:
                if kept and self.chance.random() < 0.3:
                    into = self.chance.choice(kept)
                    voice.merge(thing, into)
                    self.book.note(place, thing, "merged", into=into)
                else:
                    voice.accept(thing)
                    self.book.note(place, thing, "kept")
                    kept.append(thing)
            self.pool = kept
            voice.leaves(kept)

    def rewrite(self) -> None:
        """Each thing becomes one or more others, with their parents said."""
        self.losing()
        self.next_level()
        with self.at("transform") as (place, voice):
            voice.takes(self.pool)
            made: list[Thing] = []
            for thing in self.pool:
                for number in range(self.chance.choice((1, 1, 2, 3))):
                    child = Thing(f"{thing.id}/{place.name}.{number}", thing.name, dict(thing.facts), [thing])
                    made.append(self.book.new(child))
                    self.book.note(place, child, "kept")
                    voice.produce(child, False)
                self.book.note(place, thing, "consumed")
            self.pool = made


class Pipeline(Sifting):
    """One pipeline, drawn while it runs."""

    def branch(self) -> None:
        """Two filters side by side over the same list, and a step that joins what either left, or what both did."""
        self.losing()
        before = self.next_level()
        came, left, ends = list(self.pool), [], []
        for _ in range(2):
            with self.at("filter", after=before) as (place, voice):
                self.pool = list(came)
                self.sift(place, voice, self.chance.choice(("rules", "plain", "all")), self.limits()[:1])
            left.append(self.pool)
            ends += self.handles if place.mentioned else before
        self.dropped = [thing for thing in self.dropped if thing not in came]
        both = self.chance.random() < 0.4
        arriving = [thing for thing in came if thing in left[0] or thing in left[1]]
        self.pool = arriving
        self.losing()
        arriving, kept = self.pool, []
        self.next_level()
        with self.at("merge", after=list(dict.fromkeys(ends))) as (place, voice):
            voice.takes(arriving)
            for thing in arriving:
                if both and not (thing in left[0] and thing in left[1]):
                    voice.reject(thing, "not_in_both")
                    self.book.note(place, thing, "rejected", reason="not_in_both")
                    self.dropped.append(thing)
                else:
                    voice.accept(thing)
                    self.book.note(place, thing, "kept")
                    kept.append(thing)
            voice.leaves(kept)
        self.pool = kept

    def reinstate(self) -> None:
        """A person looks at what goes on and at some of what was dropped, and has the last word on both."""
        self.next_level()
        back = [thing for thing in self.some(dict.fromkeys(self.dropped)) if thing not in self.pool]
        self.dropped = [thing for thing in self.dropped if thing not in back]
        with self.at("approve") as (place, voice):
            self.pool += back
            voice.takes(self.pool)
            kept = []
            for thing in self.pool:
                if self.chance.random() < 0.25:
                    voice.reject(thing, "refused")
                    self.book.note(place, thing, "rejected", reason="refused")
                    self.dropped.append(thing)
                else:
                    voice.accept(thing)
                    self.book.note(place, thing, "kept")
                    kept.append(thing)
            self.pool = kept

    def retry(self) -> None:
        """An attempt that fails half way, or whose result is thrown away, and another after it."""
        self.losing()
        self.next_level()
        name, came, fails = f"retry{len(self.book.places)}", list(self.pool), self.chance.random() < 0.7
        before = list(self.handles)
        first: Place | None = None
        dropped = list(self.dropped)
        try:
            with self.at("filter", name, attempt=None if fails else 1) as (first, voice):
                self.pool = came[: len(came) // 2] if fails else came
                self.sift(first, voice, "plain", self.limits())
                if fails:
                    raise Failed("timeout")
        except Failed:
            pass
        assert first is not None
        self.book.forget(first)
        self.pool, self.dropped = list(came), dropped
        after = before if self.chance.random() < 0.5 else None
        with self.at("filter", name, after=after, attempt=None if fails else 2) as (place, voice):
            self.sift(place, voice, self.chance.choice(("rules", "plain")), self.limits())

    def top(self) -> None:
        """The best k of the scored go on."""
        self.losing()
        self.next_level()
        points = self.points()
        k = self.chance.randint(1, max(1, len(self.pool)))
        with self.at("rank") as (place, voice):
            voice.takes(self.pool)
            voice.cutoff(k)
            for thing in self.pool:
                voice.score(thing, points[id(thing)])
            order = sorted(self.pool, key=lambda thing: -points[id(thing)])
            for rank, thing in enumerate(order, 1):
                facts = {"rank": rank, "cutoff": k} if rank > k else {}
                self.book.note(place, thing, "outranked" if rank > k else "kept", **facts)
            self.pool = order[:k]
            self.dropped += order[k:]

    def points(self) -> dict[int, float]:
        """A score for each, no two alike."""
        marks = self.chance.sample(range(1000), len(self.pool))
        return {id(thing): mark / 1000 for thing, mark in zip(self.pool, marks, strict=True)}

    def select(self) -> None:
        """One winner or several; of the others some are named as alternatives, the rest only scored."""
        self.losing()
        if not self.pool:
            return
        self.next_level()
        points = self.points()
        k = self.chance.randint(1, min(3, len(self.pool)))
        with self.at("select") as (place, voice):
            voice.takes(self.pool)
            order = sorted(self.pool, key=lambda thing: -points[id(thing)])
            for thing in self.pool:
                voice.score(thing, points[id(thing)])
            voice.decide(order[:k], self.some(order[k:], 0.5), points)
            for rank, thing in enumerate(order, 1):
                verdict = "selected" if rank <= k else "outranked"
                self.book.note(place, thing, verdict, rank=rank, cutoff=k)
            self.pool = order[:k]

    def finish(self) -> None:
        """What is written of the winners."""
        self.next_level()
        with self.at("generate", "write") as (place, voice):
            voice.takes(self.pool)
            for thing in self.pool:
                voice.accept(thing)
                self.book.note(place, thing, "kept")

    def break_off(self) -> None:
        """The run fails in the middle of a filter."""
        self.next_level()
        self.book.cut_short = True
        with self.at("filter") as (place, voice):
            voice.takes(self.pool)
            for thing in self.pool[: len(self.pool) // 2]:
                if self.chance.random() < 0.5:
                    voice.reject(thing, "no")
                    self.book.note(place, thing, "rejected", reason="no")
                    self.pool = [one for one in self.pool if one is not thing]
                else:
                    voice.accept(thing)
                    self.book.note(place, thing, "kept")
            self.book.alive = {id(thing) for thing in self.pool}
            raise Failed("the model does not answer")


def judged(thing: Thing, failed: Sequence[Limit], how: str, limits: Sequence[Limit]) -> dict[str, Any]:
    """What an answer must say of a rejection: by the pipeline's own arithmetic."""
    if not failed:
        return {}
    if how not in ("rules", "all"):
        return {"reason": failed[0][3] if how == "plain" else "not_wanted", "predicate": None}
    name, op, threshold, reason = failed[0]
    observed = thing.facts[name]
    margin = threshold - observed if op in ("<=", "<") else observed - threshold
    predicate = {"field": name, "op": op, "threshold": threshold, "observed": observed, "margin": margin}
    also = [limit[0] for limit in limits if limit in failed[1:]] if how == "all" else []
    return {"reason": reason, "predicate": predicate, "also_failed": also}


STEPS = ("filter", "filter", "twice", "dedupe", "rewrite", "branch", "reinstate", "retry", "top")


def execute(xray: XRay, seed: int, instrument: Instrument | None = None) -> Executed:
    """Draw a pipeline by the seed, and run it."""
    chance = random.Random(seed)
    book = Book()
    breaks = chance.random() < 0.12
    with nullcontext() if not breaks else suppress(Failed), xray.run(input={"seed": seed}) as run:
        made = Pipeline(run, chance, instrument or Instrument(), book)
        made.retrieve()
        for name in chance.choices(STEPS, k=chance.randint(0, 5)):
            getattr(made, name)()
        if breaks:
            made.break_off()
        if made.pool and chance.random() < 0.6:
            made.select()
            if made.pool and chance.random() < 0.4:
                made.finish()
                if chance.random() < 0.3:
                    made.reinstate()
    return Executed(run.run_id, book)
