"""Slices that were found in a sample, counted again in all events, by one grouped reading.

Exact where every event is one item's only one at its step; None where it is not, for then a count of events is none of
items. The leaves are those of the fields that the slices name, so they are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dxray.server.reasoning.attributes import Attribute
from dxray.server.reasoning.slices import Bools, Ints, Rows, Slice, Totals, has, inside, totals
from dxray.server.store.base import Reader, Value
from dxray.wire.records import OUTCOMES

_CLASSES = 20_000


@dataclass(frozen=True, slots=True)
class Sampled:
    """What was looked at: the steps (`run_id`, `step_id`), what each is by attribute (None: it is the items'), its
    side, the outcome that counts, and the (step, reason) of each kind."""

    steps: pa.Table
    attributes: Sequence[Attribute]
    of_steps: Sequence[Ints | None]
    in_b: Bools
    outcome: str
    reasons: Sequence[str]
    rows: Rows


def recount(reader: Reader, sampled: Sampled, slices: Sequence[Slice]) -> tuple[list[Slice], Totals] | None:
    """The slices with their exact counts, and the sums; None where there are too many leaves."""
    used = sorted({one.dimension for found in slices for one in found.conditions})
    kinds = sampled.rows.kinds
    if kinds is not None and any(one.kind >= 0 for one in slices):
        used = sorted({*used, kinds.at})
    of_steps = [n for n in used if sampled.of_steps[n] is not None]
    values = {n: _value(sampled.attributes[n]) for n in used if sampled.of_steps[n] is None}
    columns = [sampled.in_b.astype(np.int64), *(one for n in of_steps if (one := sampled.of_steps[n]) is not None)]
    classes, class_of = np.unique(np.stack(columns), axis=1, return_inverse=True)
    if classes.shape[1] > _CLASSES:
        return None
    beside = pa.table(
        {"run_id": sampled.steps["run_id"], "step_id": sampled.steps["step_id"], "class": class_of.ravel()}
    )
    by: list[str | Value] = ["class", "outcome", *(["reason"] if kinds is not None else []), *values.values()]
    table = reader.count_by("events", by, beside=beside)
    of_class = table["class"].to_numpy()
    codes = [np.full(table.num_rows, -1)] * len(sampled.attributes)
    for place, n in enumerate(of_steps, 1):
        codes[n] = classes[place][of_class]
    for n, value in values.items():
        codes[n] = _codes(sampled.attributes[n], table[value.name])
    kind = _kinds(sampled, table, codes)
    rows = Rows(
        [one.dimension for one in sampled.attributes], codes, classes[0][of_class] > 0, kind,
        table["n"].to_numpy().astype(np.float64), kinds=kinds,
    )  # fmt: skip
    of = totals(rows)
    return [_counted(one, rows, of) for one in slices], of


def _value(one: Attribute) -> Value:
    if one.edges:
        return Value(one.field, "number", tuple(float(edge) for edge in one.edges))
    return Value(one.field, "text" if isinstance(one.values[0], str) else "number")


def _codes(one: Attribute, column: pa.ChunkedArray) -> Ints:
    if one.edges:
        bins: Ints = pc.fill_null(column.cast(pa.int64()), -1).to_numpy().astype(np.int64)
        return bins
    known = pa.array(one.values, column.type)
    found: Ints = pc.fill_null(pc.index_in(column.combine_chunks(), known), -1).to_numpy().astype(np.int64)
    return found


def _kinds(sampled: Sampled, table: pa.Table, codes: Sequence[Ints]) -> Ints:
    wanted = [sampled.outcome, "produced"] if sampled.outcome == "accepted" else [sampled.outcome]
    hit = pc.fill_null(pc.is_in(table["outcome"].combine_chunks(), pa.array(wanted)), False)
    kind = np.where(hit.to_numpy(zero_copy_only=False), 0, -1)
    kinds = sampled.rows.kinds
    if kinds is None:
        return kind
    reason = table["reason"].combine_chunks()
    for number in range(1, len(kinds.place)):
        mine = pc.fill_null(pc.equal(reason, sampled.reasons[number]), False).to_numpy(zero_copy_only=False)
        kind[mine & (kind >= 0) & (codes[kinds.at] == kinds.place[number])] = number
    return kind


def _counted(one: Slice, rows: Rows, of: Totals) -> Slice:
    mask, hit = inside(rows, one), has(rows, one)
    n_b, v_b, n_a, v_a = (
        float(rows.count[mask & side & some].sum()) for side in (rows.in_b, ~rows.in_b) for some in (True, hit)
    )
    whole = max(of.excess, np.sqrt(of.v_b), 1.0)
    coverage = (v_b - n_b * v_a / max(n_a, 1)) / whole
    return replace(one, n_a=n_a, v_a=v_a, n_b=n_b, v_b=v_b, coverage=coverage)


def one_event_an_item(steps: pa.Table) -> bool:
    """Whether every event of the steps is one item's only one there, and no item is only counted."""
    items = pc.add(steps["entered"], steps["produced"])
    return bool(
        pc.all(pc.equal(steps["recorded_events"], items)).as_py()
        and not pc.any(pc.greater(pc.fill_null(steps["input_count"], 0), steps["entered"])).as_py()
    )


COUNTABLE = tuple(one for one in OUTCOMES if one != "outranked")  # being outranked may follow from a score
