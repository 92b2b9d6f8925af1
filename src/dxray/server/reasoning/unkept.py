"""Evidence of events that is not there, or not by key."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_UNKEPT = {
    "sampled_out": "was sampled out",
    "truncated": "was cut off",
    "redacted": "was redacted",
    "expired": "has expired",
}


def unkept(events: pa.Table, as_text: int) -> str | None:
    """Of how many of these events, and why, in words; `as_text` of them keep it as one text."""
    state = pc.value_counts(events["evidence_state"].combine_chunks().drop_null()).to_pylist()
    n = {row["values"]: row["counts"] for row in state}
    said = [f"of {n[one]:,} it {was}" for one, was in _UNKEPT.items() if n.get(one)]
    if as_text:
        said.append(f"of {as_text:,} it is kept as one text, for it came with too many different sets of keys")
    return f"{'; '.join(said)} (of {events.num_rows:,} events looked at)" if said else None
