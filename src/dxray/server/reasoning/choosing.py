"""How a choice seems to have chosen, and what it takes then of other items. Pure functions.

A choice that took what scores best may take so many, or what has at least a certain score, or the best if they have. A
recorded cut-off says that it is the number. Without one all are kept in mind: an item is chosen for certain only where
it would be either way, so one with a lower score than any that was ever chosen is not. One winner in every run is taken
for a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dxray.server.reasoning.flow import Stage
from dxray.server.reasoning.limits import MAYBE, NO, YES, Array


class Chose(Protocol):
    """What is asked of a step of a run."""

    stage: Stage
    present: Array
    choices: int
    least_won: float
    varies: bool

    @property
    def dropped(self) -> Array:
        """What it did not let pass, choices apart."""

    @property
    def won(self) -> Array:
        """What it chose."""


@dataclass(frozen=True, slots=True)
class How:
    """The best `number` go on. `floor`: surely chosen is only what has this score; `ceiling`: what has a higher one
    than this may go on beside them. Both are infinite where the number is recorded."""

    number: int
    floor: float = -np.inf
    ceiling: float = np.inf


def how_it_chose(at: Chose, score: Array) -> How | None:
    """None where nothing shows that it takes exactly the best scores."""
    won = at.won
    lost = at.present & ~at.dropped & ~won
    if at.choices > 1:  # one of each kind, perhaps
        return None
    if np.isnan(score[won | lost]).any() or not won.any():
        return None
    if lost.any() and score[won].min() < score[lost].max():
        return None
    limit, taken = at.stage.cutoff, int(won.sum())
    if limit is not None and (not at.stage.decided or taken == limit or (taken < limit and not lost.any())):
        return How(limit)
    if not lost.any():
        return None
    least = min(float(score[won].min()), at.least_won)
    by_number = taken == 1 and not at.varies
    return How(taken, least, np.inf if by_number else float(score[lost].max()))


def chosen(how: How, able: Array, score: Array, others: bool) -> Array:
    """What goes on of those that can come. Ties count for the others where it must be certain, and against them where
    possible."""
    coming, sure = able != NO, able == YES
    unknown = np.isnan(score)
    of_sure = np.sort(score[sure & ~unknown])
    of_all = np.sort(score[coming & ~unknown])
    above = len(of_sure) - np.searchsorted(of_sure, score, side="right")  # of those that surely come
    level = len(of_all) - np.searchsorted(of_all, score, side="left") - 1 + int((coming & unknown).sum())
    wins = sure & ~unknown & (level < how.number) & (not others) & (score >= how.floor)
    loses = ~coming | (~unknown & (above >= how.number) & (score <= how.ceiling))
    return np.where(wins, YES, np.where(loses, NO, MAYBE)).astype(np.int8)
