"""What the difference between two scores is made of: the parts that were recorded with them. Pure functions.

Differences are of the one item less the other: positive ones speak for the first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

REST = "not explained by parts"
_EXACT = 1e-9  # below this, parts sum to their score

Spreads = Mapping[str, tuple[float, float]]  # the lowest and the highest of each part among all that were scored


@dataclass(frozen=True, slots=True)
class Component:
    """One part of both scores; None where an item was given no such part, which then adds nothing to its score."""

    name: str
    item: float | None
    over: float | None
    delta: float
    recorded: bool = True  # False of what the parts leave unexplained


@dataclass(frozen=True, slots=True)
class Change:
    """How far one part of the lower score must rise to bring both level: past that, they swap."""

    name: str
    old: float | None
    new: float
    by: float
    share: float | None  # of the spread that the part has among the scored; None where it does not vary
    seen: bool  # whether another item there has as much


def numbers_of(parts: Mapping[str, Any] | None) -> dict[str, float]:
    """Those parts that are finite numbers."""
    found = {}
    for name, value in (parts or {}).items():
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf:
            found[name] = float(value)
    return found


def components(scores: tuple[float, float], item: Mapping[str, float], over: Mapping[str, float]) -> list[Component]:
    """The differences part by part, the largest first. They sum to the gap: what is left is a component of its own."""
    found = [
        Component(name, item.get(name), over.get(name), item.get(name, 0.0) - over.get(name, 0.0))
        for name in dict.fromkeys([*item, *over])
    ]
    found.sort(key=lambda one: (-abs(one.delta), one.name))
    rest = math.fsum([scores[0], -scores[1], *(-one.delta for one in found)])
    if abs(rest) > _EXACT:
        own = math.fsum([scores[0], *(-value for value in item.values())])
        other = math.fsum([scores[1], *(-value for value in over.values())])
        found.append(Component(REST, own, other, rest, recorded=False))
    return found


def swaps(component: Component, gap: float) -> bool:
    """Whether the two would be level or swapped if both had the same in this part."""
    return gap != 0 and component.delta * math.copysign(1.0, gap) >= abs(gap) - _EXACT


def spreads_of(rows: Iterable[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Of the parts of many items, the lowest and the highest of each."""
    found: dict[str, tuple[float, float]] = {}
    for parts in rows:
        for name, value in parts.items():
            low, high = found.get(name, (value, value))
            found[name] = (min(low, value), max(high, value))
    return found


def smallest_change(found: Sequence[Component], gap: float, spreads: Spreads) -> Change | None:
    """The one part whose rise would swap the two that is the least out of the common; None where there is no gap.

    The parts of a score add up, so each would have to rise by the whole gap. What tells them apart is how far that is
    for the part: within what other items have, and as a share of how much it varies.
    """
    best: tuple[tuple[bool, float, str], Change] | None = None
    for one in found:
        if not one.recorded or gap == 0:
            continue
        old, by = (one.over if gap > 0 else one.item), abs(gap)
        new = (old or 0.0) + by
        low, high = spreads.get(one.name, (0.0, 0.0))
        share = by / (high - low) if high > low else None
        change = Change(one.name, old, new, by, share, seen=high >= new)
        key = (not change.seen, math.inf if share is None else share, one.name)
        if best is None or key < best[0]:
            best = (key, change)
    return None if best is None else best[1]
