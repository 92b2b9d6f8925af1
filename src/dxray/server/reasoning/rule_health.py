"""How the rules of steps do: how often they drop something, how close to the limit, and whether they are needed.

A rule is known by its step, field, operator and reason; its limit may change, and each limit is a version of it. Where
one step asks the same of two limits they are two rules, told apart by their order; past four they are one, whose limit
is set item by item.

Counts of what was asked and what failed are exact (the SDK keeps them per step). What hides behind them is read from
the recorded observations, of the newest steps where there are too many:

- *Sole kills*: items that failed this rule and passed all others of their step. Where a rule was not asked (it comes
  after another that failed) nobody knows; so there is a lower and an upper bound.
- *Margin*: how far a value is inside (>= 0) or outside a limit. The histogram has ten bins on each side; a bin is 5 %
  of the spread of the values, from their 5 % to their 95 % quantile. *Near* is what lies in the bins at the limit.
- *Redundant with*: another rule failed on every item on which this one failed, in all steps that have both.

Items are hashes of 64 bits and rules bits of a mask, so that all this is done on columns. Pure functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dxray.server.reasoning.shown import parsed
from dxray.server.store.cancel import check

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Masks = np.ndarray[Any, np.dtype[np.uint64]]

NEAR = 0.05  # of the spread
SUPPORT = 20  # items that must have failed both, before a rule is called redundant
_BINS = 10  # on each side
_LIMITS = 4  # of one rule in one step
_WIDEST = 1e300  # a spread that can still be divided and added up
_ORDERED = ("<", "<=", ">", ">=", "between")


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of all steps in question, a row for each rule of each step, as columns."""

    step: Ints  # the place of the step among those in question
    rule_id: Ints  # the number of its id in `ids`
    family: Ints
    evaluated: Ints
    failed: Ints
    uncomparable: Ints
    low: Floats  # the limits; infinite where there is none, NaN where the threshold is no number
    high: Floats
    ids: pa.Array
    threshold: pa.Array  # JSON texts
    families: list[Family]


@dataclass(frozen=True, slots=True)
class Family:
    """A rule, whatever its limit."""

    group: int  # the step's name, as a number
    field: str
    op: str
    reason: str
    occurrence: int

    @property
    def ordered(self) -> bool:
        """Whether there is a distance to its limit."""
        return self.op in _ORDERED


def rules_of(table: pa.Table, group: Ints) -> Rules:
    """The rules, from columns of the source `rules` and `at`, the step's place. `group` is each step's number of its
    name."""
    step = table["at"].to_numpy().astype(np.int64)
    (fields, field), (ops, op), (reasons, reason) = (_coded(table[name]) for name in ("field", "op", "reason"))
    key = np.column_stack([group[step], field, op, reason])
    base, of_base = np.unique(key, axis=0, return_inverse=True)
    of_base = of_base.reshape(-1)
    occurrence = _occurrence(step, of_base, table["number"].to_numpy())
    most = np.zeros(len(base), dtype=np.int64)
    np.maximum.at(most, of_base, occurrence)
    occurrence = np.where(most[of_base] >= _LIMITS, 0, occurrence)
    pairs, family = np.unique(np.column_stack([of_base, occurrence]), axis=0, return_inverse=True)
    families = [
        Family(int(base[b][0]), fields[base[b][1]], ops[base[b][2]], reasons[base[b][3]], int(n)) for b, n in pairs
    ]
    ids, rule_id = _coded(table["rule_id"])
    texts, text = _coded(table["threshold"])
    limits = np.array([limits_of(one, parsed(said)) for one in ops for said in texts]).reshape(len(ops), len(texts), 2)
    evaluated, failed, odd = (
        pc.fill_null(table[name], 0).to_numpy().astype(np.int64) for name in ("evaluated", "failed", "uncomparable")
    )
    low, high = limits[op, text, 0], limits[op, text, 1]
    threshold = table["threshold"].combine_chunks()
    return Rules(
        step, rule_id, family.reshape(-1), evaluated, failed, odd, low, high, pa.array(ids), threshold, families
    )


def _coded(column: pa.ChunkedArray) -> tuple[list[str], Ints]:
    encoded = pc.dictionary_encode(column.combine_chunks())
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _occurrence(step: Ints, base: Ints, number: Ints) -> Ints:
    """How many rules of the same kind come before each in its step."""
    order = np.lexsort((number, base, step))
    starts = np.append(True, (np.diff(step[order]) != 0) | (np.diff(base[order]) != 0))[: len(order)]
    places = np.arange(len(order))
    found = np.zeros(len(order), dtype=np.int64)
    found[order] = places - np.maximum.accumulate(np.where(starts, places, 0))
    return found


def limits_of(op: str, threshold: Any) -> tuple[float, float]:
    """Between which numbers a value passes; NaN where there is no such thing."""
    numbers = threshold if op == "between" else [threshold]
    if op not in _ORDERED or not isinstance(numbers, list) or any(type(one) not in (int, float) for one in numbers):
        return np.nan, np.nan
    try:
        found = [float(one) for one in numbers]
    except OverflowError:  # more digits than a double has
        return np.nan, np.nan
    if op == "between":
        return (found[0], found[1]) if len(found) == 2 else (np.nan, np.nan)
    return (-np.inf, found[0]) if op in ("<", "<=") else (found[0], np.inf)


# --- what was observed --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """Observations of the rules of one step name, a row each; `rule` is the place in `Rules`."""

    item: Masks
    number: Ints  # of the event
    rule: Ints
    passed: Bools
    value: Floats  # NaN for what is no number


def rows_of(rules: Rules, step: Ints, rule_id: pa.ChunkedArray) -> Ints:
    """The place in `rules` of the rule with that id in that step, for each row; -1 where it is not recorded."""
    encoded = pc.dictionary_encode(rule_id.combine_chunks())
    code = pc.index_in(encoded.dictionary, rules.ids).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    wanted = step * len(rules.ids) + code[encoded.indices.to_numpy(zero_copy_only=False)]
    keys = rules.step * len(rules.ids) + rules.rule_id
    order = np.argsort(keys, kind="stable")
    at = np.minimum(np.searchsorted(keys[order], wanted), len(order) - 1)
    found: Ints = np.where(keys[order][at] == wanted, order[at], -1)
    return found


@dataclass(frozen=True, slots=True)
class NearMisses:
    """Margins of a rule in the unit of its field; what lies outside the bins is counted below and above."""

    values: int
    spread: float
    width: float  # of a bin
    edges: Floats
    counts: Ints
    below: int
    above: int
    failed: int  # near the limit
    passed: int
    failed_alone: int  # near, and no other rule is known to have failed on it


@dataclass(frozen=True, slots=True)
class Health:
    """What the observations of one rule say. `sole` is known of so many items, and may be true of `sole_at_most`."""

    failed_rows: int
    sole: int
    sole_at_most: int
    near: NearMisses | None
    no_margin: str | None  # why there is none
    redundant: list[tuple[int, int]]  # families, with the items that failed both


def health_of(rules: Rules, seen: Seen) -> dict[int, Health]:
    """By family, of the rules of one step name."""
    if not len(seen.rule):
        return {}
    steps = np.unique(rules.step[seen.rule])
    families = np.unique(rules.family[np.isin(rules.step, steps)])  # also those that nothing was asked
    local = np.searchsorted(families, rules.family[seen.rule])
    every = _Items(rules, seen, families, local)
    out: dict[int, Health] = {}
    for number, family in enumerate(families.tolist()):
        check()
        mine = local == number
        failed = np.flatnonzero(every.failed & (every.local == number))
        items = every.item[failed]
        alone = every.alone(items, number)
        sure = alone & every.complete[items]
        near, why = _near(rules, seen, np.flatnonzero(mine), every, number)
        out[family] = Health(
            int((mine & ~seen.passed).sum()),
            int(sure.sum()),
            int(alone.sum()),
            near if rules.families[family].ordered else None,
            why if rules.families[family].ordered else "not_ordered",
            [(int(families[other]), n) for other, n in every.contained(items, number)],
        )
    return out


class _Items:
    """What each item passed and failed, by its last observation of each rule, as bits."""

    def __init__(self, rules: Rules, seen: Seen, families: Ints, local: Ints) -> None:
        order = np.lexsort((seen.number, local, seen.item))
        item, mine = seen.item[order], local[order]
        last = np.append((item[1:] != item[:-1]) | (mine[1:] != mine[:-1]), True)
        self.rows: Ints = order[last]  # of `seen`: the last of each item and rule
        self.local = local[self.rows]
        self.failed: Bools = ~seen.passed[self.rows]
        ids = seen.item[self.rows]
        starts = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))
        self.item: Ints = np.cumsum(np.append(False, ids[1:] != ids[:-1])).astype(np.int64)
        self.count = len(families)
        words = (self.count + 63) // 64
        shape = (words, len(starts))
        self.asked, self.fails, self.has = (np.zeros(shape, dtype=np.uint64) for _ in range(3))
        steps, of_step = np.unique(rules.step[seen.rule[self.rows[starts]]], return_inverse=True)
        for word in range(words):
            bits = _bits(self.local, word)
            self.asked[word] = np.bitwise_or.reduceat(bits, starts)
            self.fails[word] = np.bitwise_or.reduceat(np.where(self.failed, bits, np.uint64(0)), starts)
            self.has[word] = _rules_there(rules, steps, families, word)[of_step.reshape(-1)]
        self.complete: Bools = (self.asked == self.has).all(axis=0)

    def alone(self, items: Ints, number: int) -> Bools:
        """Of items that failed a rule: whether no other is known to have failed."""
        found = np.ones(len(items), dtype=np.bool_)
        for word in range(len(self.fails)):
            found &= self.fails[word][items] == _bits(np.array([number]), word)[0]
        return found

    def contained(self, items: Ints, number: int) -> list[tuple[int, int]]:
        """The rules that failed on all of these items whose step has them, and on how many that is."""
        found = []
        for word in range(len(self.fails)):
            if not len(items):
                break
            agreeing = int(np.bitwise_and.reduce(self.fails[word][items] | ~self.has[word][items]))
            for bit in range(min(64, self.count - word * 64)):
                other = word * 64 + bit
                if agreeing >> bit & 1 and other != number:
                    n = int(((self.fails[word][items] >> np.uint64(bit)) & np.uint64(1)).sum())
                    if n >= SUPPORT:
                        found.append((other, n))
        return found


def _bits(local: Ints, word: int) -> Masks:
    """The bit of each rule in a word of the mask; 0 where it is in another word."""
    here = local // 64 == word
    return np.where(here, np.uint64(1) << (local % 64).astype(np.uint64), np.uint64(0))


def _rules_there(rules: Rules, steps: Ints, families: Ints, word: int) -> Masks:
    """The rules that each of these steps has, asked or not."""
    rows = np.flatnonzero(np.isin(rules.step, steps))
    masks = np.zeros(len(steps), dtype=np.uint64)
    bits = _bits(np.searchsorted(families, rules.family[rows]), word)
    np.bitwise_or.at(masks, np.searchsorted(steps, rules.step[rows]), bits)
    return masks


def _near(rules: Rules, seen: Seen, mine: Ints, every: _Items, number: int) -> tuple[NearMisses | None, str | None]:
    """The margins of a rule; else why there are none."""
    last = every.rows[every.local == number]
    item = every.item[every.local == number]
    value = seen.value[last]
    low, high = rules.low[seen.rule[last]], rules.high[seen.rule[last]]
    with np.errstate(over="ignore"):
        margin = np.minimum(value - low, high - value)
    there = np.isfinite(margin)
    if not there.any():
        return None, "no_numbers" if len(last) else "not_asked"
    margin, passed, item, value = margin[there], seen.passed[last][there], item[there], value[there]
    with np.errstate(over="ignore", invalid="ignore"):
        inner = np.quantile(value, [0.05, 0.95])
        spread = float(inner[1] - inner[0]) or float(value.max() - value.min())
    if not 0 < spread < _WIDEST:
        return None, "too_far_apart" if spread else "one_value"
    width = spread * NEAR
    edges = np.arange(-_BINS, _BINS + 1) * width
    binned = np.where(~passed & (margin >= 0), -width / 2, margin)  # a strict limit is outside
    counts = np.histogram(binned, edges)[0].astype(np.int64)
    close = np.abs(margin) <= width
    alone = every.alone(item, number)
    return NearMisses(
        len(margin),
        spread,
        width,
        edges.astype(np.float64),
        counts,
        int((binned < edges[0]).sum()),
        int((binned > edges[-1]).sum()),
        int((close & ~passed).sum()),
        int((close & passed).sum()),
        int((close & ~passed & alone).sum()),
    ), None


def newest_first(rules: Rules, order: Ints, most: int) -> Bools:
    """Of each step whether its observations are read: the newest of each name, so many observations in all. `order` is
    each step's place in time, the newest 0."""
    steps = len(order)
    asked = np.bincount(rules.step, rules.evaluated, steps)
    groups = np.array([family.group for family in rules.families], dtype=np.int64)[rules.family]
    of_step = np.full(steps, -1, dtype=np.int64)
    of_step[rules.step] = groups
    chosen = np.zeros(steps, dtype=np.bool_)
    names = np.unique(groups)
    for name in names.tolist():
        mine = np.flatnonzero(of_step == name)
        mine = mine[np.argsort(order[mine], kind="stable")]
        total = np.cumsum(asked[mine])
        chosen[mine[(total <= most / len(names)) | (np.arange(len(mine)) == 0)]] = True
    return chosen


def versions(rules: Rules, rows: Ints, began: Ints) -> list[tuple[str, Ints]]:
    """The limits of one rule with their rows, the oldest first; `began` is each step's time."""
    texts = rules.threshold.take(pa.array(rows)).to_pylist()
    found: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        found.setdefault(text, []).append(place)
    times = began[rules.step[rows]]
    some = sorted(found.items(), key=lambda one: (times[one[1]].max(), one[0]))
    return [(text, rows[places]) for text, places in some]


def total(values: Ints, rows: Ints) -> int:
    """The sum of a column over rows."""
    return int(values[rows].sum())


def by_run(run: Ints, rules: Rules, rows: Sequence[int] | Ints) -> tuple[Ints, Ints, Ints]:
    """Of one rule: the runs in the order of their numbers, how often it failed in each, and how often it was asked."""
    mine = np.asarray(rows)
    runs, place = np.unique(run[rules.step[mine]], return_inverse=True)
    place = place.reshape(-1)
    failed = np.bincount(place, rules.failed[mine], len(runs)).astype(np.int64)
    asked = np.bincount(place, rules.evaluated[mine], len(runs)).astype(np.int64)
    return runs, failed, asked
