"""What do the bad ones share? Two sets of runs, and an outcome that is more frequent in one: see `reasoning.slices`.

What is counted are verdicts: an item at a step is one, so an item that came to three steps counts three times. They are
what they are everywhere (see `reasoning.item_outcomes`); attempts that were tried again count for nothing. Items that a
step counted without naming them are rows without evidence. A step's rows of one item are grouped by `item_key`;
evidence that came with another of them (a rule that passed) is the item's. Past 200,000 events slices are looked for in
as many, chosen by the hash of the item, and counted again in all (see `reasoning.recount`), or said to be estimated.
What was not looked at, or is not known, is in `left_out`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import comb
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dxray.server.errors import Invalid, nearest
from dxray.server.filters import Clause
from dxray.server.reasoning.attempts import without_superseded
from dxray.server.reasoning.attributes import Attribute, LeftOut, of_evidence, of_runs
from dxray.server.reasoning.funnel_split import Flows, Split, split
from dxray.server.reasoning.item_outcomes import COLUMNS, Items, by_count
from dxray.server.reasoning.other_limits import other_limits
from dxray.server.reasoning.reading import together
from dxray.server.reasoning.recount import COUNTABLE, Sampled, countable, recount
from dxray.server.reasoning.selection import labels_of, runs_where
from dxray.server.reasoning.shown import Row
from dxray.server.reasoning.slice_causes import Causes, causes
from dxray.server.reasoning.slice_chance import clusters_of
from dxray.server.reasoning.slice_words import Compared, nothing_to_compare, sentence, slice_row
from dxray.server.reasoning.slices import (
    COMBINED,
    REASON,
    Bools,
    Floats,
    Ints,
    Kinds,
    Rows,
    Slice,
    Totals,
    has,
    inside,
    rows_behind,
    totals,
)
from dxray.server.reasoning.unkept import unkept
from dxray.server.store.base import Reader
from dxray.wire.records import LABELS, OUTCOMES

ROWS = 200_000  # events that are looked at one by one; what is found in them is then counted in all
_KINDS = 300  # reasons that are told apart
_EXAMPLES = 3
_NAMED = 3  # of fields that were not looked at together
_FEWEST = 20  # ways to deal the runs to two sets, for one of them to be a surprise
_OF_RUN = ("run_id", "pipeline", "status", "input", "metadata", "environment", "code_version", "variant")
_OF_STEP = (
    "run_id", "run", "step_id", "step_name", "position", "attempt", "recorded_events", "output_count", *COLUMNS
)  # fmt: skip
_OF_EVENT = (
    "at", "item_key", "event_no", "outcome", "reason", "score", "shape_id", "num", "str", "evidence_state", "p",
    "kept_because",
)  # fmt: skip


def explain(
    reader: Reader, *, a: str, b: str, outcome: str = "rejected", step_name: str | None = None
) -> dict[str, Any]:
    """The answer, fields as in the contract. Raises `FilterError` and `Invalid`."""
    _check(outcome, step_name)
    sets = _sets(reader, a, b)
    found = _Found(sets, outcome, step_name)
    if min(sets.sizes) > 0:
        hit = None if outcome in OUTCOMES else _runs_with(reader, sets, outcome)
        presence = hit is not None and bool((hit == sets.in_b).all())
        steps = _steps(reader, sets)
        found.limits = other_limits(reader, steps.table, sets.in_b[steps.run].tolist())
        about_runs = partial(_about_runs, found, steps, presence)
        if hit is None:
            asked = _at_step(steps, step_name)
            _, looked_at = together(about_runs, partial(_looked_at, reader, asked))
            if looked_at is not None:
                _items(reader, asked, looked_at, found)
        else:
            about_runs()
            _whole_runs(found, hit, presence)
    return _answer(reader, found)


def _check(outcome: str, step_name: str | None) -> None:
    known = [*OUTCOMES, "failed", *(f"label:{label}" for label in LABELS)]
    if outcome not in known:
        raise Invalid(f"there is no outcome {outcome!r:.80}", field="outcome", fix=nearest(outcome, known))
    if step_name is not None and outcome not in OUTCOMES:
        fix = f"leave step_name out, or ask for an outcome of items: {', '.join(OUTCOMES)}"
        raise Invalid(f"{outcome} is said of whole runs, not of items at a step", field="step_name", fix=fix)


# The sets


@dataclass(slots=True)
class _Sets:
    a: str
    b: str
    runs: list[Row]
    in_b: Bools
    overlap: int

    @property
    def sizes(self) -> tuple[int, int]:
        """How many runs there are on each side."""
        return int((~self.in_b).sum()), int(self.in_b.sum())


def _sets(reader: Reader, a: str, b: str) -> _Sets:
    of_a, of_b = (
        {row["run_id"]: row for row in reader.select("runs", _OF_RUN, _of_set(reader, name, q)).to_pylist()}
        for name, q in (("a", a), ("b", b))
    )
    both = of_a.keys() & of_b.keys()
    runs = [row for key, row in sorted(of_a.items()) if key not in both]
    others = [row for key, row in sorted(of_b.items()) if key not in both]
    in_b = np.arange(len(runs) + len(others)) >= len(runs)
    return _Sets(a, b, runs + others, in_b, len(both))


def _of_set(reader: Reader, name: str, q: str) -> list[Clause]:
    try:
        return runs_where(reader, q)
    except Invalid as error:
        error.field = name if error.field in (None, "q") else f"{name}: {error.field}"
        raise


# Steps


@dataclass(slots=True)
class _Steps:
    """The steps that count, as columns; `run` is the number of its run, `name` that of its name in `names`."""

    table: pa.Table
    run: Ints
    name: Ints
    names: list[str]

    def column(self, name: str) -> Floats:
        """NaN where it is not known."""
        found: Floats = self.table[name].to_numpy().astype(np.float64)
        return found


def _steps(reader: Reader, sets: _Sets) -> _Steps:
    """The steps of all runs that count, names in the order of their mean position."""
    runs = pa.table({"run_id": [row["run_id"] for row in sets.runs], "run": np.arange(len(sets.runs))})
    table = reader.select("steps", _OF_STEP, beside=runs)
    table = without_superseded(reader, table)
    coded = pc.dictionary_encode(table["step_name"].combine_chunks())
    codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    names = coded.dictionary.to_pylist()
    position = table["position"].to_numpy().astype(np.float64)
    mean = np.bincount(codes, position, len(names)) / np.maximum(np.bincount(codes, minlength=len(names)), 1)
    order = np.argsort(mean, kind="stable")
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names))
    return _Steps(table, table["run"].to_numpy().astype(np.int64), place[codes], [names[one] for one in order])


def _funnel(steps: _Steps, sets: _Sets, attributes: Sequence[Attribute]) -> Split:
    """Of the steps that said how many items went on."""
    went = steps.column("output_count")
    said = [name for name in range(len(steps.names)) if not np.isnan(went[steps.name == name]).all()]
    place = np.full(len(steps.names), -1)
    place[said] = np.arange(len(said))
    here = place[steps.name] >= 0
    flows = Flows(
        [steps.names[one] for one in said], steps.run[here], place[steps.name][here],
        steps.column("input_count")[here], went[here], sets.in_b,
    )  # fmt: skip
    return split(flows, attributes)


# Rows


@dataclass(slots=True)
class _Counted:
    """What is compared: rows, the attribute of each dimension, the reason of each kind, and the run of each row."""

    rows: Rows
    attributes: list[Attribute]
    reasons: list[str]
    run: Ints
    share: float = 1.0  # of the events that was looked at
    sampled: Sampled | None = None  # how they can be counted again in all of them


@dataclass(slots=True)
class _Found:
    """What is known so far."""

    sets: _Sets
    outcome: str
    step_name: str | None
    of_runs: list[Attribute] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    funnel: Split = field(default_factory=lambda: Split([], None, None, None))
    counted: _Counted | None = None
    unknown: int = 0  # items that are not counted, since nothing says whether they have the outcome
    limits: str = ""  # a sentence on the rules that were set otherwise


def _runs_with(reader: Reader, sets: _Sets, outcome: str) -> Bools:
    """Which runs failed, or have a label."""
    if outcome == "failed":
        return np.array([row["status"] == "failed" for row in sets.runs])
    label = outcome.removeprefix("label:")
    said = {row["run_id"] for row in labels_of(reader, []) if row["label"] == label}
    return np.array([row["run_id"] in said for row in sets.runs])


def _about_runs(found: _Found, steps: _Steps, presence: bool) -> None:
    """What runs say, and how many items went on from step to step."""
    found.of_runs, left = of_runs(found.sets.runs, found.sets.in_b, apart=presence)
    found.left_out += left
    found.funnel = _funnel(steps, found.sets, found.of_runs)


def _whole_runs(found: _Found, hit: Bools, presence: bool) -> None:
    """The runs, one row each."""
    in_b, every = found.sets.in_b, np.arange(len(hit))
    rows = Rows(
        [one.dimension for one in found.of_runs],
        [one.codes for one in found.of_runs],
        in_b,
        np.where(hit, 0, -1),
        np.ones(len(every)),
        cluster=clusters_of(in_b.tolist()),
        presence=presence,
    )
    found.counted = _Counted(rows, list(found.of_runs), [], every)


def _at_step(steps: _Steps, name: str | None) -> _Steps:
    """The steps that are asked for."""
    if name is None:
        return steps
    if name not in steps.names:
        fix = nearest(name, steps.names)
        raise Invalid(f"no step of these runs is called {name!r:.80}", field="step_name", fix=fix)
    here = steps.name == steps.names.index(name)
    return _Steps(steps.table.filter(pa.array(here)), steps.run[here], steps.name[here], steps.names)


@dataclass(frozen=True, slots=True)
class _LookedAt:
    """Events of the steps, what share of all they are, and of how many the evidence is kept as one text."""

    events: pa.Table
    share: float
    as_text: int


def _looked_at(reader: Reader, steps: _Steps) -> _LookedAt | None:
    if not len(steps.run):
        return None
    total = int(np.nansum(steps.column("recorded_events")))
    share = min(1.0, ROWS / max(total, 1))
    where = [Clause("item_key", "<", int(2**64 * share))] if share < 1 else []
    beside = steps.table.select(["run_id", "step_id"]).append_column("at", pa.array(np.arange(len(steps.run))))
    as_text = [*where, Clause("evidence_text", "not_null")]
    events, texts = together(
        lambda: reader.select("events", _OF_EVENT, where, beside=beside),
        lambda: reader.count_by("events", [], as_text, beside=beside),
    )
    return _LookedAt(events, share, texts["n"][0].as_py())


def _items(reader: Reader, steps: _Steps, looked_at: _LookedAt, found: _Found) -> None:
    """The items at the steps that are asked for, one row each."""
    events, share = looked_at.events, looked_at.share
    if (not_there := unkept(events, looked_at.as_text)) is not None:
        found.left_out.append(LeftOut("evidence", not_there))
    named = Items.of(events, steps.table, share)
    unsaid = by_count(steps.table, found.outcome)
    _say_unknown(found, int(unsaid.unknown.sum()), int(unsaid.with_outcome.sum()))
    undecided = named.outcome < 0
    hit = named.has(found.outcome) | (undecided & unsaid.accepts[named.step])
    count = np.concatenate(
        [
            np.where(undecided & unsaid.sets_aside[named.step], 0.0, 1.0),
            (unsaid.count - unsaid.with_outcome) * share,
            unsaid.with_outcome * share,
        ]
    )
    if count.any():
        by_counts = np.repeat([False, True], len(steps.run))
        step = np.concatenate([named.step, np.tile(np.arange(len(steps.run)), 2)])
        _compared(reader, steps, found, events, named, step, np.concatenate([hit, by_counts]), count, share)


def _say_unknown(found: _Found, unknown: int, by_count: int) -> None:
    """Items of which only a count, or nothing, says what became of them."""
    if by_count:
        why = f"{by_count:,} that were {found.outcome} are only counted, so of these no evidence and no reason is known"
        found.left_out.append(LeftOut("outcome", why))
    if not unknown:
        return
    if found.outcome == "accepted":
        found.unknown = unknown
        why = "whether it was accepted is not recorded (no accept, no output count), so they are not counted"
    else:
        why = f"what became of it is not recorded, so they count as not {found.outcome}"
    found.left_out.append(LeftOut("outcome", f"of {unknown:,} {'items' if unknown > 1 else 'item'} at a step, {why}"))


def _compared(
    reader: Reader,
    steps: _Steps,
    found: _Found,
    events: pa.Table,
    named: Items,
    step: Ints,
    hit: Bools,
    count: Floats,
    share: float,
) -> None:
    run = steps.run[step]
    in_b = found.sets.in_b[run]
    used = pc.unique(events["shape_id"].combine_chunks()).drop_null().to_pylist()
    shapes = reader.select("shapes", ["shape_id", "key", "class", "position"], [Clause("shape_id", "in", used)])
    evidence, left = of_evidence(events, shapes.to_pylist(), ~in_b[: len(named.step)], named.item, len(named.step))
    found.left_out += left
    rest = len(step) - len(named.step)
    attributes = [one.at(run) for one in found.of_runs]
    attributes.append(Attribute("step_name", steps.name[step], tuple(steps.names)))
    attributes += [replace(one, codes=np.concatenate([one.codes, np.full(rest, -1)])) for one in evidence]
    some = count > 0
    kept = np.concatenate([named.weight, np.zeros(rest)])
    sampled = bool(((named.weight != 1) & named.has_evidence).any())
    attributes = [replace(one, sampled=one.sampled and sampled) for one in attributes]
    kind, kinds, reasons = _kinds(named, hit, steps.name[step], len(found.of_runs), found.left_out)
    of_run = np.unique(run[some], return_inverse=True)
    clusters = clusters_of(found.sets.in_b[of_run[0]].tolist())
    cluster = np.zeros(len(run), dtype=np.int64)
    cluster[some] = clusters[of_run[1]]
    # Of one step alone, the reasons still have their place there.
    dimensions = [replace(one.dimension, alone=one.dimension.size == 1) for one in attributes]
    rows = Rows(
        dimensions, [one.codes for one in attributes], in_b, kind, count, kept, cluster, kinds, behind=rows_behind(kept)
    ).only(some)
    found.counted = _Counted(rows, attributes, reasons, run[some], share)
    if share < 1 and not sampled and found.outcome in COUNTABLE and countable(steps.table, found.outcome):
        of_steps: list[Ints | None] = [one.codes[steps.run] for one in found.of_runs]
        of_steps += [steps.name, *[None] * len(evidence)]
        in_b_of = found.sets.in_b[steps.run]
        found.counted.sampled = Sampled(
            steps.table, attributes, of_steps, in_b_of, found.outcome, reasons, found.counted.rows, share
        )


def _kinds(named: Items, hit: Bools, name: Ints, at: int, left: list[LeftOut]) -> tuple[Ints, Kinds | None, list[str]]:
    """The reason of each row that has the outcome, told apart by step; -1 for a row that has it not."""
    kind = np.where(hit, 0, -1)
    coded = pc.dictionary_encode(named.reason)
    code = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    with_reason = np.flatnonzero(hit[: len(code)] & (code >= 0))
    if not len(with_reason):
        return kind, None, []
    words = coded.dictionary.to_pylist()
    pairs, of_row, n = np.unique(
        name[with_reason] * len(words) + code[with_reason], return_inverse=True, return_counts=True
    )
    most = np.argsort(-n, kind="stable")[:_KINDS]
    if len(pairs) > _KINDS:
        left.append(LeftOut("reason", f"of {len(pairs)} reasons the {_KINDS} most frequent are told apart"))
    place_of = np.zeros(len(pairs), dtype=np.int64)  # kind 0: no reason, or a rare one
    place_of[most] = np.arange(1, len(most) + 1)
    kind[with_reason] = place_of[of_row]
    place = np.concatenate([[-1], pairs[most] // len(words)])
    return kind, Kinds(place, at), ["", *(words[int(one % len(words))] for one in pairs[most])]


# The answer


def _answer(reader: Reader, found: _Found) -> dict[str, Any]:
    sets, counted = found.sets, found.counted
    runs_a, runs_b = sets.sizes
    drawn = Causes([], 0, [], [])
    of = Totals(0, 0, 0, 0)
    looked_at = 1.0 if counted is None else counted.share
    few, many = sorted((runs_a, runs_b))
    enough = few > 1 and (many >= _FEWEST or comb(runs_a + runs_b, runs_b) >= _FEWEST)
    if counted is not None:
        of = totals(counted.rows)
        enough = enough and _dealt(counted.rows) >= _FEWEST
        if enough and of.v_b and of.n_a:
            drawn = causes(counted.rows)
            found.left_out += _apart(drawn, counted.attributes)
        again = None if counted.sampled is None else recount(reader, counted.sampled, drawn.slices)
        if again is not None:
            counted.share, of = 1.0, again[1]
            drawn = replace(drawn, slices=again[0])
    about = Compared(
        sets.a, sets.b, found.outcome, found.step_name, runs_a, runs_b, sets.overlap, of,
        counted is not None and counted.rows.presence, counted is not None and counted.share < 1, found.unknown,
    )  # fmt: skip
    rows = [] if counted is None else [_slice(one, counted, about, sets) for one in drawn.slices]
    said = (nothing_to_compare(about, enough) or sentence(about, rows)) + found.limits
    return {
        "a": sets.a,
        "b": sets.b,
        "outcome": found.outcome,
        "step_name": found.step_name,
        "runs_a": runs_a,
        "runs_b": runs_b,
        "overlap": sets.overlap,
        "counted": about.unit,
        **_totals(about, 1.0 if counted is None else counted.share),
        "funnel": found.funnel.steps,
        "delta_ln_input": found.funnel.delta_ln_input,
        "delta_ln_output": found.funnel.delta_ln_output,
        "mix_by": found.funnel.mix_by,
        "slices": rows,
        "tested": drawn.tested,
        "share_looked_at": looked_at,
        "left_out": [{"field": one.field, "why": one.why} for one in found.left_out],
        "sentence": said,
    }


def _apart(drawn: Causes, attributes: Sequence[Attribute]) -> list[LeftOut]:
    """What there was no time to look at together."""
    left = []
    if drawn.too_large:
        n, such = (
            len(drawn.too_large),
            " and ".join("reason" if one == REASON else attributes[one].field for one in drawn.too_large[0]),
        )
        why = f"{n} combination{'s' if n > 1 else ''} had too many different values to be compared, such as {such}"
        left.append(LeftOut("fields together", why))
    if drawn.apart:
        such = ", ".join(attributes[one].field for one in drawn.apart[:_NAMED])
        why = f"{len(drawn.apart)} of the fields were compared one by one only, for {COMBINED} are combined: {such}"
        left.append(LeftOut("fields together", why + ("" if len(drawn.apart) <= _NAMED else ", …")))
    return left


def _dealt(rows: Rows) -> int:
    """In how many ways the clusters that have rows could be dealt to two sets of these sizes."""
    assert rows.cluster is not None
    of_b = len(np.unique(rows.cluster[rows.in_b]))
    of_a = len(np.unique(rows.cluster[~rows.in_b]))
    return comb(of_a + of_b, of_b) if min(of_a, of_b) > 1 else 0


def _totals(about: Compared, share: float) -> dict[str, Any]:
    of = about.of
    return {
        "n_a": round(of.n_a / share),
        "n_b": round(of.n_b / share),
        "with_outcome_a": round(of.v_a / share),
        "with_outcome_b": round(of.v_b / share),
        "rate_a": of.v_a / of.n_a if of.n_a else None,
        "rate_b": of.v_b / of.n_b if of.n_b else None,
    }


def _slice(one: Slice, counted: _Counted, about: Compared, sets: _Sets) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = []
    if one.kind >= 0:
        reason = counted.reasons[one.kind]
        conditions.append({"field": "reason", "op": "==", "value": reason})
        kinds = counted.rows.kinds
        assert kinds is not None
        if counted.reasons.count(reason) > 1:
            step = counted.attributes[kinds.at].values[kinds.place[one.kind]]
            conditions.append({"field": "step_name", "op": "==", "value": step})
    for condition in one.conditions:
        conditions += counted.attributes[condition.dimension].conditions(condition.low, condition.high)
    mask = inside(counted.rows, one) & counted.rows.in_b & (has(counted.rows, one) | about.presence)
    runs, n = np.unique(counted.run[mask], return_counts=True)
    most = runs[np.argsort(-n, kind="stable")[:_EXAMPLES]]
    return slice_row(one, conditions, [sets.runs[run]["run_id"] for run in most.tolist()], about)
