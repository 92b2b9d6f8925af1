"""What goes in comes out somewhere: a step's counts, and what contradicts them.

Pure functions on rows of the source `steps`. All counts are of distinct items.
"""

from __future__ import annotations

from dxray.server.reasoning.shown import Row, parsed

_OUTCOMES = ("produced", "accepted", "rejected", "selected", "outranked", "merged", "consumed")


def counts(row: Row, lossy: bool = False) -> dict[str, int | None]:
    """in + produced = accepted + rejected + selected + outranked + merged + consumed + unaccounted, and what is only
    counted, by no event named.

    Of a step that lost events, and did not declare how many items came in, nobody knows what is unaccounted: the
    events that are here always balance with themselves.
    """
    known = not lossy or row["declared_input_count"] is not None
    return {
        "in": row["input_count"],
        **{name: row[name] for name in _OUTCOMES},
        "unaccounted": row["unaccounted"] if known else None,
        "accepted_by_count": row["accepted_by_count"],
        "rejected_by_count": max(_said_rejected(row) - (row["rejected"] or 0), 0),
    }


def _said_rejected(row: Row) -> int:
    """How many items a run written by hand says were rejected, named or not."""
    said = parsed(row["declared_rejections"])
    return sum(n for n in said.values() if isinstance(n, int)) if isinstance(said, dict) else 0


def recorded_out(row: Row) -> int:
    """The items that, by the step's events, go on."""
    return (row["accepted"] or 0) + (row["selected"] or 0)


def is_complete(row: Row) -> bool:
    """Whether the step ended, and recorded as many events as it emitted and as many items as it declared.

    Losses are not among a step's rows: who knows of them asks them too.
    """
    declared_in, declared_out = row["declared_input_count"], row["declared_output_count"]
    return (
        row["ended_at"] is not None or row["missing_events"] is not None or row["duration_ms"] is not None
    ) and not (
        row["missing_events"]
        or (declared_in is not None and declared_in != (row["entered"] or 0))
        or (declared_out is not None and declared_out != recorded_out(row))
    )


def contradictions(row: Row, lossy: bool = False) -> list[str]:
    """Where what the step declared and what its events say cannot both be true, a plain sentence each.

    None of a step that lost events: those may be what makes the difference.
    """
    said: list[str] = []
    if lossy:
        return said
    declared_in, declared_out = row["declared_input_count"], row["declared_output_count"]
    entered, out = row["entered"] or 0, recorded_out(row)
    if declared_in is not None and entered > declared_in:
        said.append(f"input_count says {declared_in}, but events name {entered} items that came in")
    if declared_out is not None and out > declared_out:
        said.append(f"output_count says {declared_out}, but events let {out} items go on")
    if declared_in is not None and declared_out is not None:
        gone = sum(row[name] or 0 for name in ("rejected", "outranked", "merged", "consumed"))
        most = declared_in + (row["produced"] or 0) - gone
        if declared_out > most >= 0 and row["recorded_events"]:
            said.append(f"output_count says {declared_out}, but by the other counts at most {most} items can go on")
    said += _reasons_against(row, declared_in)
    if row["contradiction"] and not said:
        said.append("more items went out of the step, by its counts and events together, than came in")
    return said


def _reasons_against(row: Row, declared_in: int | None) -> list[str]:
    declared = parsed(row["declared_rejections"])
    if not isinstance(declared, dict):
        return []
    seen = dict(zip(row["reasons"] or (), row["reason_counts"] or (), strict=True))
    said = [
        f"rejection_counts says {n} for {reason!r}, but events reject {seen.get(reason, 0)} items for it"
        for reason, n in declared.items()
        if seen and seen.get(reason, 0) != n
    ]
    total = sum(n for n in declared.values() if isinstance(n, int))
    if declared_in is not None and total > declared_in:
        said.append(f"rejection_counts says {total} in all, but input_count says {declared_in}")
    return said
