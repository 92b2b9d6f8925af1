"""What waits in ingest: a body or a posted run, its receipt, and those that are committed together."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from dxray.wire.codec import MAX_INFLATED
from dxray.wire.columns import Built, Sent
from dxray.wire.records import Events


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch: records stored, those refused as (index, why), and whether it was known already."""

    accepted: int
    rejected: list[tuple[int, str]] = field(default_factory=list)
    duplicate: bool = False


class Submission:
    """One body, or one run posted whole, on its way to a commit."""

    __slots__ = (
        "body", "counts_once", "encoding", "future", "key", "limit", "project", "receipt", "received_at", "sent", "seq",
    )  # fmt: skip

    def __init__(self, body: bytes, encoding: str, sent: Sent | None = None, project: str | None = None) -> None:
        self.body = body
        self.encoding = encoding
        self.limit = MAX_INFLATED  # bytes, inflated
        self.sent = sent  # what a posted run consists of
        self.project = project  # whose the batch is, whatever it says
        self.future: Future[Any] = Future()
        self.received_at = int(time.time() * 1e6)
        self.counts_once = False  # and others that are the same wait for it
        self.key: tuple[str, str] | None = None  # project and producer
        self.seq = 0
        self.receipt: Any = None

    def resolve(self) -> None:
        settle(self.future, self.receipt)

    def fail(self, error: BaseException) -> None:
        with suppress(InvalidStateError):  # whoever asked has gone
            self.future.set_exception(error)


class Waiting:
    """What has come and is not answered yet, bounded in bytes. `lock` is held around every call."""

    def __init__(self, limit: int, lock: threading.Condition) -> None:
        self.bytes = 0
        self._limit = limit
        self._lock = lock
        self._queue: deque[Submission] = deque()
        self._unanswered: set[Submission] = set()

    def __len__(self) -> int:
        return len(self._queue)

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more may come; a single body always may."""
        return not self.bytes or self.bytes + size <= self._limit

    def put(self, submission: Submission, size: int) -> None:
        """Take one. It counts until it has its answer."""
        self.bytes += size
        self._queue.append(submission)
        self._unanswered.add(submission)
        submission.future.add_done_callback(lambda _: self._answered(submission, size))

    def take(self) -> Submission:
        """The one that has waited longest."""
        return self._queue.popleft()

    def give_up(self) -> list[Submission]:
        """Everything that has no answer, to be told so."""
        self._queue.clear()
        return list(self._unanswered)

    def _answered(self, submission: Submission, size: int) -> None:
        with self._lock:
            self.bytes -= size
            self._unanswered.discard(submission)


@dataclass(slots=True)
class Group:
    """Submissions that are committed together, and their tables so far."""

    submissions: list[Submission] = field(default_factory=list)
    parts: list[Built] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)  # decoded, not in a part yet
    part_rows: int = 0
    rows: int = 0
    bytes: int = 0  # of records, inflated

    def add(self, sent: Sent) -> int:
        """Take records; gives the rows that are not in a part yet."""
        rows = sum(len(r.ops) if type(r) is Events else 1 for r in sent.records)
        self.sent.append(sent)
        self.rows += rows
        self.part_rows += rows
        return self.part_rows


def settle(future: Future[Any], result: Any) -> None:
    """Give the answer, unless whoever asked has gone."""
    with suppress(InvalidStateError):
        future.set_result(result)
