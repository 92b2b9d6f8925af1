"""The records that travel in a batch, one tagged msgpack map each.

Times are integers, microseconds since 1970 in UTC. Free values (`input`, `config`, ...) travel as
JSON text, made once by the SDK and stored as it is. Runs and steps travel as versions: a reader
sees the one with the highest `version` (microseconds, monotonic within a process).

Events travel as parallel lists, a chunk of one step at a time, because turning rows into columns
costs least where they are still Python tuples, and a list of texts decodes faster than a list of
lists. Unknown fields are ignored by the decoder, so a newer SDK can talk to an older server.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

RunStatus = Literal["running", "waiting", "completed", "failed"]

STATUSES = ("running", "waiting", "completed", "failed", "abandoned")
STEP_TYPES = (
    "generate",
    "retrieve",
    "transform",
    "filter",
    "rank",
    "select",
    "merge",
    "route",
    "tool",
    "approve",
)
LABELS = ("good", "bad", "expected", "wrong", "keep")
OUTCOMES = ("produced", "accepted", "rejected", "selected", "outranked", "merged", "consumed")


class Op:
    """What a row of an events chunk says; `a` and `b` are the row's two free places.

    Outcomes carry the number of their place in `OUTCOMES`.
    """

    PRODUCED = 0  # a: name or None, b: list of parent ids or None
    ACCEPTED = 1  # a: reason or None, b: evidence
    REJECTED = 2  # a: reason, b: evidence
    SELECTED = 3  # a: reason or None, b: score or None
    OUTRANKED = 4  # a: reason or None, b: score or None
    MERGED = 5  # a: the item it went into, b: evidence
    CONSUMED = 6  # a: None, b: None
    SCORED = 7  # a: score, b: parts (a dict of numbers) or None
    RULE_PASSED = 8  # a: the rule's number within the step, b: the observed value
    RULE_FAILED = 9  # the same, and the item is rejected with the rule's reason
    RULE_ALSO_FAILED = 10  # the same, observed after the item was already rejected here
    REFERS = 11  # a: another item, b: the kind: duplicate_of, beaten_by
    PRODUCED_WITH = 12  # a: [name, parents, kind], b: evidence


class Rule(msgspec.Struct, array_like=True, frozen=True):
    """A predicate of a step, with exact counts of what it was asked and how often it failed."""

    field: str
    op: str
    threshold: str  # JSON text
    reason: str
    evaluated: int = 0
    failed: int = 0
    uncomparable: int = 0  # evaluated to False because the value was None, NaN or of another type


class Record(msgspec.Struct, tag_field="t", omit_defaults=True, kw_only=True):
    """Base of all records."""

    run_id: str


class Run(Record, tag="run"):
    """A version of a run."""

    version: int
    pipeline: str
    status: RunStatus
    started_at: int | None = None
    ended_at: int | None = None
    duration_ms: float | None = None
    input: str | None = None
    output: str | None = None
    error: str | None = None  # JSON text: {"type": ..., "message": ...}
    metadata: str | None = None
    environment: str | None = None
    code_version: str | None = None
    variant: str | None = None
    parent_run_id: str | None = None
    trace_id: str | None = None
    input_fingerprint: str | None = None
    output_fingerprint: str | None = None
    marks: list[str] = []  # what was changed to be stored, e.g. "input: cut at 65536 bytes"


class Step(Record, tag="step"):
    """A version of a step."""

    step_id: str
    version: int
    name: str
    position: int  # order of starting, from 0
    type: str | None = None
    parent_step_id: str | None = None
    after: list[str] | None = None  # step ids
    after_inferred: bool = False
    attempt: int = 1
    started_at: int | None = None
    ended_at: int | None = None
    duration_ms: float | None = None
    input: str | None = None
    output: str | None = None
    input_count: int | None = None  # as declared
    output_count: int | None = None
    rejection_counts: dict[str, int] | None = None  # as declared, by hand-written runs
    cutoff: int | None = None
    config: str | None = None
    usage: str | None = None
    metadata: str | None = None
    error: str | None = None
    input_fingerprint: str | None = None
    config_fingerprint: str | None = None
    output_fingerprint: str | None = None
    rules: list[Rule] = []
    events: int | None = None  # how many events the step emitted, once it has ended
    marks: list[str] = []


class Events(Record, tag="events"):
    """A chunk of one step's events, as parallel columns of equal length.

    `ops` has one byte (an `Op`) a row; event numbers run from `first`. `ids`, `a` and each column of
    `wide` are a list, `{"numpy": dtype, "data": bytes}` or `{"arrow": bytes}` (an IPC stream with one
    column). `a` and `b` are None when every row's is; an `a` that is a text or a number holds for all.
    `wide`, where present, holds the evidence of all rows (or of the rows numbered in `wide_rows`) by
    key instead of row by row in `b`.
    """

    step_id: str
    first: int
    at: int
    ops: bytes
    ids: Any
    a: Any = None
    b: list[Any] | None = None
    wide: dict[str, Any] | None = None
    wide_rows: list[int] | None = None
    rules: list[Rule] = []  # the step's rules so far, which RULE_* rows refer to by number
    p: float | None = None  # evidence was sampled with this probability; a dropped one is False in b
    kept: dict[int, str] = {}  # rows whose evidence was kept for another cause than chance
    by: dict[int, str] = {}  # rows decided by something else than code: rule, model, person
    marks: dict[int, list[str]] = {}  # rows with something changed to be stored


class Decision(Record, tag="decision"):
    """A choice made by a step. Its winners and alternatives are events too."""

    step_id: str
    number: int
    decision: str
    selected: list[str]
    reason: str | None = None
    score: float | None = None
    alternatives: str | None = None  # JSON text, as given
    at: int | None = None


class Loss(Record, tag="loss"):
    """So many recorded things that did not arrive, or not as they were. Losses of a run add up.

    `run_id` is empty where nobody knows whose they were. `n` counts events, but for `VALUE_LOSSES`.
    """

    cause: str
    n: int
    step_id: str | None = None


VALUE_LOSSES = frozenset(("truncated", "redacted"))  # the event is there, a value of it was changed

AnyRecord = Run | Step | Events | Decision | Loss


class Batch(msgspec.Struct, kw_only=True):
    """What one POST to `/ingest` carries. (`producer`, `seq`) counts once, ever.

    A batch without records is a heartbeat of its producer.
    """

    v: int
    producer: str
    seq: int
    project: str = "default"
    records: list[msgspec.Raw] = []
