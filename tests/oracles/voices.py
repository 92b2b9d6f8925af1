"""What a pipeline says of itself to the SDK: here all of it. `badly` has those that do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dxray.sdk.step import Step
from tests.oracles.book import Book, Place, Thing

Limit = tuple[str, str, float, str]  # field, operator, threshold, reason

TESTS: dict[str, Callable[[float, float], bool]] = {
    "<=": lambda value, limit: value <= limit,
    "<": lambda value, limit: value < limit,
    ">=": lambda value, limit: value >= limit,
    ">": lambda value, limit: value > limit,
}


class Voice:
    """What a pipeline says of one step: all that happens, as it happens."""

    def __init__(self, step: Step | None, book: Book, place: Place) -> None:
        self.step, self.book, self.place = step, book, place

    def id(self, thing: Thing) -> str:
        """The id under which the thing is spoken of here."""
        self.book.ids.setdefault(thing.id, [])
        if thing not in self.book.ids[thing.id]:
            self.book.ids[thing.id].append(thing)
        return thing.id

    def takes(self, things: Sequence[Thing]) -> None:
        """The things that came in."""
        self._step.set_input_count(len(things))

    def leaves(self, things: Sequence[Thing]) -> None:
        """The things that go on."""
        self._step.set_output_count(len(things))

    def ran_with(self, **config: Any) -> None:
        self._step.set_config(**config)

    def produce(self, thing: Thing, with_facts: bool) -> None:
        parents = [self.id(parent) for parent in thing.made_from] or None
        self._step.produce(self.id(thing), thing.name, parents, evidence=dict(thing.facts) if with_facts else None)

    def accept(self, thing: Thing, evidence: dict[str, Any] | None = None) -> None:
        self._step.accept(self.id(thing), evidence=evidence)

    def reject(self, thing: Thing, reason: str, evidence: dict[str, Any] | None = None) -> None:
        self._step.reject(self.id(thing), reason, evidence)

    def take_back(self, thing: Thing) -> None:
        """It was rejected here, and is accepted after all."""
        self._step.accept(self.id(thing))

    def judge(self, thing: Thing, limits: Sequence[Limit], all_of_them: bool) -> bool:
        """Whether the thing passes, by the rules of the SDK."""
        if all_of_them:
            return bool(self._step.require_all(limits).passes(self.id(thing), thing.facts))
        return all(self._step.require(*limit).passes(self.id(thing), thing.facts[limit[0]]) for limit in limits)

    def merge(self, thing: Thing, into: Thing) -> None:
        self._step.merge(self.id(thing), self.id(into))

    def score(self, thing: Thing, points: float) -> None:
        self._step.score(self.id(thing), points, {"rating": points})

    def cutoff(self, k: int) -> None:
        self._step.cutoff(k)

    def decide(self, winners: Sequence[Thing], others: Sequence[Thing], points: dict[int, float]) -> None:
        alternatives = [{"id": self.id(other), "score": points[id(other)]} for other in others]
        selected = [self.id(winner) for winner in winners]
        self._step.decide("pick", selected if len(selected) > 1 else selected[0], "best", alternatives=alternatives)

    def many(self, kept: Sequence[Thing], gone: Sequence[Thing], reason: str, how: str) -> None:
        """A filter told at once: as columns, as what was given and left, or as a mask."""
        if how == "columns":
            self._step.accept_many([self.id(one) for one in kept])
            prices = [one.facts["price"] for one in gone]
            self._step.reject_many([self.id(one) for one in gone], reason, {"price": prices})
        elif how == "filtered":
            self._step.filtered([*kept, *gone], kept, reason, key=self.id)
        else:
            rows = [self.id(one) for one in (*gone, *kept)]
            self._step.mask(rows, [number >= len(gone) for number in range(len(rows))], reason)

    @property
    def _step(self) -> Step:
        assert self.step is not None
        return self.step


class Instrument:
    """Who wrote the calls of the SDK into a pipeline: opens a step, and gives it its voice."""

    capture: str | None = None

    def mentions(self, name: str, kind: str) -> bool:
        """Whether the code mentions a step at all."""
        return True

    def voice(self, step: Step | None, book: Book, place: Place, kind: str) -> Voice:
        return Voice(step, book, place)
