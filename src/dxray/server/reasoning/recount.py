"""Slices that were found in a sample, counted again in all events.

Exact where every event is one item's only one at its step; None where it is not, for then a count of events is none of
items. What runs and steps say is counted by the steps' own counts, what items say by one grouped reading of the events
that have evidence, reasons by one of those that have the outcome. The leaves are those of the fields that the slices
name, so they are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dxray.server.filters import Clause
from dxray.server.reasoning.attributes import Attribute
from dxray.server.reasoning.reading import together
from dxray.server.reasoning.slice_chance import risk_interval
from dxray.server.reasoning.slices import Bools, Ints, Kinds, Rows, Slice, Totals, has, inside, totals
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
    share: float  # of all events that was looked at


def recount(reader: Reader, sampled: Sampled, slices: Sequence[Slice]) -> tuple[list[Slice], Totals] | None:
    """The slices with their exact counts, and the sums; None where there are too many leaves."""
    of_steps = _of_steps(sampled)
    of = totals(of_steps)
    by_items = [any(sampled.of_steps[c.dimension] is None for c in one.conditions) for one in slices]
    by_reasons = [one.kind >= 0 and not items for one, items in zip(slices, by_items, strict=True)]
    of_items, of_reasons = list(compress(slices, by_items)), list(compress(slices, by_reasons))
    evidence = [Clause("shape_id", "not_null"), *_in_common(sampled, of_items)]
    with_evidence, with_outcome = together(
        partial(_of_events, reader, sampled, of_items, evidence),
        partial(_of_events, reader, sampled, of_reasons, [Clause("outcome", "in", _outcomes(sampled))]),
    )
    if with_evidence is None or with_outcome is None:
        return None
    found = []
    for one, items, reasons in zip(slices, by_items, by_reasons, strict=True):
        every = with_evidence if items else of_steps
        found.append(_counted(one, every, with_outcome if reasons else every, of, sampled.share))
    return found, of


def _of_steps(sampled: Sampled) -> Rows:
    """The items of each step, and those of them with the outcome, as two rows."""
    steps = sampled.steps
    n = pc.add(steps["entered"], steps["produced"]).to_numpy().astype(np.float64)
    v = steps[sampled.outcome].to_numpy().astype(np.float64)
    none = np.full(len(n), -1)
    codes = [np.tile(none if one is None else one, 2) for one in sampled.of_steps]
    kind = np.repeat([-1, 0], len(n))
    dimensions = [one.dimension for one in sampled.attributes]
    # Of a kind, all rows at its place count: which of them have it is read from the events.
    return Rows(dimensions, codes, np.tile(sampled.in_b, 2), kind, np.concatenate([n - v, v]), kinds=sampled.rows.kinds)


def _in_common(sampled: Sampled, slices: Sequence[Slice]) -> list[Clause]:
    """What all slices ask of an item's texts, so that the engine need not look at what else the others have."""
    edges = [one.edges for one in sampled.attributes]
    asked = [{(c.dimension, c.low) for c in one.conditions if not edges[c.dimension]} for one in slices]
    clauses = []
    for n, code in sorted(set.intersection(*asked)) if asked else ():
        one = sampled.attributes[n]
        value = one.values[code]
        # A boolean is a text here, and none there.
        if sampled.of_steps[n] is None and isinstance(value, str) and value not in ("true", "false"):
            clauses.append(Clause(one.field, "==", value))
    return clauses


def _of_events(reader: Reader, sampled: Sampled, slices: Sequence[Slice], which: Sequence[Clause]) -> Rows | None:
    """The events that slices are about, counted by what these name; None where there are too many leaves."""
    kinds = sampled.rows.kinds if any(one.kind >= 0 for one in slices) else None
    used = sorted(
        {c.dimension for one in slices for c in one.conditions} | ({kinds.at} if kinds is not None else set())
    )
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
    table = reader.count_by("events", by, which, beside=beside if slices else beside[:0])
    of_class = table["class"].to_numpy()
    codes = [np.full(table.num_rows, -1)] * len(sampled.attributes)
    for place, n in enumerate(of_steps, 1):
        codes[n] = classes[place][of_class]
    for n, value in values.items():
        codes[n] = _codes(sampled.attributes[n], table[value.name])
    kind = _kinds(sampled, kinds, table, codes)
    count = table["n"].to_numpy().astype(np.float64)
    return Rows(
        [one.dimension for one in sampled.attributes], codes, classes[0][of_class] > 0, kind, count, kinds=kinds
    )


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


def _outcomes(sampled: Sampled) -> list[str]:
    return [sampled.outcome, "produced"] if sampled.outcome == "accepted" else [sampled.outcome]


def _kinds(sampled: Sampled, kinds: Kinds | None, table: pa.Table, codes: Sequence[Ints]) -> Ints:
    hit = pc.fill_null(pc.is_in(table["outcome"].combine_chunks(), pa.array(_outcomes(sampled))), False)
    kind = np.where(hit.to_numpy(zero_copy_only=False), 0, -1)
    if kinds is None:
        return kind
    reason = table["reason"].combine_chunks()
    for number in range(1, len(kinds.place)):
        mine = pc.fill_null(pc.equal(reason, sampled.reasons[number]), False).to_numpy(zero_copy_only=False)
        kind[mine & (kind >= 0) & (codes[kinds.at] == kinds.place[number])] = number
    return kind


def _counted(one: Slice, every: Rows, with_outcome: Rows, of: Totals, share: float) -> Slice:
    """A slice with its exact counts. What runs vary beyond chance grows with the items that each of them has."""
    n_b, n_a = _on_sides(every, inside(every, one))
    v_b, v_a = _on_sides(with_outcome, inside(with_outcome, one) & has(with_outcome, one))
    whole = max(of.excess, np.sqrt(of.v_b), 1.0)
    coverage = (v_b - n_b * v_a / max(n_a, 1)) / whole
    one = replace(one, n_a=n_a, v_a=v_a, n_b=n_b, v_b=v_b, coverage=coverage, spread=1 + (one.spread - 1) / share)
    return replace(one, interval=risk_interval(one, one.spread))


def _on_sides(rows: Rows, mask: Bools) -> tuple[float, float]:
    return float(rows.count[mask & rows.in_b].sum()), float(rows.count[mask & ~rows.in_b].sum())


def countable(steps: pa.Table, outcome: str) -> bool:
    """Whether every event of the steps is one item's only one there, no item is only counted, and the outcome is one
    that events say."""
    items = pc.add(steps["entered"], steps["produced"])
    if not pc.all(pc.equal(steps["recorded_events"], items)).as_py():
        return False
    if pc.any(pc.greater(pc.fill_null(steps["input_count"], 0), steps["entered"])).as_py():
        return False
    # What was scored may be accepted by a cut-off, what was produced outranked by a choice, what is open by a count.
    made = pc.and_(pc.greater(steps["produced"], 0), pc.greater(steps["outranked"], 0))
    inferred = pc.or_(pc.or_(made, pc.is_valid(steps["cutoff"])), pc.greater(steps["undecided"], 0))
    return outcome != "accepted" or not pc.any(inferred).as_py()


COUNTABLE = tuple(one for one in OUTCOMES if one != "outranked")  # being outranked may follow from a score
