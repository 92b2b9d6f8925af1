"""What became of the items between the nodes of a graph.

A node tells what it returned. What that leaves in the state is the graph's to say: a channel may replace a list or add
to it. So what went is rejected only when a state that came after says that it is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dxray.integrations.adapter import inferred
from dxray.integrations.langchain_items import Items, Lists, evidence_of, lists_in, name_of, source_of
from dxray.sdk.guard import guard
from dxray.sdk.step import Step


def produce(step: Step, items: Items, before: Items) -> None:
    """Items that are new here. One whose source is that of a single item before is what became of it."""
    sources: dict[Any, list[str]] = {}
    for item_id, item in before.items() if items else ():
        sources.setdefault(source_of(item), []).append(item_id)
    for item_id, item in items.items():
        source = source_of(item)
        made_of = sources.get(source, []) if source is not None else []
        parents = made_of if len(made_of) == 1 else None
        step.produce(item_id, name=name_of(item), parents=parents, evidence=evidence_of(item))


def kept_and_new(step: Step, before: Items, after: Items) -> None:
    if kept := [item_id for item_id in after if item_id in before]:
        step.accept_many(kept)
    gone = {item_id: item for item_id, item in before.items() if item_id not in after}
    produce(step, {item_id: item for item_id, item in after.items() if item_id not in before}, gone)


def gone_of(before: Items, after: Items) -> Items:
    """What of `before` is not in `after`, but for what became something else that is."""
    left = {source_of(item) for item_id, item in after.items() if item_id not in before} - {None}
    sources = [source_of(item) for item in before.values()]
    return {
        item_id: item
        for item_id, item in before.items()
        if item_id not in after and not (source_of(item) in left and sources.count(source_of(item)) == 1)
    }


class Doubt:
    """Items that a node did not return, until a later state tells whether they are gone."""

    __slots__ = ("gone", "key", "level", "step", "sure", "words")

    def __init__(self, step: Step, level: int, key: str, gone: Items, words: str, sure: bool) -> None:
        self.step = step
        self.level = level
        self.key = key
        self.gone = gone
        self.words = words
        self.sure = sure  # without a later state: some of the list came back and some did not

    def settle(self, present: Iterable[str]) -> None:
        here = set(present)
        if left := [item_id for item_id in self.gone if item_id not in here]:
            self.step.reject_many(left, inferred(self.words))


class Flow:
    """One invocation of a graph: its levels (steps of LangGraph), and what is in doubt between them."""

    def __init__(self) -> None:
        self.level = 0
        self.last: list[Step] = []  # of the level before
        self.these: list[Step] = []  # of this level
        self._visits: dict[str, set[int]] = {}
        self._doubts: list[Doubt] = []
        self._keys: set[str] = set()  # under which items were seen

    def at(self, level: int) -> list[Step]:
        """The steps whose items a node of this level takes."""
        if level != self.level:
            self.level, self.last, self.these = level, self.these or self.last, []
        return self.last

    def visit(self, name: str) -> int:
        """How often a node was visited so far; branches of one level are one visit."""
        levels = self._visits.setdefault(name, set())
        levels.add(self.level)
        return len(levels)

    def saw(self, lists: Lists) -> None:
        self._keys.update(key for key, items in lists.items() if items)

    def returned(self, step: Step, name: str, before: Lists, inner: Items, after: Lists, alone: bool) -> None:
        """A node's end: `before` is its state's lists, `inner` what was found inside of it, `alone`: sent by `Send`."""
        self.saw(after)
        everything: Items = {**{i: item for items in before.values() for i, item in items.items()}, **inner}
        handled: Items = {}
        open_to = dict(everything)  # what no list of the node's speaks of
        for key, items in after.items():
            same = before.get(key)
            came = {**same, **inner} if same is not None else everything
            came = {item_id: item for item_id, item in came.items() if item_id not in handled}
            shared = any(item_id in came for item_id in items)
            if same is None and not shared and (items or not alone):
                produce(step, {i: item for i, item in items.items() if i not in everything}, {})
                continue
            kept_and_new(step, came, items)
            handled |= items
            open_to = {item_id: item for item_id, item in open_to.items() if item_id not in came}
            gone = gone_of(came, items)
            if gone:
                self._doubts.append(Doubt(step, self.level, key, gone, f"not in what {name} returned", shared))
        if open_to:
            step.accept_many(list(open_to))  # they stay in the state as they are

    def settle(self, state: Any, level: int | None = None) -> None:
        """A state that came after: of the levels before `level`, at the end of all."""
        if not self._doubts and level is not None:
            return
        lists = lists_in(state)
        self.saw(lists)
        doubts, self._doubts = self._doubts, []
        for doubt in doubts:
            seen = lists.get(doubt.key)
            if level is not None and (seen is None or doubt.level >= level):
                self._doubts.append(doubt)
            elif seen is not None and (seen or doubt.key in self._keys):
                with guard:
                    doubt.settle(seen)
            elif doubt.sure:
                with guard:
                    doubt.settle(())
