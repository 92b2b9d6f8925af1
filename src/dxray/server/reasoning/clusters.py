"""Shares whose cases come in clusters: items of one run, runs of one input. Pure functions.

Cases of one cluster resemble each other, so a hundred of them say less than a hundred of a hundred clusters. The
variance of the share is that between clusters (the ratio estimator of survey sampling, Cochran 1977, 6.3); it tells how
many independent cases the share is worth, never more than there are; and Wilson's interval of so many cases, with
Student's t for few clusters, is the interval (Korn & Graubard, Survey Methodology 1998). Assumed is only that the
clusters are drawn independently of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from dxray.server.reasoning.intervals import wilson

Numbers = Sequence[int] | np.ndarray[Any, Any]

_Z = 1.959963984540054  # 95 %, two-sided


@dataclass(frozen=True, slots=True)
class Share:
    """`found` of `of`; `worth` is how many independent cases that is, `clusters` how many had any."""

    found: int
    of: int
    worth: float
    clusters: int

    @property
    def rate(self) -> float | None:
        """Of nothing, none."""
        return self.found / self.of if self.of else None

    @property
    def interval(self) -> list[float]:
        """95 %; of nothing, nothing is known."""
        return list(wilson(self.worth * self.found / self.of, self.worth)) if self.of else [0.0, 1.0]


def share_of(found: Numbers, of: Numbers) -> Share:
    """The share over clusters: how many cases of each have it, and how many there are of each."""
    k, n = np.asarray(found, dtype=np.float64), np.asarray(of, dtype=np.float64)
    k, n = k[n > 0], n[n > 0]
    clusters, total = len(n), float(n.sum())
    if clusters < 2:
        return Share(int(k.sum()), int(total), min(1.0, total), clusters)
    rate = float(k.sum()) / total
    variance = clusters / (clusters - 1) * float(((k - rate * n) ** 2).sum()) / total**2
    worth = min(total, rate * (1 - rate) / variance) if variance > 0 else total
    return Share(int(k.sum()), int(total), worth * (_Z / _t(clusters - 1)) ** 2, clusters)


def differ(a: Share, b: Share) -> bool | None:
    """Whether two shares differ by more than chance (95 %); None where one of them has not two clusters."""
    if a.rate is None or b.rate is None or a.clusters < 2 or b.clusters < 2:
        return None
    low_a, high_a = a.interval
    low_b, high_b = b.interval
    # Newcombe's interval of a difference, from those of the two shares (Statistics in Medicine 1998, method 10).
    difference = b.rate - a.rate
    low = difference - sqrt((b.rate - low_b) ** 2 + (high_a - a.rate) ** 2)
    high = difference + sqrt((high_b - b.rate) ** 2 + (a.rate - low_a) ** 2)
    return low > 0 or high < 0


def _t(degrees: int) -> float:
    """The 97.5 % point of Student's distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))
