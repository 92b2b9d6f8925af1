"""How far repetitions agree: the same question put several times, and what was answered. Pure functions.

Each repetition has a *unit* (what was asked) and a *value* (what came out), as numbers from 0; a value below 0 is not
known, and a unit counts where two or more values are.

- Units whose values are all the same: for raw outputs this is TARr@N, the total agreement rate of *Non-Determinism of
  "Deterministic" LLM Settings* (arXiv 2408.04667).
- The chance that two repetitions of a unit differ, the mean over units; it does not depend on how many there are.
- Entropy of a unit's values in bits, as counted: low for few repetitions.
- Krippendorff's alpha of nominal data (*Computing Krippendorff's Alpha-Reliability*, 2011), from the counts: the
  coincidence matrix of as many values as there are units would not fit into memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dxray.server.reasoning.intervals import wilson

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """By unit with two or more known values, in the order of their numbers; and over them all."""

    unit: Ints
    known: Ints  # values
    distinct: Ints  # different values
    entropy: Floats  # bits
    flips: Floats  # the share of pairs that differ
    alpha: float | None  # none where all values are the same, or there are none

    @property
    def units(self) -> int:
        """How many."""
        return len(self.unit)

    @property
    def unanimous(self) -> int:
        """Units whose values are all the same."""
        return int((self.distinct == 1).sum())

    @property
    def split(self) -> int:
        """Units that have different values."""
        return self.units - self.unanimous

    @property
    def tar(self) -> float | None:
        """The share of units whose values are all the same; none of none."""
        return self.unanimous / self.units if self.units else None

    @property
    def split_interval(self) -> list[float]:
        """Of the share of units that have different values, 95 % (Wilson): units are drawn independently."""
        return list(wilson(self.split, self.units))

    @property
    def pair_flip_rate(self) -> float | None:
        """The chance that two repetitions of a unit differ."""
        return float(self.flips.mean()) if self.units else None

    @property
    def mean_entropy(self) -> float | None:
        """Over the units, in bits."""
        return float(self.entropy.mean()) if self.units else None


def agreement(unit: Ints, value: Ints) -> Agreement:
    """What repetitions agree on: one number of a unit and one of a value for each."""
    seen = value >= 0
    pairs, counts = np.unique(np.column_stack([unit[seen], value[seen]]), axis=0, return_counts=True)
    of, what = pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)
    units, place, distinct = np.unique(of, return_inverse=True, return_counts=True)
    known = np.bincount(place, counts, len(units)).astype(np.int64)
    enough = known >= 2
    share = counts / known[place]
    entropy = np.bincount(place, -share * np.log2(share), len(units)) + 0.0
    alike = np.bincount(place, counts * (counts - 1.0), len(units))[enough]
    flips = 1 - alike / (known * (known - 1.0))[enough]
    return Agreement(
        units[enough],
        known[enough],
        distinct[enough].astype(np.int64),
        entropy[enough].astype(np.float64),
        flips.astype(np.float64),
        _alpha(what, counts, place, known),
    )


def _alpha(what: Ints, counts: Ints, place: Ints, known: Ints) -> float | None:
    """1 - observed / expected disagreement, over units with two or more values."""
    paired = known[place] >= 2
    what, counts, place = what[paired], counts[paired].astype(np.float64), place[paired]
    total = float(counts.sum())
    of_value = np.bincount(np.unique(what, return_inverse=True)[1], counts) if total else np.zeros(0)
    expected = total**2 - float((of_value**2).sum())
    if expected <= 0:
        return None
    size = known[place].astype(np.float64)
    observed = float((counts * (size - counts) / (size - 1)).sum())
    return 1 - (total - 1) * observed / expected
