"""What became of the items of many steps, one row each, as it is counted everywhere. Pure functions on columns.

An item's outcome at a step is its last one. Of what was scored, and is not named by more than that it was produced
there, it follows: outranked where the step chose; with a cut-off at k the k best go on, the others are outranked, and a
tie across the cut-off is open. What was produced, and of which nothing more is said, is accepted.

Of other items nothing says what became of them: a rule that was passed is an observation, no outcome. Whether they were
accepted follows from the step's declared counts, if at all: where as many went on as are open, all of them did; where
none did beyond those that are named, none; where some, only how many, so these are counted without their evidence.
Where nothing was declared it is not known. Nothing but an event, or a declared count, rejects: see `by_count`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dxray.server.reasoning.slices import Bools, Floats, Ints
from dxray.wire.records import OUTCOMES

_PRODUCED, _ACCEPTED, _OUTRANKED = (OUTCOMES.index(one) for one in ("produced", "accepted", "outranked"))
COLUMNS = (
    "entered", "produced", "accepted", "rejected", "selected", "outranked", "merged", "consumed", "undecided",
    "decided", "cutoff", "input_count", "declared_output_count", "accepted_by_count", "rejection_rate",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Items:
    """Items with events: `item` numbers them by row; the other columns have one value for each item."""

    item: Ints
    step: Ints
    outcome: Ints  # the number in OUTCOMES; -1 where none is said, and none follows
    reason: pa.Array
    has_evidence: Bools
    weight: Floats  # of its evidence: 1/p of the random part

    @classmethod
    def of(cls, events: pa.Table, steps: pa.Table, share: float) -> Items:
        """Of rows of the source `events`, with `at`, the number of their step. `share` of all events is there."""
        keys, first, item = np.unique(events["item_key"].to_numpy(), return_index=True, return_inverse=True)
        coded = pc.index_in(events["outcome"].combine_chunks(), pa.array(OUTCOMES))
        outcome = pc.fill_null(coded, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        number = events["event_no"].to_numpy()
        last = _last(item, number, outcome >= 0, len(keys))
        own = np.where(last >= 0, outcome[last], -1)
        step = events["at"].to_numpy().astype(np.int64)[first]
        score = events["score"].to_numpy()
        scored = _last(item, number, ~np.isnan(score), len(keys))
        open_ = (scored >= 0) & ((own < 0) | (own == _PRODUCED))
        if open_.any():
            own = _inferred(own, step, np.where(scored >= 0, score[scored], np.nan), open_, steps, share)
        reason = events["reason"].combine_chunks().take(pa.array(np.where(last >= 0, last, first)))
        return cls(item.astype(np.int64), step, own, reason, *_weights(events, item, len(keys)))

    def has(self, outcome: str) -> Bools:
        """Which items have it."""
        found: Bools = self.outcome == OUTCOMES.index(outcome)
        return found | (self.outcome == _PRODUCED) if outcome == "accepted" else found


def _last(item: Ints, number: Ints, which: Bools, many: int) -> Ints:
    """The last of these rows of each item; -1 for none."""
    rows = np.flatnonzero(which)
    if many < len(item):  # some items have several
        rows = rows[np.argsort(number[rows], kind="stable")]
    last = np.full(many, -1)
    last[item[rows]] = rows
    return last


def _inferred(outcome: Ints, step: Ints, score: Floats, open_: Bools, steps: pa.Table, share: float) -> Ints:
    chose = _column(steps, "decided").astype(np.bool_) | (_column(steps, "selected") > 0)
    outcome = np.where(open_ & chose[step], _OUTRANKED, outcome)
    cutoff = np.where(chose, np.nan, _column(steps, "cutoff", np.nan))
    rows = np.flatnonzero(~np.isnan(score) & ~np.isnan(cutoff[step]))
    if not len(rows):
        return outcome
    rows = rows[np.lexsort((-score[rows], step[rows]))]  # step by step, the best first
    at, value = step[rows], score[rows]
    new_step = np.append(True, at[1:] != at[:-1])
    new_score = new_step | np.append(True, value[1:] != value[:-1])
    place = np.arange(len(rows))
    start = np.maximum.accumulate(np.where(new_step, place, 0))
    above = np.maximum.accumulate(np.where(new_score, place, 0)) - start
    level = np.diff(np.append(np.flatnonzero(new_score), len(rows)))[np.cumsum(new_score) - 1]
    limit = cutoff[at] * share
    fate = np.where(above >= limit, _OUTRANKED, np.where(above + level <= limit, _ACCEPTED, outcome[rows]))
    outcome = outcome.copy()
    outcome[rows] = np.where(open_[rows], fate, outcome[rows])
    return outcome


def _weights(events: pa.Table, item: Ints, many: int) -> tuple[Bools, Floats]:
    """Which items have evidence, and what it counts."""
    has_it = events["shape_id"].is_valid().to_numpy()
    p = pc.fill_null(events["p"], 1.0).to_numpy().astype(np.float64)
    forced = events["kept_because"].is_valid().to_numpy()
    own = np.where(has_it & ~forced, 1 / np.clip(p, 1e-6, 1), 0)
    some, weight = np.zeros(many, dtype=np.bool_), np.zeros(many)
    some[item[has_it]] = True
    np.maximum.at(weight, item, own)
    return some, weight


# What no event says


@dataclass(frozen=True, slots=True)
class Unsaid:
    """Of each step, how many items are counted without being named, and how many of them have the outcome.

    `accepts`: its open items are accepted, all of them. `sets_aside`: they do not count as the items they are.
    `unknown` is how many are in no count, or in one as without the outcome, since nothing says what became of them.
    """

    count: Floats
    with_outcome: Floats
    accepts: Bools
    sets_aside: Bools
    unknown: Floats


def by_count(steps: pa.Table, outcome: str) -> Unsaid:
    """What the counts of steps say of the items of which no event tells the outcome."""
    unnamed = np.nan_to_num(_column(steps, "input_count") - _column(steps, "entered")).clip(0)
    undecided = _column(steps, "undecided")
    accepted, rejected = _column(steps, "accepted_by_count"), _rejected_by_count(steps, unnamed)
    none, no = np.zeros(len(unnamed)), np.zeros(len(unnamed), dtype=np.bool_)
    left = (unnamed + undecided - accepted - rejected).clip(0)
    if outcome != "accepted":
        return Unsaid(unnamed, rejected if outcome == "rejected" else none, no, no, left)
    declared = ~np.isnan(_column(steps, "declared_output_count", np.nan))
    rest = unnamed + undecided
    every = declared & (accepted >= rest)
    some = declared & ~every & (accepted > 0)
    # Those that are only counted as rejected were not accepted; of the others nothing says it.
    count = np.where(some, rest, np.where(declared, unnamed, np.minimum(rejected, unnamed)))
    with_outcome = np.where(some, accepted, np.where(every, unnamed, 0))
    return Unsaid(count, with_outcome, every, some | ~declared, np.where(declared, 0, left))


def _rejected_by_count(steps: pa.Table, unnamed: Floats) -> Floats:
    """By the step's rejection rate. A step that chooses is not asked: what it did not take was outranked."""
    chose = _column(steps, "decided").astype(np.bool_) | (_column(steps, "selected") + _column(steps, "outranked") > 0)
    said = np.round(_column(steps, "rejection_rate") * _column(steps, "input_count")) - _column(steps, "rejected")
    found: Floats = np.where(chose, 0, np.clip(said, 0, unnamed))
    return found


def _column(steps: pa.Table, name: str, otherwise: float = 0.0) -> Floats:
    values = steps[name]
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    found: Floats = pc.fill_null(values.cast(pa.float64()), otherwise).to_numpy().astype(np.float64)
    return found
