"""What do the bad ones share? Slices of two sets of counted rows, A (the reference) and B, in which an outcome became
more frequent. Pure functions on numpy arrays.

**Slices.** A row belongs to a side, has one code for each dimension, and has the outcome or not. A slice is up to three
conditions on different dimensions: one code, or of an ordered dimension (the bins of a number) all codes from one on,
or below one. The outcome may be of several kinds (the reasons of a rejection): then one condition may name the kind,
and its rate is the share of *all* rows at its place (the step) that have it, for a reason is known of rejected items
only. Code -1 (rare, not recorded, not kept) makes no finding.

**Group first, then cube** (the DIFF operator, VLDB 2018): rows are grouped by all dimensions to leaves; codes with less
than 1 % of B alone are in no slice with that support either (Apriori); every subset of at most three dimensions is then
one dense histogram over the leaves, and sums along an ordered axis give its ranges.

**Score.** `n_B · KL(r_B ‖ r~_A) · min(coverage, 1.5)`, r~_A = (v_A + b·r_0)/(n_A + b), b = 20; coverage is the slice's
excess over what A leads to expect, as a share of B's whole excess. It proposes the best thirty. It cannot tell a cause
from its largest part, nor from what contains it: neither fits what happens *inside*. So the proposals are ordered by
the geometric mean of that score and of the gain in log-likelihood of one simple model, leaf by leaf: in B, inside the
slice, each leaf has its own rate of A, and on top one share of its rows gets the outcome that had not had it. A part of
a cause gains less than the whole; what contains a cause pays for the leaves where nothing happened. Leaves vary by more
than chance, so a leaf of n rows weighs as n/(1 + 0.05·n); a leaf's rate in A is drawn to the slice's with b = 20.
Of two slices that fit alike the simpler one comes first: each further condition costs 4 %.

**Sampled evidence.** A dimension that is `sampled` is counted by the rows' weights `kept` (1/p of the random part, 0
for what was not kept or kept for another cause); its score is lowered to the rows that stand behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dxray.server.store.cancel import check

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

ORDER = 3
SUPPORT = 0.01  # of B
COMBINED = 12  # dimensions
REASON = -1  # stands for the kinds of the outcome where dimensions are numbered
PROPOSED = 30
_PRIOR = 20.0  # rows
_MOST_COVERAGE = 1.5
_SPREAD = 0.05  # of a leaf, beyond chance
_SIMPLER = 0.96  # what each further condition costs: of two that fit alike, the simpler one is the cause
_LARGE = 2**62
_CELLS = 2_000_000  # of one histogram
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Dimension:
    """An attribute of rows. Codes run from 0 to `size` - 1."""

    size: int
    ordered: bool = False
    sampled: bool = False
    alone: bool = False  # makes slices of one condition only


@dataclass(frozen=True, slots=True)
class Kinds:
    """The kinds of the outcome: `place[kind]` is the code in the dimension `at` where it happens."""

    place: Ints
    at: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Counted rows: `codes` has an array for each dimension; `kind` is -1 without the outcome.

    `presence`: the outcome is what tells the sides apart. Then not its rate in a slice is compared, but the slice's
    share of each side.
    """

    dimensions: Sequence[Dimension]
    codes: Sequence[Ints]
    in_b: Bools
    kind: Ints
    count: Floats
    kept: Floats | None = None
    cluster: Ints | None = None
    kinds: Kinds | None = None
    presence: bool = False
    behind: float = 1.0  # how many rows stand behind one of the weight of sampled evidence

    def only(self, mask: Bools) -> Rows:
        """The rows of a mask."""
        return replace(
            self,
            codes=[codes[mask] for codes in self.codes],
            in_b=self.in_b[mask],
            kind=self.kind[mask],
            count=self.count[mask],
            kept=None if self.kept is None else self.kept[mask],
            cluster=None if self.cluster is None else self.cluster[mask],
        )

    def weights(self, sampled: bool) -> Floats:
        """What each row counts."""
        return self.kept if sampled and self.kept is not None else self.count


@dataclass(frozen=True, slots=True)
class Totals:
    """Of all rows, before any were removed: how many in A, how many of them with the outcome, and the same of B."""

    n_a: float
    v_a: float
    n_b: float
    v_b: float

    @property
    def excess(self) -> float:
        """How many more have the outcome in B than A's rate leads to expect."""
        return self.v_b - self.n_b * self.v_a / max(self.n_a, _TINY)


@dataclass(frozen=True, slots=True)
class Condition:
    """Codes from `low` to below `high` of a dimension."""

    dimension: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Slice:
    """Conditions, the kind of the outcome (-1: any), and the counts on both sides."""

    conditions: tuple[Condition, ...]
    kind: int
    n_a: float
    v_a: float
    n_b: float
    v_b: float
    base: float  # n_B · KL · coverage
    coverage: float
    score: float = 0.0
    p_adjusted: float = 1.0
    interval: tuple[float, float] = (0.0, 0.0)
    spread: float = 1.0  # the design effect: what the runs vary beyond chance
    sampled: bool = False
    cause: int = 0
    main: bool = True  # of its cause the best description

    @property
    def order(self) -> int:
        return len(self.conditions) + (self.kind >= 0)


@dataclass(slots=True)
class Search:
    """The best slices, how many had enough support to be looked at, and the sets of dimensions that have too many
    cells together to be looked at."""

    found: list[Slice] = field(default_factory=list)
    tested: int = 0
    too_large: set[tuple[int, ...]] = field(default_factory=set)

    def add(self, found: Sequence[Slice], tested: int) -> None:
        """Of what is there and what comes, the best stay."""
        if found:
            self.found = sorted([*self.found, *found], key=_by_base)[:PROPOSED]
        self.tested += tested

    @property
    def least(self) -> float:
        """What a slice must score to be among the best."""
        return self.found[-1].base if len(self.found) == PROPOSED else 0.0


def totals(rows: Rows) -> Totals:
    """Sums over all rows."""
    cats = sums(rows.in_b * 2 + (rows.kind >= 0), rows.count, 4)
    return Totals(float(cats[0] + cats[1]), float(cats[1]), float(cats[2] + cats[3]), float(cats[3]))


def rows_behind(kept: Floats | None) -> float:
    """How many rows stand behind one of the weight of sampled evidence, from the weights of single rows."""
    squares = 0.0 if kept is None else float(np.square(kept).sum())
    return 1.0 if kept is None or not squares else min(1.0, float(kept.sum()) / squares)


def grouped(rows: Rows) -> tuple[Rows, Ints]:
    """The rows grouped by all dimensions, side and kind, leaf by leaf; and the key of the leaf of each of these."""
    leaf = np.zeros(len(rows.in_b), dtype=np.int64)
    kinds = int(rows.kind.max(initial=-1)) + 2
    high = 2 * kinds
    for dimension, codes in zip(rows.dimensions, rows.codes, strict=True):
        if high * (dimension.size + 1) > _LARGE:
            leaf = np.unique(leaf, return_inverse=True)[1].astype(np.int64)
            high = 2 * kinds * (int(leaf.max(initial=0)) + 1)
        leaf = leaf * (dimension.size + 1) + (codes + 1)
        high *= dimension.size + 1
    fine = leaf * (2 * kinds) + rows.in_b * kinds + rows.kind + 1
    _, first, inverse = np.unique(fine, return_index=True, return_inverse=True)
    mask: Any = first
    small = replace(rows, cluster=None).only(mask)
    count = sums(inverse, rows.count, len(first))
    kept = None if rows.kept is None else sums(inverse, rows.kept, len(first))
    return replace(small, count=count, kept=kept), leaf[first]


def frequent(rows: Rows, of: Totals) -> tuple[Rows, list[Ints]]:
    """The rows without the codes that are too rare in B to make a finding: those become -1, and the others are
    numbered anew; and for each dimension what its codes were.

    Ordered dimensions stay as they are, for ranges add up what is rare, and so does the one where kinds have a place.
    """
    dimensions, codes, were = [], [], []
    for n, (dimension, own) in enumerate(zip(rows.dimensions, rows.codes, strict=True)):
        old = np.arange(dimension.size)
        if not dimension.ordered and not (rows.kinds is not None and rows.kinds.at == n):
            weight = rows.weights(dimension.sampled)
            of_b = sums((own + 1)[rows.in_b], weight[rows.in_b], dimension.size + 1)[1:]
            old = np.flatnonzero(of_b >= SUPPORT * of.n_b)
            new = np.full(dimension.size + 1, -1)
            new[old + 1] = np.arange(len(old))
            own = new[own + 1]
        dimensions.append(replace(dimension, size=len(old)))
        codes.append(own)
        were.append(old)
    return replace(rows, dimensions=dimensions, codes=codes), were


def narrowed(rows: Rows, of: Totals) -> Rows:
    """Only so many dimensions are combined as there is time for: those that alone make the best slices."""
    usable = [n for n, one in enumerate(rows.dimensions) if one.size]
    if len(usable) <= COMBINED:
        return rows
    cat = rows.in_b * 2 + (rows.kind >= 0)
    best: dict[int, float] = {}
    for n in usable:
        board = Search()
        size = 4 * (rows.dimensions[n].size + 1)
        _plain(rows, [n], cat + 4 * (rows.codes[n] + 1), size, of, board)
        best[n] = board.found[0].base if board.found else 0.0
    if rows.kinds is not None:
        best[rows.kinds.at] = np.inf
    kept = set(sorted(usable, key=lambda n: -best[n])[:COMBINED])
    dimensions = [replace(one, alone=one.alone or n not in kept) for n, one in enumerate(rows.dimensions)]
    return replace(rows, dimensions=dimensions)


def search(rows: Rows, leaf: Ints, of: Totals) -> Search:
    """The best slices of grouped rows, by score; of those that describe the same rows, the one of fewest conditions
    comes first."""
    board = Search()
    cat = rows.in_b * 2 + (rows.kind >= 0)
    for chosen, key, high in _subsets(rows, cat, 4, ORDER, None, board.too_large):
        if chosen:
            _plain(rows, chosen, key, high, of, board)
    if rows.kinds is not None:
        at = _AtPlaces.of(rows, rows.kinds)
        for chosen, key, high in _subsets(rows, np.zeros_like(cat), 1, ORDER - 1, rows.kinds.at, board.too_large):
            _of_kinds(rows, at, chosen, key, high, of, board)
    scored = [
        replace(one, score=float(np.sqrt(one.base * _gain(rows, leaf, one, of))) * _SIMPLER ** (one.order - 1))
        for one in board.found
    ]
    found = [one for one in scored if one.score > 0]
    found.sort(key=lambda one: (-one.score, one.order, _by_base(one)))
    return Search(found, board.tested, board.too_large)


def _by_base(one: Slice) -> tuple[Any, ...]:
    return -one.base, one.order, one.kind, [(c.dimension, c.low, c.high) for c in one.conditions]


def inside(rows: Rows, one: Slice) -> Bools:
    """The rows that a slice looks at; of a kind, all those at its place."""
    mask = np.ones(len(rows.in_b), dtype=np.bool_)
    for condition in one.conditions:
        codes = rows.codes[condition.dimension]
        if condition.high == condition.low + 1:
            mask &= codes == condition.low
        else:
            mask &= (codes >= condition.low) & (codes < condition.high)
    if one.kind >= 0 and rows.kinds is not None:
        mask &= rows.codes[rows.kinds.at] == rows.kinds.place[one.kind]
    return mask


def has(rows: Rows, one: Slice) -> Bools:
    """The rows that have the outcome that a slice is about."""
    return rows.kind >= 0 if one.kind < 0 else rows.kind == one.kind


def without(rows: Rows, one: Slice) -> Bools:
    """The rows that stay when those of a slice are removed; of a kind, only those that have it go."""
    mask = inside(rows, one)
    return ~(mask & has(rows, one)) if one.kind >= 0 else ~mask


# Proposals


def _subsets(
    rows: Rows, key: Ints, high: int, most: int, never: int | None, too_large: set[tuple[int, ...]]
) -> Iterator[tuple[list[int], Ints, int]]:
    """Every subset of at most `most` dimensions, with the number of each row's cell and how many cells there are; the
    first dimension changes fastest, after what `key` says. What has too many cells is noted, and goes no deeper."""
    codes = [own + 1 for own in rows.codes]

    def deeper(chosen: list[int], key: Ints, high: int) -> Iterator[tuple[list[int], Ints, int]]:
        check()
        yield chosen, key, high
        for n in range(chosen[-1] + 1 if chosen else 0, len(codes) if len(chosen) < most else 0):
            dimension = rows.dimensions[n]
            alone = chosen and (dimension.alone or rows.dimensions[chosen[0]].alone)
            size = high * (dimension.size + 1)
            if not dimension.size or n == never or alone:
                continue
            if size > _CELLS:
                too_large.add((*chosen, n))
                continue
            yield from deeper([*chosen, n], key + high * codes[n], size)

    yield from deeper([], key, high)


def _ranges(dimension: Dimension) -> list[tuple[int, int]]:
    """What a condition on a dimension may be: each code, and of an ordered one all from one on, or all below one."""
    size = dimension.size
    single = [(code, code + 1) for code in range(size)]
    if not dimension.ordered:
        return single
    return single + [(low, size) for low in range(1, size - 1)] + [(0, high) for high in range(2, size)]


def _spread_out(hist: Floats, dimensions: Sequence[Dimension], first: int) -> Floats:
    """Axes of codes (from axis `first`, with -1 in place 0) become axes of ranges."""
    for axis, dimension in enumerate(dimensions, first):
        hist = np.take(hist, np.arange(1, dimension.size + 1), axis)
        if dimension.ordered:
            member = np.zeros((len(_ranges(dimension)), dimension.size))
            for row, (low, high) in enumerate(_ranges(dimension)):
                member[row, low:high] = 1
            hist = np.moveaxis(np.tensordot(member, hist, (1, axis)), 0, axis)
    return hist


def _plain(rows: Rows, chosen: Sequence[int], key: Ints, high: int, of: Totals, board: Search) -> None:
    dims = [rows.dimensions[n] for n in chosen]
    sampled = any(one.sampled for one in dims)
    hist = sums(key, rows.weights(sampled), high).reshape([*(one.size + 1 for one in reversed(dims)), 4])
    cells = _spread_out(np.transpose(hist, [*range(len(dims) - 1, -1, -1), len(dims)]), dims, 0)
    n_a, v_a, n_b, v_b = cells[..., 0] + cells[..., 1], cells[..., 1], cells[..., 2] + cells[..., 3], cells[..., 3]
    if rows.presence:
        v_a, v_b, n_a, n_b = n_a, n_b, np.full_like(n_a, of.n_a), np.full_like(n_b, of.n_b)
    enough = (v_b if rows.presence else n_b) >= max(SUPPORT * of.n_b, 2)
    enough &= (v_a + v_b < of.n_a + of.n_b) if rows.presence else (n_b < of.n_b)
    _best(rows, chosen, np.stack([n_a, v_a, n_b, v_b]), enough, of, board)


@dataclass(frozen=True, slots=True)
class _AtPlaces:
    """What does not change from one subset to the next: the rows at a place of kinds, those with the outcome, and the
    cell of each but for the other dimensions."""

    here: Ints
    cell: Ints
    hit: Ints
    cell_of_hit: Ints
    places: int
    many: int

    @classmethod
    def of(cls, rows: Rows, kinds: Kinds) -> _AtPlaces:
        places, many = rows.dimensions[kinds.at].size, len(kinds.place)
        at, side = rows.codes[kinds.at], rows.in_b.astype(np.int64)
        here, hit = np.flatnonzero(at >= 0), np.flatnonzero(rows.kind >= 0)
        return cls(here, (side * places + at)[here], hit, (side * many + rows.kind)[hit], places, many)


def _of_kinds(
    rows: Rows, at: _AtPlaces, chosen: Sequence[int], key: Ints, high: int, of: Totals, board: Search
) -> None:
    kinds = rows.kinds
    assert kinds is not None
    dims = [rows.dimensions[n] for n in chosen]
    weight = rows.weights(any(one.sampled for one in dims))
    if max(at.places, at.many) * high > _CELLS:
        board.too_large.add((REASON, *chosen))
        return
    shape = [one.size + 1 for one in reversed(dims)]
    turned = [0, 1, *range(len(dims) + 1, 1, -1)]
    n = sums(at.cell * high + key[at.here], weight[at.here], 2 * at.places * high)
    v = sums(at.cell_of_hit * high + key[at.hit], weight[at.hit], 2 * at.many * high)
    n = np.transpose(n.reshape([2, at.places, *shape]), turned)[:, np.maximum(kinds.place, 0)]
    n_a, n_b = _spread_out(n, dims, 2)
    v_a, v_b = _spread_out(np.transpose(v.reshape([2, at.many, *shape]), turned), dims, 2)
    there = (kinds.place >= 0).reshape([at.many, *[1] * len(chosen)])
    enough = there & (n_b >= max(SUPPORT * of.n_b, 2)) & ~((v_b == of.v_b) & (n_b == of.n_b))
    _best(rows, chosen, np.stack([n_a, v_a, n_b, v_b]), enough, of, board, by_kind=True)


def _best(
    rows: Rows,
    chosen: Sequence[int],
    cells: Floats,
    enough: Bools,
    of: Totals,
    board: Search,
    by_kind: bool = False,
) -> None:
    """Those cells of a histogram that score enough to be among the best."""
    looked_at = np.flatnonzero(enough)
    flat = cells.reshape(4, -1)[:, looked_at]
    sampled = any(rows.dimensions[n].sampled for n in chosen)
    base, coverage = _score(rows, flat, of, sampled)
    high = np.flatnonzero(base > board.least)
    if len(high) > PROPOSED:
        high = high[base[high] >= np.partition(base[high], -PROPOSED)[-PROPOSED]]
    ranges = [_ranges(rows.dimensions[n]) for n in chosen]
    found = []
    for cell in high[np.argsort(-base[high], kind="stable")[:PROPOSED]].tolist():
        places = list(np.unravel_index(looked_at[cell], cells.shape[1:]))
        kind = int(places.pop(0)) if by_kind else -1
        conditions = tuple(Condition(n, *ranges[i][int(places[i])]) for i, n in enumerate(chosen))
        n_a, v_a, n_b, v_b = (float(value) for value in flat[:, cell])
        one = Slice(conditions, kind, n_a, v_a, n_b, v_b, float(base[cell]), float(coverage[cell]), sampled=sampled)
        found.append(one)
    board.add(found, len(looked_at))


def _score(rows: Rows, cells: Floats, of: Totals, sampled: bool) -> tuple[Floats, Floats]:
    n_a, v_a, n_b, v_b = cells
    if rows.presence:
        prior, whole = (v_a + v_b) / (of.n_a + of.n_b), of.n_b
    else:
        prior, whole = of.v_a / max(of.n_a, _TINY), max(of.excess, np.sqrt(of.v_b), 1.0)
    expected = (v_a + _PRIOR * prior) / (n_a + _PRIOR)
    rate = v_b / np.maximum(n_b, _TINY)
    coverage = (v_b - n_b * expected) / whole
    behind = rows.behind if sampled else 1.0
    base = behind * n_b * divergence(rate, expected) * np.minimum(coverage, _MOST_COVERAGE)
    return np.where(rate > expected, np.maximum(base, 0), 0), coverage


def divergence(rate: Floats, expected: Floats) -> Floats:
    """Kullback-Leibler, of shares, in nats."""
    p, q = np.clip(rate, 0, 1), np.clip(expected, _TINY, 1 - _TINY)
    with np.errstate(divide="ignore", invalid="ignore"):
        yes = np.where(p > 0, p * np.log(p / q), 0)
        no = np.where(p < 1, (1 - p) * np.log((1 - p) / (1 - q)), 0)
    found: Floats = yes + no
    return found


# The fit inside a slice


def _gain(rows: Rows, leaf: Ints, one: Slice, of: Totals) -> float:
    """The gain in log-likelihood of one added share over the rates of A, leaf by leaf."""
    if rows.presence:
        return one.base
    mask = np.flatnonzero(inside(rows, one))
    own = leaf[mask]
    some = np.cumsum(np.append(False, own[1:] != own[:-1])) if len(own) else own  # grouped rows come leaf by leaf
    at = some * 4 + rows.in_b[mask] * 2 + has(rows, one)[mask]
    size = int(some[-1]) + 1 if len(some) else 0
    cells = sums(at, rows.weights(one.sampled)[mask], size * 4).reshape(-1, 4)
    n_a, v_a, n_b, v_b = cells[:, 0] + cells[:, 1], cells[:, 1], cells[:, 2] + cells[:, 3], cells[:, 3]
    rate = (one.v_a + _PRIOR * of.v_a / max(of.n_a, _TINY)) / (one.n_a + _PRIOR)
    before = np.clip((v_a + _PRIOR * rate) / (n_a + _PRIOR), 1e-6, 1 - 1e-6)
    weight = 1 / (1 + _SPREAD * n_b)
    n, v = n_b * weight, v_b * weight
    expected = float((n * before).sum())
    added = (float(v.sum()) - expected) / max(float(n.sum()) - expected, _TINY)
    if added <= 0:
        return 0.0
    after = np.minimum(before + added * (1 - before), 1 - 1e-12)
    gain = v * np.log(after / before) + (n - v) * np.log((1 - after) / (1 - before))
    return max(0.0, float(gain.sum())) * (rows.behind if one.sampled else 1.0)


def sums(at: Ints, weight: Floats, size: int) -> Floats:
    """The weights added up by number."""
    found: Floats = np.bincount(at, weight, size).astype(np.float64)
    return found
