"""Records -> the tables of the store, as Arrow (only the server imports this).

The work is done for all records that will be committed together, with C-level steps: no loop runs per event. A row
that needs a word of its own (a mark, a kind, what it refers to) is the exception, and costs a loop of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import msgspec
import pyarrow as pa

from dxray.wire.buffers import BadBuffer, open_column
from dxray.wire.event_rows import event_tables, rule_id
from dxray.wire.event_words import NUL_MARK
from dxray.wire.evidence import Scope, ShapeBook
from dxray.wire.ids import is_run_id
from dxray.wire.records import AnyRecord, Decision, Events, Loss, Op, Rule, Run, Step

_T, _I, _L, _D, _B = pa.string(), pa.int32(), pa.int64(), pa.float64(), pa.bool_()
_KEY = {"project": _T, "run_id": _T, "step_id": _T}


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


SCHEMAS: dict[str, pa.Schema] = {
    "runs": _schema(
        project=_T, run_id=_T, version=_L, pipeline=_T, status=_T, started_at=_L, ended_at=_L, duration_ms=_D,
        input=_T, output=_T, error=_T, metadata=_T, environment=_T, code_version=_T, variant=_T, parent_run_id=_T,
        trace_id=_T, input_fingerprint=_T, output_fingerprint=_T, marks=_T, producer=_T, received_at=_L,
        request_hash=_T, run_key=_L,
    ),
    "steps": _schema(
        **_KEY, version=_L, step_name=_T, step_type=_T, position=_I, parent_step_id=_T, after=pa.list_(_T),
        after_inferred=_B, attempt=_I, started_at=_L, ended_at=_L, duration_ms=_D, input=_T, output=_T,
        declared_input_count=_L, declared_output_count=_L, declared_rejections=_T, cutoff=_I, config=_T, usage=_T,
        metadata=_T, error=_T, input_fingerprint=_T, config_fingerprint=_T, output_fingerprint=_T, events=_L,
        marks=_T, run_key=_L, step_key=_L,
    ),
    "rules": _schema(
        **_KEY, version=_L, number=_I, rule_id=_T, field=_T, op=_T, threshold=_T, reason=_T, evaluated=_L, failed=_L,
        uncomparable=_L, rule_key=_L,
    ),
    "decisions": _schema(
        **_KEY, number=_I, decision=_T, selected=pa.list_(_T), reason=_T, score=_D, alternatives=_T, at=_L
    ),
    "losses": _schema(**_KEY, cause=_T, n=_L, at=_L),
    "shapes": _schema(project=_T, pipeline=_T, shape_id=_T, key=_T, **{"class": _T}, position=_I),
}  # fmt: skip


class Refused(ValueError):
    """The record cannot be stored; the message says why."""


@dataclass(slots=True)
class Sent:
    """Records that came together, from one producer (None for a run posted whole)."""

    project: str
    producer: str | None
    received_at: int  # microseconds since 1970, the server's clock
    records: Sequence[AnyRecord]
    request_hash: str | None = None


@dataclass(slots=True)
class Built:
    """Tables ready to commit. `shapes` names the shape rows among them, to be reported to the book when stored."""

    tables: dict[str, pa.Table]
    shapes: list[tuple[str, str]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(table.num_rows for table in self.tables.values())


class PipelineMemory:
    """Which pipeline a run belongs to, for the runs heard of last."""

    def __init__(self, size: int = 20_000) -> None:
        self._size = size
        self._known: dict[tuple[str, str], str] = {}

    def learn(self, project: str, run: Run) -> None:
        if len(self._known) >= self._size:
            for key in list(self._known)[: self._size // 2]:
                del self._known[key]
        self._known[project, run.run_id] = run.pipeline

    def of(self, project: str, run_id: str) -> str:
        return self._known.get((project, run_id), "")


def build(sent: Iterable[Sent], book: ShapeBook, pipelines: PipelineMemory) -> Built:
    """Tables of all records, which must have passed `check`."""
    rows: dict[str, list[tuple[Any, ...]]] = {"runs": [], "steps": [], "decisions": [], "losses": []}
    rules: dict[tuple[str, str, str, int], tuple[int, Rule]] = {}
    chunks: list[Events] = []
    scopes: list[Scope] = []
    for one in sent:
        project = one.project
        for record in one.records:
            if type(record) is Events:
                if record.ops:
                    chunks.append(record)
                    scopes.append((project, pipelines.of(project, record.run_id)))
                _note_rules(rules, project, record, 0)
            elif type(record) is Run:
                pipelines.learn(project, record)
                rows["runs"].append(_run_row(one, record))
            elif type(record) is Step:
                rows["steps"].append(_step_row(project, record))
                _note_rules(rules, project, record, record.version)
            elif type(record) is Decision:
                rows["decisions"].append(_decision_row(project, record))
            elif type(record) is Loss:
                rows["losses"].append(_loss_row(one, record))
    rows["rules"] = [_rule_row(key, version, rule) for key, (version, rule) in rules.items()]
    tables = {name: table_of(name, some) for name, some in rows.items() if some}
    if chunks:
        tables.update(event_tables(chunks, scopes, book))
    fresh = book.take_fresh()
    if fresh:
        tables["shapes"] = table_of("shapes", _shape_rows(fresh))
    return Built(tables, list(fresh))


def table_of(name: str, rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Rows of one of `SCHEMAS`, in the order of its columns, as a table."""
    schema = SCHEMAS[name]
    columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


# --- what is refused --------------------------------------------------------------------------------------

_RULE_OPS = bytes((Op.RULE_PASSED, Op.RULE_FAILED, Op.RULE_ALSO_FAILED))
_NOT_RULE_OPS = bytes(set(range(256)) - set(_RULE_OPS))
_IS_RULE = bytes(1 if op in _RULE_OPS else 0 for op in range(256))
_KNOWN_OPS = bytes(range(Op.PRODUCED_WITH + 1))
_INT32, _INT64 = 2**31 - 1, 2**63 - 1
_LONGEST_CAUSE = 100
_SMALL = ("position", "attempt", "number", "first", "cutoff")
_WHOLE = ("version", "started_at", "ended_at", "input_count", "output_count", "events", "at")


def check(record: AnyRecord) -> None:
    """Raise `Refused` for a record that no table can hold."""
    if type(record) is Loss:
        _check_loss(record)
        if not record.run_id:
            return  # of a run that nobody knows
    if not is_run_id(record.run_id):
        raise Refused(f"run_id {record.run_id[:140]!r} is not 1 to 128 of A-Z a-z 0-9 . _ : -")
    _check_whole_numbers(record)
    if type(record) is Events:
        _check_events(record)
    elif type(record) is Step:
        _check_rules(record.rules)


def _check_loss(loss: Loss) -> None:
    if not 1 <= len(loss.cause) <= _LONGEST_CAUSE:
        raise Refused(f"a loss's cause has {len(loss.cause)} characters, not 1 to {_LONGEST_CAUSE}")
    if not 1 <= loss.n <= _INT64:
        raise Refused(f"a loss of {loss.n} is out of range")


def _check_whole_numbers(record: Any) -> None:
    for names, limit in ((_SMALL, _INT32), (_WHOLE, _INT64)):
        for name in names:
            value = getattr(record, name, None)
            if value is not None and not -limit - 1 <= value <= limit:
                raise Refused(f"{name} {value} is out of range")


def _check_rules(rules: Sequence[Rule]) -> None:
    for rule in rules:
        for count in (rule.evaluated, rule.failed, rule.uncomparable):
            if not 0 <= count <= _INT64:
                raise Refused(f"a rule's count {count} is out of range")


def _check_events(record: Events) -> None:
    ops = record.ops
    n = len(ops)
    if ops.translate(None, _KNOWN_OPS):
        raise Refused(f"events: op {max(ops)} is not known here")
    if record.first < 0 or record.first + n > _INT32:
        raise Refused(f"events: numbers from {record.first} are out of range")
    try:
        record.ids = open_column(record.ids)
        if isinstance(record.a, str | int | float):
            record.a = [record.a] * n  # one for all rows
        elif record.a is not None:
            record.a = open_column(record.a)
        if record.wide is not None:
            record.wide = {key: open_column(column) for key, column in record.wide.items()}
    except BadBuffer as error:
        raise Refused(f"events: {error}") from error
    for name in ("ids", "a", "b"):
        column = getattr(record, name)
        if column is not None and len(column) != n:
            raise Refused(f"events: {name} has {len(column)} rows, ops has {n}")
    _check_wide(record, n)
    _check_rules(record.rules)
    for rows in (record.kept, record.by, record.marks):
        if rows and not (min(rows) >= 0 and max(rows) < n):
            raise Refused("events: a mark names a row that is not there")
    if ops.translate(None, _NOT_RULE_OPS):
        _check_rule_numbers(record, ops)


def _check_wide(record: Events, n: int) -> None:
    rows = record.wide_rows
    if record.wide and (record.b is not None or record.ops.translate(None, _NOT_RULE_OPS)):
        raise Refused("events: evidence by key beside evidence by row: a row may have it once")
    if rows is not None:
        if rows and not (min(rows) >= 0 and max(rows) < n):
            raise Refused("events: wide_rows names a row that is not there")
        if len(set(rows)) != len(rows):
            raise Refused("events: wide_rows names a row twice")
        n = len(rows)
    for key, column in (record.wide or {}).items():
        if len(column) != n:
            raise Refused(f"events: evidence {key!r} has {len(column)} rows, not {n}")


def _check_rule_numbers(record: Events, ops: bytes) -> None:
    if record.a is None:
        raise Refused("events: a rule's row has no rule number")
    numbers = list(compress(record.a, ops.translate(_IS_RULE)))
    if set(map(type, numbers)) != {int} or min(numbers) < 0 or max(numbers) >= len(record.rules):
        raise Refused(f"events: a rule's number is not one of the {len(record.rules)} rules sent with the chunk")


# --- rows of the small tables -----------------------------------------------------------------------------


def _run_row(sent: Sent, run: Run) -> tuple[Any, ...]:
    row = (
        sent.project, run.run_id, run.version, run.pipeline, run.status, run.started_at, run.ended_at,
        _finite(run.duration_ms), run.input, run.output, run.error, run.metadata, run.environment, run.code_version,
        run.variant, run.parent_run_id, run.trace_id, run.input_fingerprint, run.output_fingerprint,
        _json(run.marks), sent.producer, sent.received_at, sent.request_hash,
        row_key(sent.project, run.run_id),
    )  # fmt: skip
    return _clean(row, marks_at=19)


def _step_row(project: str, step: Step) -> tuple[Any, ...]:
    row = (
        project, step.run_id, step.step_id, step.version, step.name, step.type, step.position, step.parent_step_id,
        step.after, step.after_inferred, step.attempt, step.started_at, step.ended_at, _finite(step.duration_ms),
        step.input, step.output, step.input_count, step.output_count,
        None if step.rejection_counts is None else _encode(step.rejection_counts).decode(),
        step.cutoff, step.config, step.usage, step.metadata, step.error, step.input_fingerprint,
        step.config_fingerprint, step.output_fingerprint, step.events, _json(step.marks),
        row_key(project, step.run_id), row_key(project, step.run_id, _no_nul(step.step_id)),
    )  # fmt: skip
    return _clean(row, marks_at=28)


def _decision_row(project: str, decision: Decision) -> tuple[Any, ...]:
    row = (
        project, decision.run_id, decision.step_id, decision.number, decision.decision, decision.selected,
        decision.reason, _finite(decision.score), decision.alternatives, decision.at,
    )  # fmt: skip
    return _clean(row)


def _loss_row(sent: Sent, loss: Loss) -> tuple[Any, ...]:
    return _clean((sent.project, loss.run_id, loss.step_id, loss.cause, loss.n, sent.received_at))


def _rule_row(key: tuple[str, str, str, int], version: int, rule: Rule) -> tuple[Any, ...]:
    project, run_id, step_id, number = key
    identity = (project, run_id, _no_nul(step_id))
    row = (*identity, version, number, rule_id(rule), *msgspec.structs.astuple(rule))
    return _clean((*row, row_key(*identity, str(number))))


def _shape_rows(fresh: dict[tuple[str, str], tuple[str, Any]]) -> list[tuple[Any, ...]]:
    rows = []
    for (project, id_), (pipeline, shape) in fresh.items():
        for place in (shape.in_num, shape.in_str):
            for position, i in enumerate(place, 1):
                rows.append((project, pipeline.replace("\0", "␀"), id_, shape.keys[i], shape.classes[i], position))
    return rows


def _note_rules(
    rules: dict[tuple[str, str, str, int], tuple[int, Rule]], project: str, record: Events | Step, version: int
) -> None:
    for number, rule in enumerate(record.rules):
        key = (project, record.run_id, record.step_id, number)
        known = rules.get(key)
        if known is None or known[0] <= version:
            rules[key] = (version, rule)


_encode = msgspec.json.Encoder().encode


def row_key(*parts: str) -> int:
    """A hash of an identity as a signed 64-bit number."""
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _no_nul(text: str) -> str:
    return text.replace("\0", "␀")


def _json(value: Any) -> str | None:
    return _encode(value).decode() if value else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) < float("inf") else None


def _clean(row: tuple[Any, ...], marks_at: int | None = None) -> tuple[Any, ...]:
    """The row without NUL characters, which PostgreSQL cannot hold; that some were there is marked."""
    dirty = any("\0" in v if type(v) is str else type(v) is list and any("\0" in x for x in v) for v in row)
    if not dirty:
        return row
    cleaned = [
        v.replace("\0", "␀") if type(v) is str else [x.replace("\0", "␀") for x in v] if type(v) is list else v
        for v in row
    ]
    if marks_at is not None:
        marks = msgspec.json.decode(row[marks_at]) if row[marks_at] else []
        cleaned[marks_at] = _encode([*marks, NUL_MARK]).decode()
    return tuple(cleaned)
