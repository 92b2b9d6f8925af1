"""How sure a share is, and whether two differ by more than chance. Pure functions."""

from __future__ import annotations

from math import comb, sqrt

_Z = 1.959963984540054  # 95 %, two-sided


def wilson(found: float, of: float) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, JASA 1927); of nothing, nothing is known."""
    if of == 0:
        return 0.0, 1.0
    share, square = found / of, _Z * _Z
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = _Z * sqrt(share * (1 - share) / of + square / (4 * of * of)) / (1 + square / of)
    low = 0.0 if found == 0 else max(0.0, middle - half)
    return low, 1.0 if found == of else min(1.0, middle + half)


def more_often_by_chance(here: int, of_here: int, there: int, of_there: int) -> float:
    """The chance of `here` or more of `of_here` for what is as frequent there (Fisher's exact test, one-sided)."""
    total, with_it = of_here + of_there, here + there
    most = min(of_here, with_it)
    ways = sum(comb(with_it, n) * comb(total - with_it, of_here - n) for n in range(here, most + 1))
    return ways / comb(total, of_here)
