"""Which slices are more than chance? Pure functions; see `slices`.

Rows of one run resemble each other, so the unit is the whole run. Past 400 runs, whole runs are put together at random;
rows without runs are taken as independent. A slice passes where p <= 0.05 holds twice:

* by Benjamini and Hochberg among *all* slices that were looked at, for the search chose the best of them; p is that of
  Welch's t, two-sided, with the variance between runs of each side's rate (a ratio estimator: Cochran, Sampling
  Techniques, 6.3), never below that of independent rows;
* by permutation of whole runs, for a few runs are no normal distribution: t is compared with the largest t among all
  proposals when runs change sides. Where there are few ways to deal the runs, all are tried.

And it must have risen by more than the rest has (the difference of the two rises, over the same runs; adjusted
as p is): where all of it rose alike, the largest part is no cause. Not asked where there is no rest.

A slice that one of the sets does not have at all, or in one run only, cannot pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import comb

import numpy as np

from dxray.server.reasoning.slices import Bools, Floats, Ints, Rows, Search, Slice, has, inside, sums
from dxray.server.store.cancel import check

CLUSTERS = 400
ALPHA = 0.05
_PERMUTATIONS = 999
_ALL_OF_THEM = 2_000  # ways to deal, where there are no more
_Z = 1.959963984540054


def clusters_of(side: Sequence[bool], seed: int = 0) -> Ints:
    """The cluster of each run; past `CLUSTERS` runs, as many of one side as it takes are put together at random."""
    in_b = np.asarray(side, dtype=np.bool_)
    together = -(-len(in_b) // CLUSTERS)
    out = np.zeros(len(in_b), dtype=np.int64)
    chance = np.random.default_rng(seed)
    start = 0
    for runs in (np.flatnonzero(~in_b), np.flatnonzero(in_b)):
        out[chance.permutation(runs)] = start + np.arange(len(runs)) // together
        start += -(-len(runs) // together)
    return out


def passing(rows: Rows, found: Search) -> list[Slice]:
    """Those of the slices that are more than chance, in their order, with what was found of it."""
    slices = found.found
    if not slices:
        return []
    if rows.cluster is None:
        measured = [_independent(one) for one in slices]
        permuted = np.zeros(len(slices))
    else:
        size = int(rows.cluster.max()) + 1
        in_b = np.zeros(size, dtype=np.bool_)
        in_b[rows.cluster[rows.in_b]] = True
        every = sums(rows.cluster, rows.count, size)
        by_run = [_by_run(rows, one, every) for one in slices]
        n, v, rest_n, rest_v = (np.stack(some) for some in zip(*by_run, strict=True))
        here = _rises(n, v, in_b[None, :].astype(np.float64))
        rest = _rises(rest_n, rest_v, in_b[None, :].astype(np.float64))
        t = here.t[0]
        measured = [
            _Measured(*one) for one in zip(map(_tail, t, here.freedom[0]), here.spread[0].tolist(), strict=True)
        ]
        permuted = np.maximum(_permuted(n, v, in_b, t), _more_than(here, rest, rest_n.sum(axis=1), found.tested))
    p = np.maximum(_adjusted([one.p for one in measured], max(found.tested, len(slices))), permuted)
    return [
        replace(one, p_adjusted=chance, spread=how.spread, interval=risk_interval(one, how.spread))
        for one, how, chance in zip(slices, measured, p.tolist(), strict=True)
        if chance <= ALPHA
    ]


@dataclass(frozen=True, slots=True)
class _Measured:
    """Of one slice: two-sided p (1 for a fall), and the design effect: what its runs vary beyond chance."""

    p: float
    spread: float = 1.0


def _independent(one: Slice) -> _Measured:
    rate = (one.v_a + one.v_b) / max(one.n_a + one.n_b, 1)
    variance = rate * (1 - rate) * one.n_a * one.n_b / max(one.n_a + one.n_b, 1)
    return _Measured(_tail((one.v_b - one.n_b * rate) / np.sqrt(variance), np.inf) if variance > 0 else 1.0)


def _by_run(rows: Rows, one: Slice, every: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """The slice's rows in each cluster, and those with the outcome; the same of the rest, which is empty where there is
    none to compare with. Of presence: all rows, and the slice's."""
    assert rows.cluster is not None
    size, weight = len(every), rows.weights(one.sampled)
    mask = inside(rows, one)
    if rows.presence:
        none = np.zeros(size)
        return every, sums(rows.cluster[mask], weight[mask], size), none, none
    at = rows.cluster + size * (has(rows, one) + 2 * mask.astype(np.int64))
    rest_without, rest_v, without, v = sums(at, weight, 4 * size).reshape(4, size)
    return without + v, v, rest_without + rest_v, rest_v


@dataclass(frozen=True, slots=True)
class _Rises:
    """By how much rates are higher in B, for each way to deal the clusters (rows) and each slice (columns)."""

    rise: Floats
    variance: Floats  # infinite where a side has fewer than two clusters of the slice
    freedom: Floats
    spread: Floats  # the design effect

    @property
    def t(self) -> Floats:
        """Welch's; 0 where it cannot be told."""
        known = np.isfinite(self.variance) & (self.variance > 0)
        return np.where(known, self.rise / np.sqrt(np.where(known, self.variance, 1)), 0)


def _more_than(here: _Rises, rest: _Rises, rows: Floats, tested: int) -> Floats:
    """The adjusted chance that slices rose no more than their rest did; 0 where there is no rest."""
    variance = here.variance[0] + rest.variance[0]
    known = np.isfinite(variance) & (variance > 0)
    t = np.where(known, (here.rise[0] - rest.rise[0]) / np.sqrt(np.where(known, variance, 1)), 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = variance**2 / (here.variance[0] ** 2 / here.freedom[0] + rest.variance[0] ** 2 / rest.freedom[0])
    freedom = np.where(np.isfinite(freedom), freedom, 1.0)
    p = _adjusted([_tail(*one) for one in zip(t.tolist(), freedom.tolist(), strict=True)], max(tested, len(t)))
    found: Floats = np.where(rows > 0, p, 0)
    return found


def _rises(n: Floats, v: Floats, sides: Floats) -> _Rises:
    """Of each slice (rows of `n` and `v`) and each way to deal the clusters (rows of `sides`, 1 in B)."""
    pooled = v.sum(axis=1) / np.maximum(n.sum(axis=1), 1e-12)
    parts = np.ascontiguousarray(np.concatenate([n, v, n * n, n * v, v * v, (n > 0).astype(np.float64)]).T)
    rates, variances, freedoms, chances, found = [], [], [], [], []
    for side in (sides, 1 - sides):
        total, hits, nn, nv, vv, runs = np.split(side @ parts, 6, axis=1)
        total = np.maximum(total, 1e-12)
        rate = hits / total
        between = runs / np.maximum(runs - 1, 1e-12) * np.maximum(vv - 2 * rate * nv + rate * rate * nn, 0) / total**2
        rates.append(rate)
        found.append(between)
        variances.append(np.where(runs >= 2, np.maximum(between, pooled * (1 - pooled) / total), np.inf))
        freedoms.append(np.maximum(runs - 1, 1))
        chances.append(rate * (1 - rate) / total)
    whole = variances[0] + variances[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = whole**2 / (variances[0] ** 2 / freedoms[0] + variances[1] ** 2 / freedoms[1])
        spread = (found[0] + found[1]) / (chances[0] + chances[1])
    freedom = np.where(np.isfinite(freedom), freedom, 1.0)
    return _Rises(rates[0] - rates[1], whole, freedom, np.where(np.isfinite(spread), np.maximum(spread, 1), 1))


def _tail(t: float, freedom: float) -> float:
    from scipy.special import ndtr, stdtr

    if t <= 0:
        return 1.0
    return 2 * float(ndtr(-t) if np.isinf(freedom) else stdtr(freedom, -t))


def _permuted(n: Floats, v: Floats, in_b: Bools, own: Floats) -> Floats:
    """How often the largest value among all slices is as large when whole clusters change sides."""
    count, chosen = len(in_b), int(in_b.sum())
    if comb(count, chosen) <= _ALL_OF_THEM:
        sides = np.zeros((comb(count, chosen), count))
        for row, some in enumerate(combinations(range(count), chosen)):
            sides[row, list(some)] = 1
        added = 0
    else:
        chance = np.random.default_rng(0)
        sides = chance.permuted(np.tile(in_b.astype(np.float64), (_PERMUTATIONS, 1)), axis=1)
        added = 1
    check()
    largest = _rises(n, v, sides).t.max(axis=1)
    as_large = (largest[:, None] >= own[None, :] - 1e-9).sum(axis=0)
    found: Floats = (as_large + added) / (len(sides) + added)
    return found


def _adjusted(p: Sequence[float], tested: int) -> Floats:
    """Benjamini and Hochberg's, among so many tests; those that were not proposed count as 1."""
    given = np.asarray(p)
    order = np.argsort(given)
    stepped = given[order] * tested / np.arange(1, len(given) + 1)
    out = np.empty(len(given))
    out[order] = np.minimum(np.minimum.accumulate(stepped[::-1])[::-1], 1)
    return out


def risk_interval(one: Slice, spread: float) -> tuple[float, float]:
    """Of the risk ratio, 95 % (Katz's logarithm, a half added), with the design effect."""
    v_a, n_a, v_b, n_b = one.v_a + 0.5, one.n_a + 0.5, one.v_b + 0.5, one.n_b + 0.5
    ratio = np.log(v_b / n_b) - np.log(v_a / n_a)
    error = np.sqrt(max(spread * (1 / v_b - 1 / n_b + 1 / v_a - 1 / n_a), 0))
    return float(np.exp(ratio - _Z * error)), float(np.exp(ratio + _Z * error))
