"""When did the runs start that fit a filter, and how did they end? Counted in stretches of time of one length."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from dxray.server.filters import Clause
from dxray.server.reasoning.selection import runs_where
from dxray.server.reasoning.shown import when
from dxray.server.store.base import Reader
from dxray.wire.records import STATUSES

_MS, _S = 1_000, 1_000_000
_MINUTE, _HOUR, _DAY = 60 * _S, 3_600 * _S, 86_400 * _S
# Lengths that people read without counting, in microseconds.
_WIDTHS = (
    *(n * _MS for n in (1, 2, 5, 10, 20, 50, 100, 200, 500)),
    *(n * _S for n in (1, 2, 5, 10, 15, 30)),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 28, 91, 364)),
)
_MONDAY = 4 * _DAY  # 1970-01-05: weeks begin there
_FIRST, _LAST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * _S for year in (1000, 9000))

LEAST, MOST = 10, 500  # buckets that may be asked for


def run_times(reader: Reader, *, q: str | None = None, buckets: int = 60, now: float | None = None) -> dict[str, Any]:
    """How many runs started in each bucket, by status. Raises `FilterError`.

    The buckets lie without gaps from the first run to the last; where the filter says `since` or `until`, from and to
    there instead, so that a quiet time shows. There are at most `buckets`, all of one length that is easily read.
    """
    where = runs_where(reader, q)
    table = reader.select("runs", ["started_at", "status"], where)
    started = table["started_at"].to_numpy()
    dated = (started >= _FIRST) & (started < _LAST)
    codes, statuses = _codes(table["status"])
    started, codes = started[dated], codes[dated]
    first, last = _span(where, started, int((time.time() if now is None else now) * _S))
    edges = _edges(first, last, buckets) if first <= last else []
    counts = _counted(started, codes, edges, len(statuses))
    rows = [
        {"from": when(low), "to": when(high), "counts": _said(statuses, some)}
        for low, high, some in zip(edges, edges[1:], counts.tolist(), strict=False)
    ]
    answer = {
        "from": rows[0]["from"] if rows else None,
        "to": rows[-1]["to"] if rows else None,
        "width_ms": (edges[1] - edges[0]) / _MS if rows else None,
        "buckets": rows,
        "counts": _said(statuses, counts.sum(axis=0).tolist()),
        "total": table.num_rows,
        "undated": int(table.num_rows - dated.sum()),
    }
    return {**answer, "sentence": _sentence(answer, edges, counts.sum(axis=1))}


def _codes(column: pa.ChunkedArray) -> tuple[Any, list[str]]:
    """A number for each status of the column, and what the numbers mean."""
    coded = column.combine_chunks().dictionary_encode()
    return coded.indices.to_numpy(zero_copy_only=False), coded.dictionary.to_pylist()


def _span(where: Sequence[Clause], started: Any, now: int) -> tuple[int, int]:
    """The first and the last microsecond that is looked at; the first is after the last where there is none."""
    low = max((clause.value for clause in where if clause.field == "started_at" and clause.op == ">="), default=None)
    high = min((clause.value for clause in where if clause.field == "started_at" and clause.op == "<"), default=None)
    if len(started) == 0 and low is None:
        return 1, 0
    first = int(started.min()) if low is None else low
    last = int(started.max()) if len(started) else now
    if low is not None or high is not None:
        last = max(last, now)  # a quiet time is to be seen
    if high is not None:
        last = min(last, high - 1)
    return max(first, _FIRST), min(last, _LAST)


def _edges(first: int, last: int, buckets: int) -> list[int]:
    """The edges of at most so many buckets that hold both."""

    def around(width: int) -> range:
        return range((first - _MONDAY) // width, (last - _MONDAY) // width + 2)

    finest = _S if first == last else 0
    longer = (_WIDTHS[-1] * n for n in range(2, 10_000))
    width = next(one for one in (*_WIDTHS, *longer) if one >= finest and len(around(one)) <= buckets + 1)
    return [_MONDAY + at * width for at in around(width)]


def _counted(started: Any, codes: Any, edges: Sequence[int], statuses: int) -> Any:
    """Runs by bucket and status."""
    n = max(len(edges) - 1, 0)
    if n == 0:
        return np.zeros((0, statuses), dtype=np.int64)
    place = (started - edges[0]) // (edges[1] - edges[0])
    return np.bincount(place * statuses + codes, minlength=n * statuses).reshape(n, statuses)


def _said(statuses: Sequence[str], counts: Sequence[int]) -> dict[str, int]:
    """Counts by status, in the order of the statuses; none that is 0."""
    found = dict(zip(statuses, counts, strict=True))
    return {status: found[status] for status in dict.fromkeys((*STATUSES, *statuses)) if found.get(status)}


def _sentence(answer: dict[str, Any], edges: Sequence[int], sums: Any) -> str:
    total, undated = answer["total"], answer["undated"]
    said = f"{undated:,} of them at a time that no calendar holds" if undated else ""
    if total == 0:
        return "No run fits."
    if total == undated:
        return f"{_many(total)} fit{'s' if total == 1 else ''}, {said}."
    ends = ", ".join(f"{n:,} {status}" for status, n in answer["counts"].items())
    period = f"between {_clock(edges[0])} and {_clock(edges[-1])} UTC"
    most = int(sums.argmax())
    peak = f"; the most, {int(sums[most]):,}, from {_clock(edges[most])} to {_clock(edges[most + 1])}"
    peak = peak if len(edges) > 2 and sums[most] > 1 else ""
    return f"{_many(total)} started {period}: {ends}{peak}{f'; {said}' if said else ''}."


def _clock(micros: int) -> str:
    at = when(micros)
    assert at is not None  # edges lie within the calendar
    text = at.isoformat(sep=" ", timespec="milliseconds")[:23]
    return text.removesuffix(".000").removesuffix(":00")


def _many(n: int) -> str:
    return f"{n:,} run{'' if n == 1 else 's'}"
