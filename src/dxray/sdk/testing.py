"""For tests of code that records: capture what it records in memory, without a server."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dxray.sdk import channel as channels
from dxray.sdk.transport import Answer, Fate
from dxray.sdk.wide import listed
from dxray.wire.codec import TooLarge, inflate, unpack_batch, unpack_record
from dxray.wire.records import AnyRecord, Decision, Events, Loss, Op, Run, Step

FLUSH_S = 5.0

OUTCOME_OF = {
    Op.PRODUCED: "produced",
    Op.PRODUCED_WITH: "produced",
    Op.ACCEPTED: "accepted",
    Op.REJECTED: "rejected",
    Op.SELECTED: "selected",
    Op.OUTRANKED: "outranked",
    Op.MERGED: "merged",
    Op.CONSUMED: "consumed",
    Op.RULE_FAILED: "rejected",
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """One event as it was recorded."""

    run_id: str
    step_name: str
    item_id: str
    outcome: str | None  # None: a score, a rule passed, a reference
    reason: str | None
    evidence: dict[str, Any] | None


@dataclass(slots=True)
class Capture:
    """What was recorded; every property flushes first, so it is up to date."""

    _batches: dict[tuple[str, int], list[AnyRecord]] = field(default_factory=dict)  # by producer and number

    @property
    def records(self) -> list[AnyRecord]:
        """Everything, as it would travel, in the order in which it was packed."""
        self._flush()
        # Several threads deliver at once, so batches overtake one another.
        return [record for number in sorted(self._batches, key=_place) for record in self._batches[number]]

    @property
    def runs(self) -> list[Run]:
        """The last version of each run, in order of starting."""
        last: dict[str, Run] = {}
        for record in self.records:
            if isinstance(record, Run) and (record.run_id not in last or last[record.run_id].version <= record.version):
                last[record.run_id] = record
        return list(last.values())

    @property
    def steps(self) -> list[Step]:
        """The last version of each step, in order of starting."""
        last: dict[tuple[str, str], Step] = {}
        for record in self.records:
            if isinstance(record, Step):
                key = record.run_id, record.step_id
                if key not in last or last[key].version <= record.version:
                    last[key] = record
        return list(last.values())

    @property
    def decisions(self) -> list[Decision]:
        """Every decision, in order."""
        return [record for record in self.records if isinstance(record, Decision)]

    @property
    def losses(self) -> dict[str, int]:
        """What could not be recorded, or not as it was, by cause."""
        found: Counter[str] = Counter()
        for record in self.records:
            if isinstance(record, Loss):
                found[record.cause] += record.n
        return dict(found)

    @property
    def events(self) -> list[Recorded]:
        """Every event, step by step, each in order."""
        chunks = [record for record in self.records if isinstance(record, Events)]
        place = {key: n for n, key in enumerate(dict.fromkeys((c.run_id, c.step_id) for c in chunks))}
        chunks.sort(key=lambda chunk: (place[chunk.run_id, chunk.step_id], chunk.first))
        names = {(step.run_id, step.step_id): step.name for step in self.steps}
        return [event for chunk in chunks for event in _rows(chunk, names.get((chunk.run_id, chunk.step_id), ""))]

    def outcomes(self, step_name: str) -> dict[str, str]:
        """Each item's last outcome at a step."""
        return {e.item_id: e.outcome for e in self.events if e.step_name == step_name and e.outcome is not None}

    def _flush(self) -> None:
        for channel in list(channels._channels.values()):
            channel.collect()  # however long that takes: who looks wants to see all of it
            channel.flush(FLUSH_S)

    def _post(self, data: bytes) -> Answer:
        try:
            batch = unpack_batch(inflate(data, "zstd"))
        except TooLarge:
            return Answer(Fate.TOO_LARGE)
        self._batches[batch.producer, batch.seq] = [unpack_record(raw) for raw in batch.records]
        return Answer(Fate.COMMITTED)


class _MemoryTransport:
    """Takes to a capture what would go to a server."""

    def __init__(self, capture: Capture, api_url: str, api_key: str | None, read_s: float = 0.0) -> None:
        self._capture = capture

    def post(self, data: bytes) -> Answer:
        return self._capture._post(data)

    def close(self) -> None:
        return None


@contextmanager
def capture() -> Iterator[Capture]:
    """Everything recorded inside goes to the `Capture`, whatever server an `XRay` names.

    As a pytest fixture:

        @pytest.fixture
        def xray_capture():
            with dxray.testing.capture() as captured:
                yield captured
    """
    from dxray.sdk import outbox, transport

    captured = Capture()
    kept_channels, kept_transport, kept_folder = dict(channels._channels), transport.Transport, outbox.folder_of  # type: ignore[attr-defined]
    here = tempfile.TemporaryDirectory(prefix="dxray-capture-", ignore_cleanup_errors=True)
    # A spool of its own: what waits in the user's is bound for a server, not for a test.
    outbox.folder_of = lambda _, url, project: kept_folder(Path(here.name), url, project)  # type: ignore[attr-defined,assignment]
    channels._channels.clear()
    transport.Transport = partial(_MemoryTransport, captured)  # type: ignore[misc,assignment]
    try:
        yield captured
    finally:
        for channel in list(channels._channels.values()):
            channel.close()
        transport.Transport = kept_transport  # type: ignore[misc]
        outbox.folder_of = kept_folder  # type: ignore[attr-defined]
        here.cleanup()
        channels._channels.clear()
        channels._channels.update(kept_channels)


def _place(number: tuple[str, int]) -> tuple[str, list[int]]:
    """Of a batch among all: a part, numbered after its whole by `contents.halves`, lies where that would."""
    producer, *whole = number[0].split(".")
    return producer, [*map(int, whole), number[1]]


def _wide(chunk: Events, n: int) -> list[Any]:
    """The evidence of a chunk that came as columns, row by row."""
    rows: list[Any] = [None] * n
    columns = {key: listed(column) for key, column in (chunk.wide or {}).items()}
    for place, number in enumerate(chunk.wide_rows if chunk.wide_rows is not None else range(n)):
        if columns:
            rows[number] = {key: column[place] for key, column in columns.items()}
    return rows


def _rows(chunk: Events, step_name: str) -> Iterator[Recorded]:
    n = len(chunk.ops)
    ids = listed(chunk.ids)
    a_column: list[Any] = listed(chunk.a) if isinstance(chunk.a, list | dict) else [chunk.a] * n
    b_column: list[Any] = chunk.b if chunk.b is not None else _wide(chunk, n)
    for number, (op, a, b) in enumerate(zip(chunk.ops, a_column, b_column, strict=True)):
        reason = a if op in (Op.ACCEPTED, Op.REJECTED, Op.SELECTED, Op.OUTRANKED) else None
        if Op.RULE_PASSED <= op <= Op.RULE_ALSO_FAILED:
            rule = chunk.rules[a]
            reason, b = (rule.reason if op != Op.RULE_PASSED else None), {rule.field: b}
        yield Recorded(
            run_id=chunk.run_id,
            step_name=step_name,
            item_id=str(ids[number]),
            outcome=OUTCOME_OF.get(op),
            reason=reason,
            evidence=b if isinstance(b, dict) else None,
        )
