"""One row an item of one step: what became of it, its score and rank, and the order that is asked for.

Pure functions on columns. Items are numbered in the order in which they came to the step.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dxray.server.reasoning.item_outcomes import Items
from dxray.server.reasoning.slices import Bools, Floats, Ints
from dxray.wire.records import OUTCOMES

COLUMNS = ("item_key", "item_id", "event_no", "outcome", "reason", "score")  # of the source `events`
STEP_COLUMNS = ("decided", "selected", "cutoff")  # of the source `steps`

# In natural order: `sku-9` before `sku-10`, upper and lower case alike.
_FIRST_NUMBER = r"(?s)^(?P<head>\D*)(?P<number>\d{0,15})(?P<tail>.*)$"
_PRODUCED = OUTCOMES.index("produced")


@dataclass(frozen=True, slots=True)
class StepItems:
    """The items of a step. Columns have one value for each item, but `item`, which has one for each event."""

    item: Ints  # the number of each event's item
    event_no: Ints
    item_id: pa.Array
    outcome: Ints  # the number in OUTCOMES; -1 where none is said, and none follows
    reason: pa.Array
    score: Floats  # the last; NaN for none
    rank: Floats  # 1 is best, those level with each other share one; NaN where nobody knows

    @classmethod
    def of(cls, events: pa.Table, step: pa.Table) -> StepItems:
        """Of all events of a step, and its row."""
        events = _in_order(events)
        keys = pc.dictionary_encode(events["item_key"].combine_chunks())
        item = keys.indices.to_numpy().astype(np.int64)
        many = len(keys.dictionary)
        nothing = {
            "at": pa.nulls(len(item), pa.int64()).fill_null(0),
            "shape_id": pa.nulls(len(item), pa.string()),  # evidence does not say what became of an item
            "p": pa.nulls(len(item), pa.float32()),
            "kept_because": pa.nulls(len(item), pa.string()),
        }
        columns = {name: events[name] for name in ("event_no", "outcome", "reason", "score")}
        fates = Items.of(pa.table({"item_key": keys.indices, **columns, **nothing}), step, 1.0)
        score = last_of(item, many, events["score"].to_numpy())
        said = events["outcome"].is_valid().to_numpy()
        found = pc.dictionary_encode(events["reason"].combine_chunks())
        codes = np.full(many, -1)
        codes[item[said]] = found.indices.fill_null(-1).to_numpy()[said]
        return cls(
            item,
            events["event_no"].to_numpy().astype(np.int64),
            events["item_id"].combine_chunks().take(pa.array(first_of(item, many))),
            fates.outcome,
            found.dictionary.cast(pa.string()).take(pa.array(codes, mask=codes < 0)),
            score,
            _ranks(score, fates.has("selected")),
        )

    def __len__(self) -> int:
        return len(self.outcome)

    def placed(self, items: Ints, most: int) -> list[Placed]:
        """These items, each with the numbers of its last `most` events."""
        here = np.zeros(len(self), dtype=np.bool_)
        here[items] = True
        rows = np.flatnonzero(here[self.item])
        events: dict[int, list[int]] = {one: [] for one in items.tolist()}
        for one, number in zip(self.item[rows].tolist(), self.event_no[rows].tolist(), strict=True):
            events[one].append(number)
        columns = (self.outcome[items], self.score[items], self.rank[items])
        reasons = self.reason.take(pa.array(items)).to_pylist()
        return [
            Placed(
                None if outcome < 0 else OUTCOMES[outcome],
                reason,
                None if isnan(score) else score,
                None if isnan(rank) else int(rank),
                len(numbers),
                numbers[-most:],
            )
            for outcome, score, rank, reason, numbers in zip(
                *(column.tolist() for column in columns), reasons, events.values(), strict=True
            )
        ]

    def has(self, outcome: str) -> Bools:
        """Which items have it. What was produced here, and nothing more is said of, is accepted too."""
        found: Bools = self.outcome == OUTCOMES.index(outcome)
        return found | (self.outcome == _PRODUCED) if outcome == "accepted" else found

    def of_events(self, numbers: Ints) -> Ints:
        """The item of each event, by its number; -1 for one that came since."""
        if not len(self.event_no):
            return np.full(len(numbers), -1)
        at = np.minimum(np.searchsorted(self.event_no, numbers), len(self.event_no) - 1)
        return np.where(self.event_no[at] == numbers, self.item[at], -1)

    def outcomes(self) -> pa.Array:
        """As texts."""
        return pa.array(OUTCOMES).take(pa.array(self.outcome, mask=self.outcome < 0))


def _in_order(events: pa.Table) -> pa.Table:
    number = events["event_no"].to_numpy()
    if (number[1:] > number[:-1]).all():
        return events
    return events.take(pa.array(np.argsort(number, kind="stable")))


def first_of(item: Ints, many: int) -> Ints:
    """The first row of each item, of rows in order."""
    first = np.zeros(many, dtype=np.int64)
    first[item[::-1]] = np.arange(len(item))[::-1]
    return first


def last_of(item: Ints, many: int, values: Floats) -> Floats:
    """The last value of each item that is one, of rows in order; NaN for none. Rows of item -1 are left out."""
    found = np.full(many, np.nan)
    there = ~np.isnan(values) & (item >= 0)
    found[item[there]] = values[there]
    return found


def _ranks(score: Floats, selected: Bools) -> Floats:
    """Places among the scored; none where something was selected that has no score: nobody knows where that stood."""
    rank = np.full(len(score), np.nan)
    scored = ~np.isnan(score)
    if (selected & ~scored).any():
        return rank
    known = score[scored]
    rank[scored] = 1 + len(known) - np.searchsorted(np.sort(known), known, side="right")
    return rank


# Orders


def places(texts: pa.Array) -> Floats:
    """The place of each text in natural order, equal ones level; NaN for null."""
    found = np.full(len(texts), np.nan)
    there = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False))
    if not len(there):
        return found
    words = texts.drop_null()
    parts = pc.extract_regex(words, _FIRST_NUMBER)
    head, digits, tail = (pc.struct_field(parts, name) for name in ("head", "number", "tail"))
    numbers = pc.if_else(pc.equal(digits, ""), "-1", digits).cast(pa.int64()).to_numpy(zero_copy_only=False)
    same = _rank(words)
    order = np.lexsort((same, _rank(tail), numbers, _rank(pc.utf8_lower(head))))  # the last counts most
    found[there[order]] = np.cumsum(np.append(False, np.diff(same[order]) != 0))
    return found


def mixed_places(numbers: Floats, texts: pa.Array) -> Floats:
    """The place of each value: numbers first, then texts; NaN for neither."""
    there = ~np.isnan(numbers)
    known, place = np.unique(numbers[there], return_inverse=True)
    found = places(texts) + len(known)  # by rank: a large number and one more may be the same double
    found[there] = place
    return found


def ordered(place: Floats, descending: bool) -> Ints:
    """The items by their place, what has none last, those level as they came."""
    return np.argsort(-place if descending else place, kind="stable")  # NaN after infinity


def _rank(texts: pa.Array) -> Ints:
    found: Ints = pc.rank(texts, tiebreaker="dense").to_numpy().astype(np.int64)
    return found


# What is kept of a step, so that another filter of it reads no event again


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """The items of a step, with what holds of them however they are narrowed. Columns travel as Arrow streams."""

    head: dict[str, Any]  # of the answer, what it says of the filter left out
    keys: list[str]  # of the evidence
    by_item: memoryview  # read without a copy
    by_event: memoryview

    @classmethod
    def made(cls, items: StepItems, names: pa.Array, selected: Bools, head: dict[str, Any], keys: list[str]) -> Kept:
        """`names` and `selected` have one value for each item."""
        by_item = {
            "item_id": items.item_id,
            "name": names,
            "outcome": items.outcome.astype(np.int8),
            "reason": items.reason.dictionary_encode(),
            "score": items.score,
            "rank": items.rank,
            "selected": selected,
        }
        by_event = {"item": items.item.astype(np.int32), "event_no": items.event_no}
        return cls(head, keys, memoryview(_stream(by_item)), memoryview(_stream(by_event)))

    def read(self) -> tuple[StepItems, pa.Array, Bools]:
        """The items, their names, and which of them a step of the run selected."""
        found, event = _columns(self.by_item), _columns(self.by_event)
        items = StepItems(
            event["item"].to_numpy().astype(np.int64),
            event["event_no"].to_numpy(),
            found["item_id"],
            found["outcome"].to_numpy().astype(np.int64),
            found["reason"].cast(pa.string()),
            found["score"].to_numpy(),
            found["rank"].to_numpy(),
        )
        return items, found["name"], found["selected"].to_numpy(zero_copy_only=False)


def _stream(columns: dict[str, Any]) -> bytes:
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def _columns(stream: memoryview) -> dict[str, pa.Array]:
    table = pa.ipc.open_stream(pa.py_buffer(stream)).read_all()
    return {name: table[name].combine_chunks() for name in table.column_names}


# What is kept of an order, so that its other pages need not be worked out again


class Order(msgspec.Struct, frozen=True, array_like=True):
    """The items of a step that fit, in order: numbers of the items of the table it was made of."""

    head: dict[str, Any]  # of the answer, the same on every page
    items: bytes  # int32 each

    @classmethod
    def made(cls, order: Ints, head: dict[str, Any]) -> Order:
        """`order` are numbers of items."""
        return cls(head, order.astype(np.int32).tobytes())

    @property
    def total(self) -> int:
        return len(self.items) // np.dtype(np.int32).itemsize

    def page(self, offset: int, limit: int) -> Ints:
        """The numbers of the items of a page."""
        return np.frombuffer(self.items, np.int32)[offset : offset + limit].astype(np.int64)


@dataclass(frozen=True, slots=True)
class Placed:
    """An item in an order."""

    outcome: str | None
    reason: str | None
    score: float | None
    rank: int | None
    events: int
    numbers: list[int]  # of its last events


def counted(texts: pa.Array) -> dict[str, int]:
    """How often each text is there, the most frequent first."""
    found = pc.value_counts(texts).to_pylist()
    pairs = sorted((-one["counts"], one["values"]) for one in found if one["values"] is not None)
    return {text: -n for n, text in pairs}
