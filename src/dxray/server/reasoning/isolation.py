"""Which of the differences between two runs made one item's fate another: the smallest set that flips the decision.

Source: Zeller, *Isolating cause-effect chains from computer programs* (FSE 2002): differences are applied to one run,
some at a time, and the outcome is looked at; that is interventional, where a diff is only correlational. The test is a
replay of the first run with limits of the second. Up to eight differences are tried in sets of growing size, so that
the smallest is found; more by delta debugging (ddmin), which finds a set of which each member is needed. A replay that
cannot tell counts as no flip. Differences of config, and rules that the first run did not have, cannot be replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from dxray.server.filters import Clause
from dxray.server.reasoning.histories import OF_RUN, histories
from dxray.server.reasoning.limits import MAYBE, NO, YES, Array, Change, Limit, same
from dxray.server.reasoning.replay import At, History, replay
from dxray.server.reasoning.sentences import shown
from dxray.server.reasoning.shown import parsed
from dxray.server.store.base import Reader

_EXHAUSTIVE = 8
_ITEMS = 20
_KEPT = 300  # replays, of a byte an item: more than there are sets of eight differences


@dataclass(frozen=True, slots=True)
class Delta:
    """A rule of the first run as the second has it; `disable` where the second has none."""

    step_id: str
    step_name: str
    limit: Limit
    to: Any
    disable: bool = False

    @property
    def change(self) -> Change:
        """As replay takes it."""
        limit = self.limit
        return Change(limit.reason, self.to, self.disable, None, self.step_id, limit.field, limit.op)


@dataclass(frozen=True, slots=True)
class Isolated:
    """The smallest set that flips the decision; `certain` False where some set may. `tried`: replays."""

    deltas: tuple[Delta, ...]
    certain: bool
    tried: int


def minimal_changes(
    reader: Reader, a: str, b: str, aligned: Sequence[tuple[str, str]], items: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Of each of these items, the smallest set of limits of run `b` that gives it in run `a` the fate it has in `b`.

    `aligned` are the ids of the steps of both runs that stand for each other. Items whose fate is the same have none.
    Without `items`, those that only one of the runs chose; where neither chooses, those that only one kept to the end.
    """
    rows = {row["run_id"]: row for row in reader.select("runs", OF_RUN, [Clause("run_id", "in", [a, b])]).to_pylist()}
    one, other = (next(iter(histories(reader, [rows[run_id]]))) for run_id in (a, b))
    deltas, added = deltas_of(one, other, aligned)
    configs = _other_configs(reader, a, b, aligned)
    out = []
    here, there = _Replays(one), _Replays(other)
    for item in _either(here, there) if items is None else items:
        goes, wanted = here.fate(item), there.fate(item)
        if goes == wanted or MAYBE in (goes, wanted):
            continue
        found = isolate(deltas, partial(here.flips, item, wanted))
        out.append(_row(one, item, wanted, found, [*configs, *added]))
    return out


def _either(one: _Replays, other: _Replays) -> list[str]:
    """The items that only one of two runs chose, or kept to the end."""
    return sorted(one.kept() ^ other.kept())[:_ITEMS]


def deltas_of(one: History, other: History, aligned: Sequence[tuple[str, str]]) -> tuple[list[Delta], list[str]]:
    """The limits that differ, as changes of the first run; and the names of steps with rules that it did not have."""
    first, second = _by_id(one), _by_id(other)
    deltas, added = [], []
    for a, b in aligned:
        if a not in first or b not in second:
            continue
        mine, theirs = first[a], list(second[b].rules)
        for limit in mine.rules:
            same_rule = [rule for rule in theirs if _asks(rule) == _asks(limit)]
            if not same_rule:
                deltas.append(Delta(a, mine.stage.name, limit, None, disable=True))
                continue
            theirs.remove(same_rule[0])
            if not same(same_rule[0].threshold, limit.threshold):
                deltas.append(Delta(a, mine.stage.name, limit, same_rule[0].threshold))
        if theirs:
            added.append(mine.stage.name)
    return deltas, added


def _asks(limit: Limit) -> tuple[str, str, str]:
    return limit.field, limit.op, limit.reason


def _by_id(run: History) -> Mapping[str, At]:
    return {at.stage.step_id: at for at in run.at}


def isolate(deltas: Sequence[Delta], flips: Callable[[Sequence[Delta]], int]) -> Isolated:
    """The smallest set of deltas for which `flips` is YES; else all of them where it is MAYBE for all."""
    tried = 0

    def test(some: Sequence[Delta]) -> int:
        nonlocal tried
        tried += 1
        return flips(some)

    if len(deltas) <= _EXHAUSTIVE:
        maybe: tuple[Delta, ...] = ()
        for size in range(1, len(deltas) + 1):
            for some in combinations(deltas, size):
                found = test(some)
                if found == YES:
                    return Isolated(some, True, tried)
                maybe = maybe or (some if found == MAYBE else ())
        return Isolated(maybe, False, tried)
    whole = test(deltas)
    if whole != YES:
        return Isolated(tuple(deltas) if whole == MAYBE else (), False, tried)
    return Isolated(tuple(ddmin(list(deltas), lambda some: test(some) == YES)), True, tried)


def ddmin(deltas: list[Delta], flips: Callable[[Sequence[Delta]], bool]) -> list[Delta]:
    """A set of which no member can be left out (Zeller & Hildebrandt, TSE 2002)."""
    parts = 2
    while len(deltas) >= 2:
        size = -(-len(deltas) // parts)
        chunks = [deltas[n : n + size] for n in range(0, len(deltas), size)]
        smaller = next((chunk for chunk in chunks if flips(chunk)), None)
        if smaller is not None:
            deltas, parts = smaller, 2
            continue
        rests = ([one for one in deltas if one not in chunk] for chunk in chunks)
        rest = next((some for some in rests if len(chunks) > 2 and flips(some)), None)
        if rest is not None:
            deltas, parts = rest, max(parts - 1, 2)
            continue
        if parts >= len(deltas):
            break
        parts = min(len(deltas), 2 * parts)
    return deltas


class _Replays:
    """A run with sets of differences applied, each set replayed once for all its items."""

    def __init__(self, run: History) -> None:
        self._run = run
        self._place = {item: place for place, item in enumerate(run.items)}
        self._fates: dict[frozenset[int], Array] = {}

    def fate(self, item: str, deltas: Sequence[Delta] = ()) -> int:
        """Whether the item is chosen, or where nothing is chosen, kept to the end."""
        return int(self._all(deltas)[self._place[item]]) if item in self._place else NO

    def kept(self) -> set[str]:
        """All items of which that is so, with nothing applied."""
        return {self._run.items[place] for place in np.flatnonzero(self._all(()) == YES).tolist()}

    def flips(self, item: str, wanted: int, deltas: Sequence[Delta]) -> int:
        """Whether the item comes to the wanted fate."""
        state = self.fate(item, deltas)
        return MAYBE if state == MAYBE else YES if state == wanted else NO

    def _all(self, deltas: Sequence[Delta]) -> Array:
        key = frozenset(map(id, deltas))  # each is one object, made once
        if key not in self._fates:
            if len(self._fates) >= _KEPT:
                self._fates.clear()
            self._fates[key] = _fates(self._run, deltas)
        return self._fates[key]


def _fates(run: History, deltas: Sequence[Delta]) -> Array:
    """The same of all items of the run."""
    found = replay(run, [delta.change for delta in deltas])
    if any(at.stage.decided for at in run.at):
        return found.winners_after
    fates = np.full(len(run.items), NO, dtype=np.int8)
    for into, out in zip(found.into, found.out, strict=True):
        fates = np.where(into != NO, out, fates)
    return fates


def _other_configs(reader: Reader, a: str, b: str, aligned: Sequence[tuple[str, str]]) -> list[str]:
    """The steps whose config differs: what that did cannot be replayed."""
    rows = reader.select(
        "steps", ["run_id", "step_id", "step_name", "config"], [Clause("run_id", "in", [a, b])]
    ).to_pylist()
    config = {(row["run_id"], row["step_id"]): row for row in rows}
    out = []
    for one, other in aligned:
        first, second = config.get((a, one)), config.get((b, other))
        if first and second and parsed(first["config"]) != parsed(second["config"]):
            out.append(str(first["step_name"]))
    return out


def _row(run: History, item: str, wanted: int, found: Isolated, not_replayed: Sequence[str]) -> dict[str, Any]:
    changes = [
        {
            "step_id": delta.step_id,
            "step_name": delta.step_name,
            "reason": delta.limit.reason,
            "field": delta.limit.field,
            "op": delta.limit.op,
            "from": delta.limit.threshold,
            "to": delta.to,
            "disable": delta.disable,
        }
        for delta in found.deltas
    ]
    exactness = "certain" if found.certain else "replay_needed" if not_replayed and not changes else "bounded"
    return {
        "item_id": item,
        "becomes": "kept" if wanted == YES else "dropped",
        "changes": changes,
        "exactness": exactness,
        "not_replayed": sorted(set(not_replayed)),
        "sentence": _sentence(item, wanted, found, not_replayed),
    }


def _sentence(item: str, wanted: int, found: Isolated, not_replayed: Sequence[str]) -> str:
    if not found.deltas:
        fate = "comes through" if wanted == YES else "is dropped"
        why = "no limit that differs between the runs makes that difference"
        if not_replayed:
            why += f"; {' and '.join(sorted(set(not_replayed)))} would have to run again with the other config"
        return f"That {shown(item)} {fate} in the other run is not explained: {why}."
    said = " and ".join(
        f"the rule {shown(one.limit.reason)} switched off"
        if one.disable
        else f"{shown(one.limit.reason)} at {shown(one.to)} instead of {shown(one.limit.threshold)}"
        for one in found.deltas
    )
    fates = ("comes through", "is dropped") if found.certain else ("may come through", "may be dropped")
    return f"With {said}, {shown(item)} {fates[wanted != YES]}, as in the other run."
