"""Whether an id means one thing through a run: a keyword and a product may share it, and places in a list are no ids.

Pure functions. Where an id means two things they say so in a sentence; no verdict is about either.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from dxray.server.reasoning.flow import Flow, Stage

if TYPE_CHECKING:
    from dxray.server.reasoning.journey import Peers, Stop

_LONGEST_PLACE = 8  # digits


def strangers(flow: Flow, stage: Stage, peers: Peers) -> bool:
    """Whether a step holds items that nothing before it knew: then its ids are not those of the steps before."""
    return not known_before(flow, stage, peers).issuperset(peers.ids(stage.step_id))


def known_before(flow: Flow, stage: Stage, peers: Peers) -> set[str]:
    """The items that a step made, or that a step before it, or around it, knew."""
    known: set[str] = set(peers.produced(stage.step_id))
    for before in flow.ancestors(stage.step_id):
        known.update(peers.ids(before))
    parent = stage.parent
    while parent is not None:
        known.update(peers.produced(parent))
        parent = flow.parent_of(parent)
    return known


def two_things(flow: Flow, stops: Sequence[Stop], peers: Peers, item: str) -> str | None:
    """One id for two things, a keyword and a product or the places of two lists."""
    return _made_twice(flow, stops) or _renumbered(flow, peers, item)


def _made_twice(flow: Flow, stops: Sequence[Stop]) -> str | None:
    made: list[tuple[Stage, str]] = []
    for stop in stops:
        outcomes = [event.outcome for event in stop.events]
        again = "produced" in outcomes and "consumed" in outcomes[: outcomes.index("produced")]
        names = {event.name for event in stop.events if event.outcome == "produced" and event.name is not None}
        other = [
            (stage, name)
            for stage, name in made
            if names and name not in names and stage.step_id in flow.ancestors(stop.stage.step_id)
        ]
        if again or other:
            first = other[0][0].name if other else stop.stage.name
            return f"{first} and {stop.stage.name} use the id for two different things"
        made += [(stop.stage, name) for name in names]
    return None


def _renumbered(flow: Flow, peers: Peers, item: str) -> str | None:
    """Places in a list taken for ids: a later step counts from 0 again, dropped places included."""
    if not _is_place(item):
        return None
    # A step of fewer items than the place does not count up to it; most ids that are numbers are ruled out so.
    listed = {one.step_id for one in flow.stages if int(item) <= one.entered + one.produced}
    for stage in flow.stages:
        befores = flow.ancestors(stage.step_id) & listed
        if stage.type == "approve" or not befores:
            continue
        ids = set(peers.ids(stage.step_id)) - set(peers.produced(stage.step_id))
        if not ids or not _counts_up(ids):
            continue
        numbered = any(_counts_up(peers.ids(before)) for before in befores)
        for before in befores if numbered else ():
            if ids & set(peers.dropped(before)):
                return _both_number(flow.stage(before), stage)
    return None


def shorter_list(flow: Flow, stage: Stage, peers: Peers, item: str) -> str | None:
    """What a step lacks may be the end of a shorter list, numbered anew."""
    if _is_place(item) and _counts_up(peers.ids(stage.step_id)):
        for before in flow.ancestors(stage.step_id):
            if _counts_up(peers.ids(before)):
                return _both_number(flow.stage(before), stage)
    return None


def _is_place(item: str) -> bool:
    return item.isdecimal() and len(item) <= _LONGEST_PLACE


def _both_number(first: Stage, then: Stage) -> str:
    return f"{first.name} and {then.name} both number their items from the start, so an id means two things"


def _counts_up(ids: Collection[str]) -> bool:
    """Whether these are the places of a list: 0, 1, 2, … or 1, 2, 3, …"""
    first = 0 if "0" in ids else 1
    return bool(ids) and all(map(ids.__contains__, map(str, range(first, first + len(ids)))))
