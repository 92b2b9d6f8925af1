"""Which items came to a step, and what became of each: all of them, in any order, page by page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dxray.server.errors import Invalid, nearest
from dxray.server.filters import Clause, FilterError, Grammar, Known, parse
from dxray.server.reasoning.conservation import counts
from dxray.server.reasoning.distribution import distribution
from dxray.server.reasoning.evidence import evidence_of, shapes_of
from dxray.server.reasoning.hints import loss_hint
from dxray.server.reasoning.journey import DROPPED, KEPT
from dxray.server.reasoning.losses import NONE, losses_of
from dxray.server.reasoning.selection import existing_run
from dxray.server.reasoning.sentences import shown
from dxray.server.reasoning.shown import Row
from dxray.server.reasoning.slices import Bools, Floats, Ints
from dxray.server.reasoning.step_items import (
    COLUMNS,
    STEP_COLUMNS,
    Kept,
    Order,
    Placed,
    StepItems,
    counted,
    last_of,
    mixed_places,
    ordered,
    places,
)
from dxray.server.store.base import Reader, Value
from dxray.wire.evidence import ShapeReader
from dxray.wire.records import OUTCOMES

SORTS = ("item_id", "name", "outcome", "reason", "score", "rank")
EVIDENCE = "evidence."

_ITEMS = Grammar(
    fields={
        "item_id": Known("item_id"),
        "name": Known("name"),
        "outcome": Known("outcome", values=OUTCOMES),
        "reason": Known("reason"),
        "score": Known("score", "number"),
        "rank": Known("rank", "number"),
    },
    texts="item_id|name",
    roots={"evidence": "evidence"},
)
_NUMBERS: Mapping[str, Callable[[Floats, float], Bools]] = {
    "==": np.equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip
_SHOWN = 100  # keys and reasons that an answer lists
_EVENTS = 50  # of an item whose evidence is put together
_OF_EVENTS = (
    "event_no", "item_id", "outcome", "kind", "decided_by", "ref_item", "ref_kind", "shape_id", "num", "str",
    "evidence_text", "evidence_state",
)  # fmt: skip


def table(reader: Reader, run_id: str, step_id: str) -> bytes:
    """The items of a step, for `places` and `order`: all that another filter, or another order, need not read again.

    Raises `NotFound` for the run, `Invalid` for a step that is not there.
    """
    step = _step(reader, run_id, step_id)
    here = [Clause("run_id", "==", run_id), Clause("step_id", "==", step_id)]
    events = reader.select("events", COLUMNS, here)
    items = StepItems.of(events, pa.table({name: [step[name]] for name in STEP_COLUMNS}))
    found = names_of(reader, here[:1])
    names = found["name"].combine_chunks().take(pc.index_in(items.item_id, found["item_id"].combine_chunks()))
    chosen = reader.select("events", ["item_id"], [here[0], Clause("outcome", "==", "selected")])
    selected = _mask(pc.is_in(items.item_id, chosen["item_id"].combine_chunks()))
    keys = _keys(reader, here)
    head = _head(reader, run_id, step, items, keys)
    return msgspec.msgpack.encode(Kept.made(items, names, selected, head, list(keys)))


def place(reader: Reader, run_id: str, step_id: str, made: bytes, sort: str) -> bytes:
    """The place of each item in the order by a column, for `order`. Raises `Invalid` for one that is not there."""
    asked = _Asked(reader, run_id, step_id, made)
    return asked.places(_sorted_by(sort, asked.kept.keys)).tobytes()


def order(
    reader: Reader,
    run_id: str,
    step_id: str,
    made: bytes,
    placed: bytes | None = None,
    *,
    outcome: str | None = None,
    reason: str | None = None,
    q: str | None = None,
    sort: str | None = None,
    bins_of: str | None = None,
    edge: float | None = None,
) -> bytes:
    """The items that fit, in order, for `page`; `made` is what `table` gave, `placed` what `place` gave of `sort`.

    Without `sort` those that the run selected come first. Raises `Invalid` for an outcome or a key that is not there,
    `FilterError` for `q`.
    """
    if outcome is not None and outcome not in OUTCOMES:
        raise Invalid(f"there is no outcome {outcome!r}", field="outcome", fix=nearest(outcome, OUTCOMES))
    clauses = parse(q or "", _ITEMS)
    clauses += [
        Clause(column, "==", value) for column, value in (("outcome", outcome), ("reason", reason)) if value is not None
    ]
    asked = _Asked(reader, run_id, step_id, made)
    fits = np.ones(len(asked.items), dtype=np.bool_)
    for clause in clauses:
        fits &= asked.fits(clause)
    if placed is None:
        found = np.argsort(~asked.selected, kind="stable")
    else:
        found = ordered(np.frombuffer(placed, np.float64), (sort or "").startswith("-"))
    found = found[fits[found]]
    head = asked.kept.head
    head = {**head, "sentence": _sentence(head, len(found)), "distribution": None}
    if bins_of is not None:
        head["distribution"] = asked.distribution(bins_of, edge, fits)
    return msgspec.msgpack.encode(Order.made(found, head))


def page(
    reader: Reader, run_id: str, step_id: str, made: bytes, in_order: bytes, limit: int, offset: int
) -> dict[str, Any]:
    """A page of the items of a step; `in_order` is what `order` gave of what `table` made."""
    order = msgspec.msgpack.decode(in_order, type=Order)
    items, _, _ = msgspec.msgpack.decode(made, type=Kept).read()
    placed = items.placed(order.page(offset, limit), _EVENTS)
    rows = _rows(reader, run_id, step_id, placed)
    return {**order.head, "items": rows, "total": order.total, "limit": limit, "offset": offset}


def _step(reader: Reader, run_id: str, step_id: str) -> Row:
    here = [Clause("run_id", "==", run_id)]
    rows: list[Row] = reader.select("steps", where=[*here, Clause("step_id", "==", step_id)], limit=1).to_pylist()
    if rows:
        return rows[0]
    existing_run(reader, run_id)
    steps = reader.select("steps", ["step_id", "step_name"], here, ["position", "attempt"]).to_pylist()
    named = [step["step_id"] for step in steps if step["step_name"] == step_id]
    fix = f"the step of that name is {named[-1]!r}" if named else nearest(step_id, [one["step_id"] for one in steps])
    raise Invalid(f"run {run_id} has no step with step_id {step_id!r}", field="step_id", fix=fix)


def _sorted_by(sort: str, keys: Sequence[str]) -> str:
    name = sort.removeprefix("-")
    known = [*SORTS, *(EVIDENCE + key for key in keys)]
    if name not in known:
        meant = EVIDENCE + name
        fix = f"did you mean {meant!r}?" if meant in known else nearest(name, known[: len(SORTS) + _SHOWN])
        raise Invalid(f"items cannot be sorted by {name!r}", field="sort", fix=fix)
    return name


def _keys(reader: Reader, here: Sequence[Clause]) -> dict[str, dict[str, Any]]:
    """The keys of the evidence, those that most events have first."""
    shapes = reader.count_by("events", ["shape_id"], [*here, Clause("shape_id", "not_null")])
    wanted = shapes["shape_id"].to_pylist()
    if not wanted:
        return {}
    many = dict(zip(wanted, shapes["n"].to_pylist(), strict=True))
    found: dict[str, dict[str, Any]] = {}
    rows = reader.select("shapes", ["shape_id", "key", "class"], [Clause("shape_id", "in", wanted)])
    for row in rows.to_pylist():
        kind = "number" if row["class"] == "exact" else row["class"]
        one = found.setdefault(row["key"], {"key": row["key"], "kind": kind, "n": 0})
        one["n"] += many[row["shape_id"]]
        if one["kind"] != kind:
            one["kind"] = "mixed"
    return dict(sorted(found.items(), key=lambda pair: (-pair[1]["n"], pair[0])))


class _Asked:
    """The items of one step, with what a filter or an order asks of them besides."""

    def __init__(self, reader: Reader, run_id: str, step_id: str, made: bytes) -> None:
        self._reader = reader
        self.here = [Clause("run_id", "==", run_id), Clause("step_id", "==", step_id)]
        self.kept = msgspec.msgpack.decode(made, type=Kept)
        self.items, self.names, self.selected = self.kept.read()

    def places(self, by: str) -> Floats:
        """The place of each item in the order by a column."""
        if by in ("score", "rank"):
            found: Floats = getattr(self.items, by)
            return found
        if by.startswith(EVIDENCE):
            return self._evidence(by)
        texts = {"item_id": lambda: self.items.item_id, "name": lambda: self.names, "reason": lambda: self.items.reason}
        return places(texts.get(by, self.items.outcomes)())

    def _evidence(self, field: str) -> Floats:
        return mixed_places(*self._values(field))

    def distribution(self, key: str, edge: float | None, fits: Bools) -> dict[str, Any]:
        """How the values of a key lie in the evidence of the items that fit."""
        if key not in self.kept.keys:
            known = self.kept.keys[:_SHOWN]
            raise Invalid(f"no evidence of this step has a key {key!r}", field="bins_of", fix=nearest(key, known))
        numbers, words = self._values(EVIDENCE + key)
        kept, dropped = (
            np.logical_or.reduce([self.items.outcome == OUTCOMES.index(one) for one in sorted(of)]) & fits
            for of in (KEPT, DROPPED)
        )
        return {
            "key": key,
            **distribution(numbers[fits], words.filter(pa.array(fits)), kept[fits], dropped[fits], edge),
        }

    def _values(self, field: str) -> tuple[Floats, pa.Array]:
        """The last value of each item: a number, or a text."""
        number, text = Value(field, "number"), Value(field, "text")
        rows = self._reader.select("events", ["event_no", number, text], self.here)
        rows = rows.take(pc.sort_indices(rows["event_no"]))
        numbers, words = rows[number.name].to_numpy(), rows[text.name].combine_chunks()
        there = ~np.isnan(numbers) | words.is_valid().to_numpy(zero_copy_only=False)
        item = self.items.of_events(rows["event_no"].to_numpy())
        last = last_of(item, len(self.items), np.where(there, np.arange(len(there)), np.nan))
        at = pa.array(np.nan_to_num(last).astype(np.int64), mask=np.isnan(last))
        return pa.array(numbers, from_pandas=True).take(at).to_numpy(zero_copy_only=False), words.take(at)

    def fits(self, clause: Clause) -> Bools:
        """Which items a clause of the filter holds for."""
        if clause.op == "!=":
            return ~self.fits(Clause(clause.field, "==", clause.value))
        if clause.field == "outcome":
            return self.items.has(clause.value)
        if clause.field in ("score", "rank"):
            return _NUMBERS[clause.op](getattr(self.items, clause.field), float(clause.value))
        if clause.field.startswith(EVIDENCE):
            return self._with_evidence(clause)
        if clause.field == _ITEMS.texts:
            either = (self.items.item_id, self.names)
            return _mask(pc.match_substring(either[0], clause.value, ignore_case=True)) | _mask(
                pc.match_substring(either[1], clause.value, ignore_case=True)
            )
        texts = {"item_id": lambda: self.items.item_id, "reason": lambda: self.items.reason}
        return _mask(pc.equal(texts.get(clause.field, lambda: self.names)(), clause.value))

    def _with_evidence(self, clause: Clause) -> Bools:
        key = clause.field.removeprefix(EVIDENCE)
        if key not in self.kept.keys:
            known = [EVIDENCE + one for one in self.kept.keys[:_SHOWN]]
            raise FilterError(
                f"no evidence of this step has a key {key!r}", field=clause.field, fix=nearest(clause.field, known)
            )
        fit = self._numbers(clause)
        if len(self.items.event_no) > len(self.items):  # only the last value of an item counts
            said = np.sort(self._numbers(Clause(clause.field, "not_null")))
            last = last_of(self.items.of_events(said), len(self.items), said.astype(np.float64))
            fit = fit[np.isin(fit, last)]
        found = np.zeros(len(self.items), dtype=np.bool_)
        item = self.items.of_events(fit)
        found[item[item >= 0]] = True
        return found

    def _numbers(self, clause: Clause) -> Ints:
        found: Ints = self._reader.select("events", ["event_no"], [*self.here, clause])["event_no"].to_numpy()
        return found


def _mask(found: pa.Array) -> Bools:
    mask: Bools = pc.fill_null(found, False).to_numpy(zero_copy_only=False)
    return mask


def names_of(reader: Reader, where: Sequence[Clause]) -> pa.Table:
    """`item_id` and `name` of the items that were given one, each once; the first that was said, step by step."""
    said = [*where, Clause("name", "not_null")]
    rows = reader.select("events", ["item_id", "name", "step_id", "event_no"], said)
    if pc.count_distinct(rows["item_id"]).as_py() < rows.num_rows:
        rows = rows.sort_by([("step_id", "ascending"), ("event_no", "ascending")])
        codes = pc.dictionary_encode(rows["item_id"].combine_chunks()).indices.to_numpy()
        rows = rows.take(pa.array(np.unique(codes, return_index=True)[1]))
    return rows.select(["item_id", "name"])


# Answers


def _head(
    reader: Reader, run_id: str, step: Row, items: StepItems, keys: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    losses = losses_of(reader, [run_id]).get(run_id, NONE)
    lossy = losses.events_at(step["step_id"]) or bool(step["missing_events"])
    numbers = counts(step, lossy)
    unnamed = sum(max(numbers[name] or 0, 0) for name in ("unaccounted", "accepted_by_count", "rejected_by_count"))
    name = step["step_name"]
    unknown, hint = None, None
    if lossy:
        detail = f"events of {name} did not arrive, and may name others"
        unknown, hint = {"cause": "dropped", "detail": detail}, loss_hint(losses.run)
    elif unnamed:
        detail = f"{unnamed} more came to {name}, and no event names them"
        unknown = {"cause": "not_recorded", "detail": detail}
        hint = f"call step.accept(item_id) or step.reject(item_id, reason) for every item of {name}"
    return {
        "run_id": run_id,
        **{column: step[column] for column in ("step_id", "step_name", "step_type")},
        "of": len(items),
        "outcomes": counted(items.outcomes()),
        "reasons": dict(list(counted(items.reason).items())[:_SHOWN]),
        "scored": int((~np.isnan(items.score)).sum()),
        "evidence_keys": list(keys.values())[:_SHOWN],
        "unknown": unknown,
        "hint": hint,
    }


def _sentence(head: Mapping[str, Any], total: int) -> str:
    name, of, unknown = head["step_name"], head["of"], head["unknown"]
    if not of:
        said = f"No event of {shown(name)} names an item"
    elif total < of:
        said = f"{total} of the {of} items that {shown(name)} names fit"
    else:
        each = ", ".join(f"{n} {outcome}" for outcome, n in head["outcomes"].items())
        said = f"{shown(name)} names {of} item{'' if of == 1 else 's'}" + (f": {each}" if each else "")
    return f"{said}." if unknown is None else f"{said}; {unknown['detail']}."


def _rows(reader: Reader, run_id: str, step_id: str, placed: Sequence[Placed]) -> list[dict[str, Any]]:
    if not placed:
        return []
    run = [Clause("run_id", "==", run_id)]
    numbers = [number for one in placed for number in one.numbers]
    where = [*run, Clause("step_id", "==", step_id), Clause("event_no", "in", numbers)]
    events = {row["event_no"]: row for row in reader.select("events", _OF_EVENTS, where).to_pylist()}
    if len(events) < len(numbers):  # deleted since: the run, or it was recorded anew
        existing_run(reader, run_id)
        placed = [one for one in placed if all(number in events for number in one.numbers)]
    shapes = shapes_of(reader, events.values())
    ids = [events[one.numbers[-1]]["item_id"] for one in placed]
    names = dict(zip(*names_of(reader, [*run, Clause("item_id", "in", ids)]).to_pydict().values(), strict=True))
    return [
        _row(one, item_id, names.get(item_id), [events[number] for number in one.numbers], shapes)
        for one, item_id in zip(placed, ids, strict=True)
    ]


def _row(placed: Placed, item_id: str, name: str | None, events: Sequence[Row], shapes: ShapeReader) -> dict[str, Any]:
    """An item as all that was observed of it here says; of what was said twice, the last."""
    evidence: dict[str, Any] | None = None
    state = None
    by: Row = events[-1]
    for event in events:
        facts = evidence_of(event, shapes)
        if facts is not None:
            evidence = {**(evidence or {}), **{key: value for key, value in facts.items() if value is not None}}
        if event["evidence_state"] is not None:
            state = event["evidence_state"]
        if event["outcome"] is not None:
            by = event
    referring = next((event for event in reversed(events) if event["ref_item"] is not None), by)
    return {
        "item_id": item_id,
        "name": name,
        "kind": next((event["kind"] for event in reversed(events) if event["kind"] is not None), None),
        "outcome": placed.outcome,
        "reason": placed.reason,
        "score": placed.score,
        "rank": placed.rank,
        "by": by["decided_by"] or "code",
        "evidence": evidence,
        "evidence_state": state or ("kept" if evidence is not None else None),
        "ref_item": referring["ref_item"],
        "ref_kind": referring["ref_kind"],
        "events": placed.events,
    }
