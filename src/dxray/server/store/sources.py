"""What can be read, and the columns of each: the one list of names that SQL is made from.

Times are microseconds since 1970 in UTC. `sql/*/sources.sql` says how each column comes about.
"""

from __future__ import annotations

RUNS = (
    "project", "run_id", "version", "pipeline", "status", "started_at", "ended_at", "duration_ms", "input", "output",
    "error", "metadata", "environment", "code_version", "variant", "parent_run_id", "trace_id", "input_fingerprint",
    "output_fingerprint", "marks", "producer", "received_at", "request_hash",
    "seen_at",  # when its producer last spoke, the server's clock
    "step_count",
)  # fmt: skip

STEPS = (
    "project", "run_id", "step_id", "version", "step_name", "step_type", "position", "parent_step_id", "after",
    "after_inferred", "attempt", "started_at", "ended_at", "duration_ms", "input", "output", "declared_input_count",
    "declared_output_count", "declared_rejections", "cutoff", "config", "usage", "metadata", "error",
    "input_fingerprint", "config_fingerprint", "output_fingerprint", "events", "marks",
    # of its run
    "pipeline", "run_status", "run_started_at", "environment", "code_version",
    # counts of distinct items, all 0 where there are no events
    "recorded_events", "entered", "produced", "accepted", "rejected", "selected", "outranked", "merged", "consumed",
    "undecided",
    "decided",  # a decision was recorded there
    "reasons", "reason_counts",
    # what follows from them and from what was declared
    "input_count", "output_count", "rejection_rate",
    "rejection_counts",   # JSON text {reason: n}
    "accepted_by_count",  # accepted items that no event names
    "unaccounted",        # signed: in + produced - all outcomes
    "missing_events",     # signed: said to be emitted, and not here; null while the step runs
    "contradiction",      # the declared counts and the events cannot both be true
)  # fmt: skip

EVENTS = (
    "project", "run_id", "step_id", "event_no", "at", "item_id", "outcome", "reason", "decided_by", "score", "name",
    "kind", "rule_id", "passed", "ref_item", "ref_kind", "shape_id", "num", "str", "evidence_text", "evidence_state",
    "p", "kept_because", "marks", "step_name", "step_type",
    "item_key",  # a hash of run, step and item, the same within a version: groups an item's rows without their texts
)  # fmt: skip

SOURCES: dict[str, tuple[str, ...]] = {
    "runs": RUNS,
    "steps": STEPS,
    "events": EVENTS,
    "shapes": ("project", "pipeline", "shape_id", "key", "class", "position"),
    "lineage": ("project", "run_id", "step_id", "event_no", "item_id", "parent_id"),
    "decisions": (
        "project", "run_id", "step_id", "number", "decision", "selected", "reason", "score", "alternatives", "at",
    ),
    "rules": (
        "project", "run_id", "step_id", "version", "number", "rule_id", "field", "op", "threshold", "reason",
        "evaluated", "failed", "uncomparable",
    ),
    "losses": ("project", "run_id", "step_id", "cause", "n", "at"),
    "labels": ("project", "run_id", "number", "label", "item_id", "note", "at", "removed"),
}  # fmt: skip

# Columns that are added to the rows of a page, after it was cut: they cannot be filtered or ordered by.
LATE: dict[str, tuple[str, ...]] = {"runs": ("step_count",)}

# JSON texts that `NAME.KEY` descends into.
JSON_COLUMNS: dict[str, tuple[str, ...]] = {
    "runs": ("input", "output", "metadata", "error"),
    "steps": ("input", "output", "metadata", "config", "usage", "error"),
}
