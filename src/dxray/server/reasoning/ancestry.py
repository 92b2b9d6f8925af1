"""Walking lineage, back to what has no parents and on to what came of it; merges are edges too. Pure functions.

What is next is asked of a function, a whole generation at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from dxray.server.reasoning.flow import Stage
from dxray.server.reasoning.shown import Row

How = Literal["parents", "merged"]


@dataclass(frozen=True, slots=True)
class Link:
    """One item came from another, or took another in, at a step."""

    parent: str
    child: str
    how: How
    step_id: str


Asking = Callable[[Sequence[str]], Iterable[Link]]


@dataclass(slots=True)
class Walk:
    """What was found going one way: `levels` are the items first met at each distance, from 1."""

    levels: list[list[str]] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    more: bool = False  # it went on, and was not followed

    def items(self) -> list[str]:
        """All items met, the nearest first."""
        return [item for level in self.levels for item in level]


def walk(start: str, ask: Asking, back: bool, levels: int, most: int) -> Walk:
    """From an item, generation by generation; an item is visited once, so that cycles end.

    `back`: to the parents, else to the children. At most `levels` generations are walked, and no generation after
    more than `most` items were met.
    """
    found = Walk()
    met = {start}
    frontier = [start]
    while frontier:
        links = list(dict.fromkeys(link for link in ask(frontier) if link.parent != link.child))
        ahead = [one for one in dict.fromkeys(_end(link, back) for link in links) if one not in met]
        if ahead and (len(found.levels) == levels or len(met) > most):
            found.more = True
            break
        found.links += links
        met.update(ahead)
        if ahead:
            found.levels.append(ahead)
        frontier = ahead
    return found


def _end(link: Link, back: bool) -> str:
    return link.parent if back else link.child


def links_of(lineage: Sequence[Row], merges: Sequence[Row], superseded: Collection[str], back: bool) -> list[Link]:
    """Rows of `lineage`, and events of merged items, as links.

    Of each item that was asked for, what a superseded attempt says counts only where no other says anything.
    """
    links = [Link(row["parent_id"], row["item_id"], "parents", row["step_id"]) for row in lineage]
    links += [Link(row["item_id"], row["ref_item"], "merged", row["step_id"]) for row in merges]
    counted = {_end(link, not back) for link in links if link.step_id not in superseded}
    return [link for link in links if link.step_id not in superseded or _end(link, not back) not in counted]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an item came in: the step that produced it, else the first that saw it."""

    name: str | None = None
    kind: str | None = None
    step_id: str | None = None
    step_name: str | None = None
    produced: bool = False


def origins_of(rows: Iterable[Row], stages: Sequence[Stage]) -> Mapping[str, Origin]:
    """By item, from its events. Of several steps that produced it, the first counts."""
    place = {stage.step_id: number for number, stage in enumerate(stages)}
    names: dict[str, str] = {}
    kinds: dict[str, str] = {}
    first: dict[str, tuple[bool, int]] = {}  # not produced there, the stage's number
    for row in rows:
        item = row["item_id"]
        if row["name"] is not None:
            names[item] = row["name"]
        if row["kind"] is not None:
            kinds[item] = row["kind"]
        here = (row["outcome"] != "produced", place.get(row["step_id"], len(stages)))
        first[item] = min(first.get(item, here), here)
    found = {}
    for item, (unsaid, number) in first.items():
        stage = stages[number] if number < len(stages) else None
        found[item] = Origin(
            names.get(item),
            kinds.get(item),
            stage.step_id if stage else None,
            stage.name if stage else None,
            not unsaid,
        )
    return found
