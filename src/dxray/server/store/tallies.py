"""Counts of distinct items by outcome, from the events of whole steps (see `base.py`; SQL does the same for the rest).

An item's outcome at a step is its last one. For an item that was scored, and of which nothing more is said than that
it was produced here, it follows: where the step chose, the item is outranked; with a cut-off at k, the k best scores
go on, and a tie across the cut-off is left undecided. What was produced, and not scored, is accepted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dxray.wire.columns import row_key
from dxray.wire.records import OUTCOMES

PRODUCED, ACCEPTED, REJECTED, SELECTED, OUTRANKED, MERGED, CONSUMED = range(len(OUTCOMES))
UNDECIDED = len(OUTCOMES)
NO_REASON = "unspecified"

_encode = msgspec.json.Encoder().encode

Ints = np.ndarray[Any, np.dtype[np.int64]]
StepKey = tuple[str, str, str]  # project, run_id, step_id


@dataclass(slots=True)
class Counts:
    """A step's distinct items by outcome, in the order of the columns of `tallies`."""

    events: int = 0
    entered: int = 0
    produced: int = 0
    accepted: int = 0
    rejected: int = 0
    selected: int = 0
    outranked: int = 0
    merged: int = 0
    consumed: int = 0
    undecided: int = 0
    decided: bool = False
    reasons: list[str] = field(default_factory=list)
    reason_counts: list[int] = field(default_factory=list)


_in_order = attrgetter(*(one.name for one in fields(Counts)))  # `astuple` would copy every number

COUNTS = (
    "recorded_events", "entered", "produced", "accepted", "rejected", "selected", "outranked", "merged", "consumed",
    "undecided",
)  # fmt: skip


@dataclass(slots=True)
class Declared:
    """What a step's record says of its items; nothing while there is none."""

    input_count: int | None = None
    output_count: int | None = None
    rejections: dict[str, int] | None = None
    events: int | None = None
    cutoff: int | None = None


@dataclass(slots=True)
class StepEvents:
    """All events of some steps. `no` is the number of each row's step, in the list of steps."""

    no: Ints
    event_no: Ints
    item_id: pa.Array
    outcome: Ints  # the number in OUTCOMES, -1 for observations
    reason: pa.Array
    score: np.ndarray[Any, np.dtype[np.float64]]  # NaN for none

    @classmethod
    def concat(cls, some: Sequence[StepEvents]) -> StepEvents:
        """The rows of all of them."""
        if len(some) == 1:
            return some[0]
        return cls(
            np.concatenate([one.no for one in some]),
            np.concatenate([one.event_no for one in some]),
            pa.concat_arrays([one.item_id for one in some]),
            np.concatenate([one.outcome for one in some]),
            pa.concat_arrays([one.reason for one in some]),
            np.concatenate([one.score for one in some]),
        )


def step_numbers(events: pa.Table) -> tuple[list[StepKey], Ints]:
    """The steps of a commit's events, and for each row the number of its step. A step's events come in stretches."""
    numbers: dict[StepKey, int] = {}
    rows: list[Ints] = []
    for batch in events.select(["project", "run_id", "step_id"]).to_batches():
        if not batch.num_rows:
            continue
        differs = np.zeros(batch.num_rows, dtype=np.bool_)
        differs[0] = True
        for column in batch.columns:
            codes = (column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode()).indices
            codes = codes.to_numpy()
            differs[1:] |= codes[1:] != codes[:-1]
        firsts = np.flatnonzero(differs)
        keys = zip(*(column.take(pa.array(firsts)).to_pylist() for column in batch.columns), strict=True)
        stretch = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
        rows.append(np.repeat(stretch, np.diff(np.append(firsts, batch.num_rows))))
    return list(numbers), np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)


def rows_of(events: pa.Table, no: Ints, wanted: np.ndarray[Any, np.dtype[np.bool_]] | None) -> StepEvents:
    """A commit's events as `tally` takes them; only the `wanted` rows, where not all are."""
    outcome = _codes(events["outcome"])
    found = StepEvents(
        no,
        events["event_no"].to_numpy(),
        _whole(events["item_id"]),
        outcome,
        _whole(events["reason"]),
        events["score"].to_numpy(),
    )
    if wanted is not None:
        at = np.flatnonzero(wanted)
        picked = pa.array(at)
        found = StepEvents(
            no[at],
            found.event_no[at],
            found.item_id.take(picked),
            outcome[at],
            found.reason.take(picked),
            found.score[at],
        )
    return found


def tally(n: int, rows: StepEvents, cutoffs: Mapping[int, int], decided: Collection[int]) -> dict[int, Counts]:
    """The counts of each step that has a row, by its number; `decided` are the numbers of steps with a decision."""
    events = np.bincount(rows.no, minlength=n)
    reasons, reason_codes = _encoded(rows.reason)
    packed = np.where(rows.outcome < 0, -1, (rows.event_no.astype(np.int64) << 3) | rows.outcome)
    order, starts = _items(rows)
    last = packed[order]
    at = order
    if len(starts) < len(order):  # an item has several events here
        at, last = _last_of_items(order, starts, packed)
    no = rows.no[order[starts]]
    outcome = np.where(last < 0, UNDECIDED, last & 7)
    produced = _any_of_items(rows.outcome == PRODUCED, order, starts)
    _infer(outcome, no, rows, (order, starts), cutoffs, decided, n)
    outcome[outcome == PRODUCED] = ACCEPTED
    counts = np.bincount(no * 8 + outcome, minlength=n * 8).reshape(n, 8)
    made = np.bincount(no[produced], minlength=n)
    rejected = np.flatnonzero(outcome == REJECTED)
    by_reason = _by_reason(no[rejected], reason_codes[at[rejected]], reasons.to_pylist())
    present = np.flatnonzero(events)
    found = zip(
        present.tolist(), events[present].tolist(), made[present].tolist(), counts[present].tolist(), strict=True
    )
    return {i: _counts(some, in_all, new, by_reason.get(i, []), i in decided) for i, some, new, in_all in found}


def _items(rows: StepEvents) -> tuple[Ints, Ints]:
    """Row numbers, item by item, and where each item starts there."""
    names, codes = _encoded(rows.item_id)
    key = rows.no * max(len(names), 1) + codes
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    first = np.ones(len(key), dtype=np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    return order, np.flatnonzero(first)


def _last_of_items(order: Ints, starts: Ints, packed: Ints) -> tuple[Ints, Ints]:
    """For each item the row of its last outcome, and that outcome (-1 for none)."""
    ordered = packed[order]
    last = np.maximum.reduceat(ordered, starts)
    lengths = np.diff(np.append(starts, len(order)))
    is_last = np.flatnonzero(ordered == np.repeat(last, lengths))
    item_of = np.repeat(np.arange(len(starts)), lengths)[is_last]
    at = np.empty(len(starts), dtype=np.int64)
    at[item_of] = order[is_last]
    return at, last


def _any_of_items(flags: np.ndarray[Any, np.dtype[np.bool_]], order: Ints, starts: Ints) -> Any:
    if not flags.any():
        return np.zeros(len(starts), dtype=np.bool_)
    return np.logical_or.reduceat(flags[order], starts)


def _infer(
    outcome: Ints,
    no: Ints,
    rows: StepEvents,
    items: tuple[Ints, Ints],
    cutoffs: Mapping[int, int],
    decided: Collection[int],
    n: int,
) -> None:
    """Give items that were only scored the outcome that follows from the step's choice or cut-off."""
    has_score = ~np.isnan(rows.score)
    if not has_score.any():
        return
    order, starts = items
    chose = np.zeros(n, dtype=np.bool_)
    chose[no[outcome == SELECTED]] = True
    chose[list(decided)] = True
    open_ = ((outcome == UNDECIDED) | (outcome == PRODUCED)) & _any_of_items(has_score, order, starts)
    outcome[open_ & chose[no]] = OUTRANKED
    limits = {step: k for step, k in cutoffs.items() if not chose[step]}
    if not limits:
        return
    item_of = np.empty(len(order), dtype=np.int64)
    item_of[order] = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(order))))
    for step, k in limits.items():
        mine = np.flatnonzero(has_score & (rows.no == step))
        if len(mine):
            scored, verdicts = _cut(item_of[mine], rows.event_no[mine], rows.score[mine], k)
            outcome[scored[open_[scored]]] = verdicts[open_[scored]]


def _cut(items: Ints, event_no: Ints, score: Any, k: int) -> tuple[Ints, Ints]:
    """The scored items of a step, and what a cut-off at k means for each, by its last score."""
    by_event = np.lexsort((event_no, items))
    items, score = items[by_event], score[by_event]
    last = np.flatnonzero(np.append(items[1:] != items[:-1], True))
    items, score = items[last], score[last]
    ascending = np.sort(score)
    above = len(score) - np.searchsorted(ascending, score, side="right")
    or_level = len(score) - np.searchsorted(ascending, score, side="left")
    return items, np.where(above >= k, OUTRANKED, np.where(or_level <= k, ACCEPTED, UNDECIDED))


def _by_reason(no: Ints, codes: Ints, reasons: list[str]) -> dict[int, list[tuple[str, int]]]:
    """Of each step the reasons of its rejected items, the most frequent first."""
    found: dict[int, list[tuple[str, int]]] = {}
    pairs, counts = np.unique(no * (len(reasons) + 1) + codes + 1, return_counts=True)
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        step, code = divmod(pair, len(reasons) + 1)
        found.setdefault(step, []).append((reasons[code - 1] if code else NO_REASON, count))
    for some in found.values():
        some.sort(key=lambda one: (-one[1], one[0]))
    return found


def _counts(events: int, by_outcome: list[int], produced: int, reasons: list[tuple[str, int]], decided: bool) -> Counts:
    return Counts(
        events,
        sum(by_outcome) - produced,
        produced,
        accepted=by_outcome[ACCEPTED],
        rejected=by_outcome[REJECTED],
        selected=by_outcome[SELECTED],
        outranked=by_outcome[OUTRANKED],
        merged=by_outcome[MERGED],
        consumed=by_outcome[CONSUMED],
        undecided=by_outcome[UNDECIDED],
        decided=decided,
        reasons=[name for name, _ in reasons],
        reason_counts=[count for _, count in reasons],
    )


# --- what follows -----------------------------------------------------------------------------------------


def facts(counts: Counts, declared: Declared) -> tuple[Any, ...]:
    """The columns of `tallies` from `input_count` on. Nothing is clamped: a contradiction is shown as one."""
    c, d = counts, declared
    recorded = c.events > 0
    input_count = d.input_count if d.input_count is not None else c.entered if recorded else None
    named_output = c.accepted + c.selected
    output_count = d.output_count if d.output_count is not None else named_output if recorded else None
    by_count = max((d.output_count or 0) - named_output, 0)
    said_rejected = sum(d.rejections.values()) if d.rejections else 0
    outcomes = named_output + c.rejected + c.outranked + c.merged + c.consumed
    unaccounted = None
    if input_count is not None:
        unaccounted = input_count + c.produced - outcomes - by_count - max(said_rejected - c.rejected, 0)
    rate = _rate(c, d, input_count, said_rejected)
    contradiction = (
        (unaccounted is not None and unaccounted < 0)
        or (d.input_count is not None and d.input_count < c.entered)
        or (d.output_count is not None and d.output_count < named_output)
        or (rate is not None and rate > 1)
        or (said_rejected > 0 and c.rejected > said_rejected)
    )
    by_reason = dict(zip(c.reasons, c.reason_counts, strict=True)) or d.rejections
    return (
        input_count,
        output_count,
        rate if rate is None or rate <= 1 else None,
        _encode(by_reason).decode() if by_reason else None,
        by_count,
        unaccounted,
        None if d.events is None else d.events - c.events,
        contradiction,
    )


def _rate(c: Counts, d: Declared, input_count: int | None, said_rejected: int) -> float | None:
    """Rejected / input where it is known how many were rejected, else from the declared counts, else unknown."""
    if input_count is None or input_count <= 0:
        return None
    if c.rejected:
        return c.rejected / input_count
    if said_rejected:
        return said_rejected / input_count
    if c.events and c.entered >= input_count:
        return 0.0
    if d.input_count is None or d.output_count is None or d.output_count > d.input_count:
        return None
    return 1.0 - d.output_count / d.input_count


def table(rows: Sequence[tuple[StepKey, Counts, Declared]]) -> pa.Table:
    """Rows of the table `tallies`."""
    made = [(*key, row_key(*key), *_in_order(counts), *facts(counts, declared)) for key, counts, declared in rows]
    columns = zip(*made, strict=True)
    return pa.Table.from_arrays(
        [pa.array(column, one.type) for column, one in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA
    )


_T, _L = pa.string(), pa.int64()
_SCHEMA = pa.schema(
    [
        *((name, _T) for name in ("project", "run_id", "step_id")),
        ("step_key", _L),
        *((name, _L) for name in COUNTS),
        ("decided", pa.bool_()),
        ("reasons", pa.list_(_T)),
        ("reason_counts", pa.list_(_L)),
        ("input_count", _L),
        ("output_count", _L),
        ("rejection_rate", pa.float64()),
        ("rejection_counts", _T),
        ("accepted_by_count", _L),
        ("unaccounted", _L),
        ("missing_events", _L),
        ("contradiction", pa.bool_()),
    ]
)


# --- arrays -----------------------------------------------------------------------------------------------


def _encoded(array: pa.Array) -> tuple[pa.Array, Ints]:
    """The distinct texts of an array, and for each row their number (-1 for null)."""
    encoded = array if isinstance(array, pa.DictionaryArray) else pc.dictionary_encode(array)
    indices = encoded.indices
    if indices.null_count:
        indices = indices.fill_null(-1)
    return encoded.dictionary, indices.to_numpy().astype(np.int64)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.cast(pa.string()).chunks)


def _codes(column: pa.ChunkedArray) -> Ints:
    """Outcomes as their numbers; the dictionaries that ingest makes are OUTCOMES itself."""
    found = [np.zeros(0, dtype=np.int64)]
    for chunk in column.chunks:
        if not isinstance(chunk, pa.DictionaryArray) or chunk.dictionary.to_pylist() != list(OUTCOMES):
            chunk = pa.DictionaryArray.from_arrays(
                pc.index_in(chunk.cast(pa.string()), pa.array(OUTCOMES)), pa.array(OUTCOMES)
            )
        found.append(chunk.indices.fill_null(-1).to_numpy().astype(np.int64))
    return np.concatenate(found)
