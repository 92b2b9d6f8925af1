"""Pipelines whose calls of the SDK leave out, repeat or misstate what happens, as people's do.

Each pipeline has a few habits, drawn by its seed; a habit holds for some of its steps or for all. What truly happens
does not change, only what is said of it. None of the habits invents an outcome: nobody writes `accept` for what the
code drops. One thing is taken as said: a step that takes back what others dropped, and says nothing of it, is of the
type `approve`; of a filter or a rank that is silent, no reader expects that it brings the dead back. And who says
what comes in at a step says all of it: a log of some of what was found is by itself the same as one of all.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from dxray.sdk.step import Step
from tests.oracles.book import Book, Place, Thing
from tests.oracles.voices import TESTS, Instrument, Limit, Voice

# For a step, how likely each is once it is one of the pipeline's habits.
HABITS: dict[str, float] = {
    "no_produce": 1.0,  # items enter, and nobody says so
    "no_counts": 1.0,  # no set_input_count, no set_output_count
    "wrong_counts": 0.5,  # counted before a list was cut, or after it was deduplicated
    "silent": 0.3,  # `with run.step(...)` and nothing in it
    "missing": 0.25,  # not even that
    "no_keep": 0.6,  # only what is dropped is said
    "only_keep": 0.4,  # only what goes on is said
    "by_count": 0.4,  # accepted only by count
    "no_rules": 1.0,  # the comparison is plain code, and the reason comes without a value
    "no_config": 1.0,
    "no_scores": 0.5,  # winners are named, and nothing else
    "some": 0.4,  # what becomes of some of the items is logged, of the others not
    "no_parents": 1.0,
}
IDS = (*["own"] * 9, "places", "one_number", "fresh")


class Badly(Instrument):
    """The habits of one pipeline's author."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(f"badly {seed}")
        self.habits = self.chance.sample(list(HABITS), self.chance.choice((1, 1, 2, 3)))
        self.ids = self.chance.choice(IDS)
        self.used: dict[str, int] = {}
        self.known: dict[str, bool] = {}

    def mentions(self, name: str, kind: str) -> bool:
        if name not in self.known:  # a step that is tried again is the same code
            self.known[name] = "missing" not in self.habits or self.chance.random() >= HABITS["missing"]
        return self.known[name]

    def voice(self, step: Step | None, book: Book, place: Place, kind: str) -> Voice:
        book.own_ids = self.ids == "own"
        if step is None:
            return Nobody(step, book, place)
        here = {habit for habit in self.habits if self.chance.random() < HABITS[habit]}
        return Mumbled(step, book, place, here, self)


class Mumbled(Voice):
    """A step's voice with the habits that hold for it."""

    def __init__(self, step: Step | None, book: Book, place: Place, here: set[str], author: Badly) -> None:
        super().__init__(step, book, place)
        self.here, self.author = here, author
        self.given: dict[int, str] = {}  # ids by thing, at this step

    def id(self, thing: Thing) -> str:
        """The id that the author gives: the thing's own, its place in this step's list, or a new one at each step."""
        known = self.given.get(id(thing))
        if known is None:
            known = self.given[id(thing)] = self._new_id(thing)
            said = self.book.ids.setdefault(known, [])
            if thing not in said:
                said.append(thing)
        return known

    def _new_id(self, thing: Thing) -> str:
        how = self.author.ids
        if how == "places":
            return str(len(self.given))
        if how == "one_number":
            return thing.id.split(":")[1]  # keyword 0 and product 0 are both "0"
        if how == "fresh":
            self.author.used[self.place.name] = number = self.author.used.get(self.place.name, 0) + 1
            return f"{self.place.name}-{number}"
        return thing.id

    def takes(self, things: Sequence[Thing]) -> None:
        if self.author.ids == "places":
            for thing in things:
                self.id(thing)
        if not self.here & {"no_counts", "silent"}:
            self._step.set_input_count(len(things) + self._off())

    def leaves(self, things: Sequence[Thing]) -> None:
        if not self.here & {"no_counts", "silent"}:
            self._step.set_output_count(max(0, len(things) + self._off()))

    def _off(self) -> int:
        return self.author.chance.randint(0, 3) if "wrong_counts" in self.here else 0

    def ran_with(self, **config: Any) -> None:
        if not self.here & {"no_config", "silent"}:
            super().ran_with(**config)

    def produce(self, thing: Thing, with_facts: bool) -> None:
        if not self.here & {"silent", "no_produce"}:
            parents = None if "no_parents" in self.here else [self.id(one) for one in thing.made_from] or None
            evidence = dict(thing.facts) if with_facts else None
            self._step.produce(self.id(thing), thing.name, parents, evidence=evidence)

    def accept(self, thing: Thing, evidence: dict[str, Any] | None = None) -> None:
        if self._says("no_keep", "by_count"):
            super().accept(thing, evidence)

    def reject(self, thing: Thing, reason: str, evidence: dict[str, Any] | None = None) -> None:
        if self._says("only_keep"):
            super().reject(thing, reason, None if "no_rules" in self.here else evidence)

    def take_back(self, thing: Thing) -> None:
        """Whoever wrote `reject` and thinks better of it writes so: else the false word would stand."""
        if "silent" not in self.here:
            super().take_back(thing)

    def judge(self, thing: Thing, limits: Sequence[Limit], all_of_them: bool) -> bool:
        if not self.here & {"no_rules", "only_keep", "silent", "some"}:
            return super().judge(thing, limits, all_of_them)
        failed = [limit for limit in limits if not _passes(thing, limit)]
        if failed:
            self.reject(thing, failed[0][3])
        return not failed

    def merge(self, thing: Thing, into: Thing) -> None:
        if self._says("only_keep"):
            super().merge(thing, into)

    def score(self, thing: Thing, points: float) -> None:
        if self._says("no_scores"):
            super().score(thing, points)

    def cutoff(self, k: int) -> None:
        if "silent" not in self.here:
            super().cutoff(k)

    def decide(self, winners: Sequence[Thing], others: Sequence[Thing], points: dict[int, float]) -> None:
        if "silent" not in self.here:
            super().decide(winners, [] if self.here & {"no_scores", "only_keep"} else others, points)

    def many(self, kept: Sequence[Thing], gone: Sequence[Thing], reason: str, how: str) -> None:
        kept = [one for one in kept if self._says("no_keep", "by_count")]
        gone = [one for one in gone if self._says("only_keep")]
        super().many(kept, gone, reason, how)

    def _says(self, *habits: str) -> bool:
        """Whether a call is there: none in a silent step, not those of a habit, some where only some are logged."""
        if self.here & {"silent", *habits}:
            return False
        return "some" not in self.here or self.author.chance.random() < 0.5


def _passes(thing: Thing, limit: Limit) -> bool:
    return TESTS[limit[1]](thing.facts[limit[0]], limit[2])


class Nobody(Voice):
    """The voice of a step that the code does not mention."""

    def __getattribute__(self, name: str) -> Any:
        if name == "judge":
            return lambda thing, limits, all_of_them: all(_passes(thing, limit) for limit in limits)
        return _nothing


def _nothing(*args: Any, **more: Any) -> None:
    return None
