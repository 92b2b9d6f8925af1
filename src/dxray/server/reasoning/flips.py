"""What became of each item at each step, of two runs at once, as arrays; and what of it differs.

An item's outcome at a step is its last one; one that was only scored gets what follows from the step's choice or its
cut-off, as in the counts. Items are numbers that both runs share, so that comparing them is comparing arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dxray.server.filters import Clause
from dxray.server.reasoning.flow import Stage
from dxray.server.reasoning.reading import together
from dxray.server.reasoning.shown import Row
from dxray.server.store.base import Reader
from dxray.wire.records import OUTCOMES

PRODUCED, ACCEPTED, _, SELECTED, OUTRANKED, MERGED, _ = range(len(OUTCOMES))
UNDECIDED = len(OUTCOMES)

Ints = np.ndarray[Any, np.dtype[np.int64]]
Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

_COLUMNS = ("step_id", "event_no", "item_id", "outcome", "reason", "score")


@dataclass(frozen=True, slots=True)
class StepItems:
    """The items of one step, in the order of their numbers; -1 and NaN where there is nothing."""

    item: Ints
    outcome: Ints  # the number in OUTCOMES; a produced item of which nothing more is said is accepted
    reason: Ints
    score: Floats
    entered: Bools  # it came in: the step did not produce it
    first: Ints  # number of its first event
    at: Ints  # number of the event that decided
    into: Ints  # of a merged item, the number of a text: the item it went into

    @property
    def came(self) -> Ints:
        """The items that came in."""
        return self.item[self.entered]

    @property
    def _kept(self) -> Bools:
        kept: Bools = (self.outcome == ACCEPTED) | (self.outcome == SELECTED)
        return kept

    @property
    def gone_on(self) -> Ints:
        """The items that go on."""
        return self.item[self._kept]

    @property
    def came_in_order(self) -> Ints:
        """The items that came in, in the order in which the step spoke of them."""
        return self.item[self.entered][np.argsort(self.first[self.entered], kind="stable")]

    @property
    def gone_in_order(self) -> Ints:
        """The items that go on, in the order in which that was decided."""
        kept = self._kept
        return self.item[kept][np.argsort(self.at[kept], kind="stable")]

    @property
    def winners(self) -> Ints:
        """The items that were selected."""
        chosen: Ints = self.item[self.outcome == SELECTED]
        return chosen

    @property
    def ranks(self) -> Ints:
        """The place of each item by its score, 1 for the best, 0 for one without."""
        scored = ~np.isnan(self.score)
        ascending = np.sort(self.score[scored])
        out: Ints = np.zeros(len(self.item), dtype=np.int64)
        out[scored] = 1 + len(ascending) - np.searchsorted(ascending, self.score[scored], side="right")
        return out


_NONE = np.zeros(0, dtype=np.int64)
NO_ITEMS = StepItems(_NONE, _NONE, _NONE, _NONE.astype(np.float64), _NONE.astype(np.bool_), _NONE, _NONE, _NONE)


@dataclass(frozen=True, slots=True)
class Overlap:
    """A step's items in two runs: places of those in both, and what of these differs."""

    at_a: Ints
    at_b: Ints
    changed: Bools  # outcome, reason, score, or where it was merged into
    flipped: Bools  # the outcome, known on both sides
    rescored: Bools
    only_a: Ints
    only_b: Ints


def overlap(a: StepItems, b: StepItems) -> Overlap:
    """Compare a step's items in two runs."""
    _, at_a, at_b = np.intersect1d(a.item, b.item, assume_unique=True, return_indices=True)
    one, other = a.outcome[at_a], b.outcome[at_b]
    score_a, score_b = a.score[at_a], b.score[at_b]
    rescored = ~((score_a == score_b) | (np.isnan(score_a) & np.isnan(score_b)))
    differs = one != other
    return Overlap(
        at_a,
        at_b,
        differs | rescored | (a.reason[at_a] != b.reason[at_b]) | (a.into[at_a] != b.into[at_b]),
        differs & (one != UNDECIDED) & (other != UNDECIDED),
        rescored,
        np.setdiff1d(a.item, b.item, assume_unique=True),
        np.setdiff1d(b.item, a.item, assume_unique=True),
    )


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two runs: the steps of it that count, with their rows."""

    run_id: str
    stages: Sequence[Stage]
    rows: Mapping[str, Row]  # of the source `steps`, by id

    @property
    def undecided(self) -> bool:
        """Whether there are items of which only observations say anything."""
        return any(self.rows[stage.step_id]["undecided"] for stage in self.stages)

    @property
    def merges(self) -> bool:
        """Whether items were merged into others."""
        return any(self.rows[stage.step_id]["merged"] for stage in self.stages)


class TwoRuns:
    """The items of two runs, read once. `a` and `b` are the items of each step that counts, by its id."""

    def __init__(self, reader: Reader, sides: Sequence[Side]) -> None:
        whole = any(side.undecided for side in sides)
        tables = together(*(partial(_read, reader, side.run_id, whole) for side in sides))
        self._ids, item = _coded(table["item_id"] for table in tables)
        self._reasons, reason = _coded(table["reason"] for table in tables)
        self._hashes: Hashes | None = None
        texts: dict[str, int] = {}
        found = []
        start = 0
        for side, table in zip(sides, tables, strict=True):
            rows = slice(start, start + len(table))
            start += len(table)
            into = _merged(reader, side, self._ids, texts)
            found.append(_by_step(side, table, item[rows], reason[rows], into))
        self.a, self.b = found

    def ids(self, numbers: Ints) -> list[str]:
        """The ids of items by their numbers."""
        found: list[str] = self._ids.take(pa.array(numbers)).to_pylist()
        return found

    def reason(self, number: int) -> str | None:
        """A reason by its number."""
        found: str | None = self._reasons[int(number)].as_py() if number >= 0 else None
        return found

    @property
    def hashes(self) -> Hashes:
        """A hash of 64 bits of each item's id, the same in every process."""
        if self._hashes is None:
            ids = self._ids.to_pylist()
            texts = b"".join(blake2b(one.encode("utf-8", "replace"), digest_size=8).digest() for one in ids)
            self._hashes = np.frombuffer(texts, dtype="<u8").astype(np.uint64)
        return self._hashes

    def prints(self, items: StepItems) -> dict[str, str | None]:
        """Fingerprints of what came in, in any order and in its order, and of what became of it; null for nothing."""
        ids = self.hashes
        ordered = ids[items.came_in_order]
        places = _mixed(np.arange(len(ordered), dtype=np.uint64))
        words = np.array([_hash(self.reason(n)) for n in range(-1, len(self._reasons))], dtype=np.uint64)
        became = _mixed(words[items.reason + 1] + items.outcome.astype(np.uint64))
        scores = np.where(np.isnan(items.score), np.float64(-0.0), items.score + 0.0).view(np.uint64)
        return {
            "input": _sum(ids[items.came]),
            "input_ordered": _sum(_mixed(ordered ^ places)),
            "output": _sum(_mixed(ids[items.item] ^ became ^ _mixed(scores))),
        }


def _read(reader: Reader, run_id: str, whole: bool) -> pa.Table:
    where = [Clause("run_id", "==", run_id)]
    if not whole:  # rules that were passed are most of a ledger
        where.append(Clause("outcome|score", "not_null"))
    return reader.select("events", _COLUMNS, where)


def _coded(columns: Iterable[pa.ChunkedArray]) -> tuple[pa.Array, Ints]:
    """The distinct texts of some columns together, and for each row their number (-1 for null)."""
    chunks = [chunk.cast(pa.string()) for column in columns for chunk in column.chunks]
    whole = pa.concat_arrays(chunks) if chunks else pa.array([], pa.string())
    encoded = pc.dictionary_encode(whole)
    return encoded.dictionary, encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)


def _merged(reader: Reader, side: Side, ids: pa.Array, texts: dict[str, int]) -> dict[tuple[str, int], int]:
    """By step and item, the number of the text that says what the item was merged into last."""
    if not side.merges:
        return {}
    where = [Clause("run_id", "==", side.run_id), Clause("outcome", "==", "merged")]
    table = reader.select("events", ["step_id", "item_id", "ref_item"], where, ["event_no"])
    codes = pc.index_in(_whole(table["item_id"]), ids).fill_null(-1).to_pylist()
    rows = zip(table["step_id"].to_pylist(), codes, table["ref_item"].to_pylist(), strict=True)
    return {(step, item): texts.setdefault(into or "", len(texts)) for step, item, into in rows}


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.cast(pa.string()).combine_chunks()


def _by_step(
    side: Side, table: pa.Table, item: Ints, reason: Ints, into: Mapping[tuple[str, int], int]
) -> dict[str, StepItems]:
    """The items of each step of one run, from all its events."""
    steps, of_step = _coded([table["step_id"]])
    numbers = {stage.step_id: number for number, stage in enumerate(side.stages)}
    no = np.array([numbers.get(one, -1) for one in steps.to_pylist()], dtype=np.int64)[of_step]
    event_no = table["event_no"].to_numpy().astype(np.int64)
    order = np.lexsort((event_no, item, no))
    order = order[np.searchsorted(no[order], 0) :]  # without those of superseded attempts
    if not len(order):
        return {}
    no, item, reason, event_no = no[order], item[order], reason[order], event_no[order]
    outcome = pc.index_in(_whole(table["outcome"]), pa.array(OUTCOMES)).fill_null(-1)
    outcome = outcome.to_numpy(zero_copy_only=False).astype(np.int64)[order]
    score = pc.fill_null(table["score"], float("nan")).to_numpy()[order]
    starts = np.flatnonzero(np.append(True, (no[1:] != no[:-1]) | (item[1:] != item[:-1])))
    rows = np.arange(len(no))
    decided = np.maximum.reduceat(np.where(outcome >= 0, rows, -1), starts)
    scored = np.maximum.reduceat(np.where(np.isnan(score), -1, rows), starts)
    all_items = StepItems(
        item[starts],
        np.where(decided >= 0, outcome[decided], UNDECIDED),
        np.where(decided >= 0, reason[decided], -1),
        np.where(scored >= 0, score[scored], np.nan),
        ~np.logical_or.reduceat(outcome == PRODUCED, starts),
        event_no[starts],
        event_no[np.where(decided >= 0, decided, starts)],
        np.full(len(starts), -1, dtype=np.int64),
    )
    limits = np.searchsorted(no[starts], np.arange(len(side.stages) + 1))
    out: dict[str, StepItems] = {}
    for number, stage in enumerate(side.stages):
        part = slice(limits[number], limits[number + 1])
        if limits[number] < limits[number + 1]:
            out[stage.step_id] = _step(stage, all_items, part, into)
    return out


def _step(stage: Stage, items: StepItems, part: slice, into: Mapping[tuple[str, int], int]) -> StepItems:
    """One step's items; those only scored get the outcome that follows from its choice or its cut-off."""
    item, outcome, score = items.item[part], items.outcome[part], items.score[part]
    scored = ~np.isnan(score)
    open_ = scored & ((outcome == UNDECIDED) | (outcome == PRODUCED))
    if open_.any() and stage.decided:
        outcome = np.where(open_, OUTRANKED, outcome)
    elif open_.any() and stage.cutoff is not None:
        ascending = np.sort(score[scored])
        above = len(ascending) - np.searchsorted(ascending, score, side="right")
        level = len(ascending) - np.searchsorted(ascending, score, side="left")
        cut = np.where(above >= stage.cutoff, OUTRANKED, np.where(level <= stage.cutoff, ACCEPTED, UNDECIDED))
        outcome = np.where(open_, cut, outcome)
    merged = np.full(len(item), -1, dtype=np.int64)
    if into:
        merged[:] = [into.get((stage.step_id, one), -1) for one in item.tolist()]
    return StepItems(
        item,
        np.where(outcome == PRODUCED, ACCEPTED, outcome),
        items.reason[part],
        score,
        items.entered[part],
        items.first[part],
        items.at[part],
        np.where(outcome == MERGED, merged, -1),
    )


def _hash(text: str | None) -> int:
    return 0 if text is None else int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest())


def _mixed(values: Hashes) -> Hashes:
    """Every bit of a number spread over all of it: the finalizer of splitmix64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = values ^ (values >> np.uint64(31))
    return mixed


def _sum(values: Hashes) -> str | None:
    """A sum that no order changes, as 16 hexadecimal digits; null for nothing."""
    return f"{int(values.sum(dtype=np.uint64)):016x}" if len(values) else None


# --- what changed, as rows of an answer ----------------------------------------------------------------------


def flip_rows(runs: TwoRuns, a: StepItems, b: StepItems, over: Overlap, limit: int) -> list[dict[str, Any]]:
    """Items that both runs had at a step, with another outcome: those that one of them selected come first."""
    places = np.flatnonzero(over.flipped)
    chosen = (a.outcome[over.at_a[places]] == SELECTED) | (b.outcome[over.at_b[places]] == SELECTED)
    places = places[np.argsort(~chosen, kind="stable")][:limit]
    at_a, at_b = over.at_a[places], over.at_b[places]
    return [
        {"item_id": item, "a": _became(runs, a, one), "b": _became(runs, b, other)}
        for item, one, other in zip(runs.ids(a.item[at_a]), at_a, at_b, strict=True)
    ]


def _became(runs: TwoRuns, items: StepItems, at: Any) -> dict[str, Any]:
    score = float(items.score[at])
    return {
        "outcome": OUTCOMES[int(items.outcome[at])],
        "reason": runs.reason(items.reason[at]),
        "score": None if np.isnan(score) else score,
    }


def rank_moves(
    runs: TwoRuns, a: StepItems, b: StepItems, over: Overlap, limit: int
) -> tuple[int, list[dict[str, Any]]]:
    """How many items both runs scored at a step and ranked differently, and those of them that moved farthest."""
    rank_a, rank_b = a.ranks[over.at_a], b.ranks[over.at_b]
    moved = np.flatnonzero((rank_a > 0) & (rank_b > 0) & (rank_a != rank_b))
    best = np.minimum(rank_a, rank_b)
    moved = moved[np.lexsort((best[moved], -np.abs(rank_a - rank_b)[moved]))]
    shown = moved[:limit]
    return len(moved), [
        {
            "item_id": item,
            "a": {"rank": int(rank_a[place]), "score": float(a.score[over.at_a[place]])},
            "b": {"rank": int(rank_b[place]), "score": float(b.score[over.at_b[place]])},
        }
        for item, place in zip(runs.ids(a.item[over.at_a[shown]]), shown, strict=True)
    ]


def all_items(items: Mapping[str, StepItems]) -> Ints:
    """The items of all steps of a run."""
    return union([one.item for one in items.values()])


def union(some: Sequence[Ints]) -> Ints:
    """All numbers of some arrays, each once, in order."""
    if len(some) == 1:
        return some[0]
    there = np.zeros(max((int(one[-1]) + 1 for one in some if len(one)), default=0), dtype=np.bool_)
    for one in some:
        there[one] = True
    found: Ints = np.flatnonzero(there)
    return found


def names_of(reader: Reader, run_ids: Sequence[str], items: Iterable[str]) -> dict[str, str]:
    """The names of items, where one of the runs gave them one."""
    wanted = sorted(set(items))
    if not wanted:
        return {}
    named = Clause("name", "not_null")
    found: dict[str, str] = {}
    for run_id in dict.fromkeys(run_ids):
        where = [Clause("run_id", "==", run_id), Clause("item_id", "in", wanted), named]
        table = reader.select("events", ["item_id", "name"], where, ["step_id", "event_no"])
        found.update(zip(table["item_id"].to_pylist(), table["name"].to_pylist(), strict=True))
    return found
