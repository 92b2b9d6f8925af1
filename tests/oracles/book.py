"""What truly happened in a run of a pipeline, and what follows from it for each thing: no word of the product's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False, slots=True)
class Thing:
    """One thing that a pipeline handles; two things may be given one id by whoever instruments badly."""

    id: str
    name: str | None
    facts: dict[str, float]
    made_from: list[Thing] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Place:
    """A step as it truly ran. Places of one level ran side by side; a higher level takes what a lower one left."""

    name: str
    level: int
    mentioned: bool = True  # whether the code says to the SDK that there is such a step


@dataclass(slots=True)
class Truth:
    """What became of a thing, and the facts behind it that the answer must have."""

    verdict: str
    step: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)  # fields of the answer, where the truth has them
    also: tuple[tuple[str, str | None], ...] = ()  # (verdict, step) that are true of it as well


@dataclass(slots=True)
class Entry:
    """What truly happened to a thing at a place. `outcome`: kept, or as a verdict says."""

    place: Place
    outcome: str
    facts: dict[str, Any]


@dataclass(slots=True)
class Book:
    """Everything that truly happened in one run."""

    places: list[Place] = field(default_factory=list)
    entries: dict[int, list[Entry]] = field(default_factory=dict)
    things: list[Thing] = field(default_factory=list)
    ids: dict[str, list[Thing]] = field(default_factory=dict)  # id as the SDK was told -> the things it was said of
    own_ids: bool = True  # each thing goes by its own id
    cut_short: bool = False  # the run failed, or still runs: what was alive has no fate yet
    alive: set[int] = field(default_factory=set)

    def new(self, thing: Thing) -> Thing:
        self.things.append(thing)
        self.entries[id(thing)] = []
        return thing

    def asked(self) -> list[str]:
        """Every id to ask of: those that were said, and those of products of which nothing was said.

        Keywords are asked of only where they are said: to whoever never names one they are no items.
        """
        return list(dict.fromkeys([*self.ids, *(thing.id for thing in self.things if self.own_ids and thing.facts)]))

    def called(self, item: str) -> list[Thing]:
        """The things that go by an id."""
        return self.ids.get(item) or [thing for thing in self.things if self.own_ids and thing.id == item]

    def note(self, place: Place, thing: Thing, outcome: str, **facts: Any) -> None:
        self.entries[id(thing)].append(Entry(place, outcome, facts))

    def forget(self, place: Place) -> None:
        """The attempt came to nothing: it is as if it had not been."""
        self.places.remove(place)
        for thing, entries in self.entries.items():
            self.entries[thing] = [entry for entry in entries if entry.place is not place]

    def fate(self, thing: Thing) -> Truth:
        """The true fate over the steps that the code mentions.

        A step that the code never mentions does not exist for whoever reads the record. So what became of a thing
        there shows as what it is between the steps around it: gone, without a word (`lost`), or still there.
        """
        said = [entry for entry in self.entries[id(thing)] if entry.place.mentioned]
        if not said:
            return Truth("interrupted" if self.cut_short else "never_retrieved")
        top = max(entry.place.level for entry in said)
        last = {id(entry.place): entry for entry in said if entry.place.level == top}
        ends = list(last.values())  # one for each of the branches side by side, in the order they ran
        kept = [entry for entry in ends if entry.outcome in ("kept", "selected")]
        if not kept:
            return _dropped(ends)
        later = any(place.level > top and place.mentioned for place in self.places)
        if self.cut_short and id(thing) in self.alive:
            chosen = [entry for entry in said if entry.outcome == "selected"]
            return _selected(chosen[-1]) if chosen else Truth("interrupted")
        if later and len(kept) < len(ends):
            # One branch kept it and another dropped it. Whether it was then lost, or the branch that dropped it had
            # the last word, is the same in every record: neither is to be said.
            return Truth("unknown")
        if later:
            return Truth("lost", kept[-1].place.name, also=tuple(("lost", one.place.name) for one in kept))
        chosen = [entry for entry in said if entry.outcome == "selected"]
        if chosen:
            return _selected(chosen[-1])
        return Truth("survived", kept[-1].place.name, also=tuple(("survived", one.place.name) for one in kept))


def _selected(entry: Entry) -> Truth:
    return Truth("selected", entry.place.name, entry.facts)


def _dropped(ends: Sequence[Entry]) -> Truth:
    """Dropped by every branch that had it: each is true, and where there is one it is told in full."""
    last = ends[-1]
    if len(ends) == 1:
        return Truth(last.outcome, last.place.name, last.facts)
    return Truth(last.outcome, last.place.name, also=tuple((one.outcome, one.place.name) for one in ends))
