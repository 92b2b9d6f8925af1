"""The cheapest changes of limits after which one run decides otherwise of one item. Pure functions.

Source: counterfactual explanations (Wachter, GeCo), here over recorded rules only. An *option* is a rule that stops the
item, with the least other limit that lets it pass. Its cost is how far the limit moves, over the standard deviation of
what that step of the pipeline observed; 1 where there is no such distance (texts, truths, lists), 2 for switching the
rule off. Sets of options are tried in order of their total cost, each by replaying the whole run, so that the first
that reaches the goal is the cheapest; all subsets of up to eight options are tried where none does. With more, the
search stops after as many trials, and says so.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from dxray.server.reasoning.limits import NO, YES, Change, Limit, as_double, holds, is_number
from dxray.server.reasoning.replay import History, Replayed, judge, replay

EXHAUSTIVE = 8  # options of which all subsets are tried
_TRIALS = 2**EXHAUSTIVE
SELECTED, MAY_BE_SELECTED, KEPT, MAY_BE_KEPT, STOPPED = 4, 3, 2, 1, 0
_OTHER_KIND, _OFF = 1.0, 2.0

Spreads = Mapping[tuple[str, str], float]  # by step name and field


@dataclass(frozen=True, slots=True)
class Option:
    """One rule with another limit."""

    step_id: str
    step_name: str
    limit: Limit
    to: Any
    disable: bool
    observed: Any
    cost: float

    @property
    def change(self) -> Change:
        """As replay takes it."""
        limit = self.limit
        return Change(limit.reason, self.to, self.disable, None, self.step_id, limit.field, limit.op)


@dataclass(frozen=True, slots=True)
class Cheapest:
    """The set that takes the item furthest, the cheapest single option that does, and whether all was tried."""

    options: tuple[Option, ...]
    reaches: int
    single: Option | None
    proved: bool


def options(run: History, item: int, spreads: Spreads) -> list[Option]:
    """The rules that stop an item, or by its known facts would, each with the limit that lets it pass."""
    found = []
    for at in run.at:
        passes = judge(at, (), run.by_hand).passes
        kept = at.present[item] and not at.dropped[item]
        for n, limit in enumerate(at.rules):
            known = bool(at.observed[n].known[item])
            value = at.observed[n].value(item)
            fails = passes[n][item] == NO or (known and not kept and not holds(value, limit.op, limit.threshold))
            if fails or at.asked[n][item] == 0:
                to = passing(limit, value) if known else None
                cost = _cost(limit, to, spreads.get((at.stage.name, limit.field)))
                found.append(Option(at.stage.step_id, at.stage.name, limit, to, to is None, value, cost))
    return found


def passing(limit: Limit, value: Any) -> Any:
    """The nearest threshold that a value passes; None where only switching the rule off helps."""
    if value in ("true", "false") and not _has_text(limit.threshold):
        value = value == "true"  # truths are stored as texts
    found = _passing(limit.op, limit.threshold, value)
    return found if found is not None and holds(value, limit.op, found) else None


def _passing(op: str, threshold: Any, value: Any) -> Any:
    if op in ("<=", ">=", "=="):
        return _like(value, threshold)
    if op in ("<", ">") and is_number(value):
        whole = float(value).is_integer() and isinstance(threshold, int)
        toward = math.inf if op == "<" else -math.inf
        return int(value) + (1 if op == "<" else -1) if whole else math.nextafter(value, toward)
    if op == "between" and is_number(value):
        return [min(threshold[0], _like(value, threshold[0])), max(threshold[1], _like(value, threshold[1]))]
    if op == "in" and isinstance(threshold, list):
        return [*threshold, value]
    if op == "not_in" and isinstance(threshold, list):
        return [one for one in threshold if one != value]
    return None


def _has_text(threshold: Any) -> bool:
    return any(isinstance(one, str) for one in (threshold if isinstance(threshold, list) else [threshold]))


def _like(value: Any, threshold: Any) -> Any:
    """A whole number where the threshold is one; numbers are stored as doubles. None for another kind."""
    if is_number(value) and is_number(threshold):
        return int(value) if isinstance(threshold, int) and float(value).is_integer() else value
    return value if type(value) is type(threshold) else None


def _cost(limit: Limit, to: Any, spread: float | None) -> float:
    if to is None:
        return _OFF
    if limit.op == "between":
        far = max(abs(new - old) for new, old in zip(to, limit.threshold, strict=True))
    elif is_number(to) and is_number(limit.threshold):
        far = abs(to - limit.threshold)
    else:
        return _OTHER_KIND
    far = as_double(far)
    return far / spread if spread and far < inf else _OTHER_KIND


def cheapest(run: History, item: int, found: Sequence[Option]) -> Cheapest:
    """The cheapest set of these options that takes the item furthest."""
    best: tuple[int, tuple[Option, ...]] = (reached(run, replay(run, ()), item), ())
    single: Option | None = None
    single_reaches = STOPPED
    for trials, chosen in enumerate(_by_cost([option.cost for option in found])):
        if trials >= _TRIALS:
            return Cheapest(best[1], best[0], single if single_reaches == best[0] else None, proved=False)
        some = tuple(found[n] for n in chosen)
        reaches = reached(run, replay(run, [option.change for option in some]), item)
        if len(some) == 1 and reaches > single_reaches:
            single, single_reaches = some[0], reaches
        if reaches > best[0]:
            best = (reaches, some)
        if best[0] == SELECTED or (best[0] == KEPT and not any(at.stage.decided for at in run.at)):
            break
    if best[0] > STOPPED and (single_reaches != best[0] or single is None):
        single = _single(run, item, found, best[0])
    return Cheapest(best[1], best[0], single if best[1] else None, proved=True)


def _single(run: History, item: int, found: Sequence[Option], goal: int) -> Option | None:
    """The cheapest option that reaches the goal alone."""
    for option in sorted(found, key=lambda one: one.cost):
        if reached(run, replay(run, [option.change]), item) >= goal:
            return option
    return None


def reached(run: History, found: Replayed, item: int) -> int:
    """How far an item comes."""
    if any(at.stage.decided for at in run.at):
        state = int(found.winners_after[item])
        if state != NO:
            return SELECTED if state == YES else MAY_BE_SELECTED
    places = [n for n in range(len(run.at)) if found.into[n][item] != NO]
    if not places:
        return STOPPED
    last = places[-1]
    state = int(found.out[last][item])
    chosen = any(at.stage.decided for at in run.at[last:])
    if chosen and state == NO and run.at[last].stage.decided:
        return KEPT  # it came as far as the choice
    return KEPT if state == YES else STOPPED if state == NO else MAY_BE_KEPT


def _by_cost(costs: Sequence[float]) -> Iterator[tuple[int, ...]]:
    """All non-empty subsets, in order of their sum: each subset is reached from one other, once."""
    order = sorted(range(len(costs)), key=lambda n: costs[n])
    heap: list[tuple[float, int, tuple[int, ...]]] = [(costs[order[0]], 1, (0,))] if costs else []
    while heap:
        total, size, places = heapq.heappop(heap)
        yield tuple(order[n] for n in places)
        last = places[-1]
        if last + 1 < len(costs):
            ahead = costs[order[last + 1]]
            heapq.heappush(heap, (total + ahead, size + 1, (*places, last + 1)))
            heapq.heappush(heap, (total + ahead - costs[order[last]], size, (*places[:-1], last + 1)))


def spread(values: Any) -> float:
    """The standard deviation of what was observed; 0 where nothing varies."""
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    return float(known.std()) if len(known) > 1 else 0.0
