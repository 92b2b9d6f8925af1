"""How many there are of something, of which only a sample was kept.

Each row of the random part was kept with a probability p that is stored with it, so it stands for 1/p rows; extras,
which were kept for another cause, never enter. The interval is the exact one of a Poisson count (Garwood, Biometrika
1936), and where rows have different p that of a weighted sum of such counts (Fay and Feuer, Statistics in Medicine
1997), which is the same where they do not. A Wald interval would cover 63 % instead of 95 % of the truth for 100 rows
at 1 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_TAIL = 0.025  # 95 %, two-sided


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number of rows with its 95 % interval. `exact` where every row was kept."""

    n: float
    low: float
    high: float

    @property
    def exact(self) -> bool:
        return self.low == self.high


def total(kept: Mapping[float, int]) -> Estimate:
    """How many rows there are, from how many of the random part were kept at each p (0 < p <= 1).

    A p of which none was kept belongs into it with 0: rows may be there all the same.
    """
    from scipy.special import gammaincinv  # a second of import, for those who need it

    certain = sum(n for p, n in kept.items() if p >= 1)
    sampled = [(1 / p, n) for p, n in kept.items() if p < 1]
    if not sampled:
        return Estimate(certain, certain, certain)
    n = sum(weight * one for weight, one in sampled)
    variance = sum(weight * weight * one for weight, one in sampled)
    most = max(weight for weight, _ in sampled)
    low = variance / n * gammaincinv(n * n / variance, _TAIL) if n else 0.0
    above, spread = n + most, variance + most * most
    high = spread / above * gammaincinv(above * above / spread, 1 - _TAIL)
    seen = sum(one for _, one in sampled)
    return Estimate(certain + n, certain + max(float(low), seen), certain + float(high))
