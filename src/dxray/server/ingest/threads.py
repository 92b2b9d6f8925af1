"""Bytes -> committed rows: decode, refuse what cannot be stored, count a batch once, commit what waits together.

Two threads. One takes what waits, inflates, decodes and builds tables; the other commits, while the first is at work
on what came meanwhile. So commits grow under load, and an answer comes only after its commit.
"""

from __future__ import annotations

import gc
import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, fields
from typing import Any

from dxray.server.errors import Busy, Conflict, DxrayError, Invalid, StoreError
from dxray.server.filters import Clause
from dxray.server.ingest.batches import PART_ROWS, POISON, build_part, built_alone, joined, records_of, unpacked
from dxray.server.ingest.known import Known
from dxray.server.ingest.submissions import Group, Receipt, Submission, Waiting, settle
from dxray.server.store.base import Commit, Store
from dxray.wire.codec import MAX_INFLATED
from dxray.wire.columns import Built, PipelineMemory, Refused, Sent, check
from dxray.wire.evidence import ShapeBook
from dxray.wire.records import AnyRecord, Batch

log = logging.getLogger("dxray.ingest")

ENOUGH_ROWS = 30_000  # are handed to an idle commit thread although more waits, so that both threads are at work
GROUP_ROWS = 250_000  # and committed, under load, before they are many more than this
GROUP_BYTES = 64 * 1024 * 1024  # or, inflated, than this
WAITING_BYTES = 64 * 1024 * 1024  # of bodies that are not committed yet


@dataclass(slots=True)
class Counters:
    """What ingest did since it started."""

    batches: int = 0
    duplicates: int = 0
    heartbeats: int = 0
    posted: int = 0  # runs posted whole
    records: int = 0
    rejected: int = 0
    rows: int = 0
    commits: int = 0
    failed: int = 0  # commits
    refused: int = 0  # for being too many at once

    def as_dict(self) -> dict[str, int]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


class Ingest:
    """Takes batches and whole runs for one store, from any thread."""

    def __init__(
        self,
        store: Store,
        *,
        max_body: int = MAX_INFLATED,
        waiting_bytes: int = WAITING_BYTES,
        group_rows: int = GROUP_ROWS,
    ) -> None:
        self.counters = Counters()
        self._max_body = max_body
        self._store = store
        self._group_rows = group_rows
        self._book = ShapeBook()
        self._book.load(store.shapes())
        self._pipelines = PipelineMemory()
        self._known = Known(store.marks())
        self._changed = threading.Condition()
        self.waiting = Waiting(waiting_bytes, self._changed)
        self._posting: dict[tuple[str, str], tuple[str, list[Submission]]] = {}
        self._ready: Group | None = None
        self._committing = False
        self._closing = False
        self._broken = False  # a thread has died
        _share_the_interpreter()
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=f"dxray-{name}", daemon=True)
            for name, work in (("decode", self._decode_loop), ("commit", self._commit_loop))
        ]
        for thread in self._threads:
            thread.start()

    # --- from outside ---

    def submit(self, body: bytes, encoding: str = "identity", project: str | None = None) -> Future[Receipt]:
        """One batch, of `project` where that is given, else of the one it names.

        The future gives its receipt after the commit, or a `DxrayError`. Raises `Busy`.
        """
        submission = Submission(body, encoding, project=project)
        submission.limit = self._max_body
        return self._enqueue(submission, len(body))

    def post_run(self, project: str, records: Sequence[AnyRecord], request_hash: str) -> Future[bool]:
        """One whole run. The future gives whether it was made (False: the same is there already), or `Conflict`.

        Raises `Busy`.
        """
        now = int(time.time() * 1e6)
        return self._enqueue(Submission(b"", "", Sent(project, None, now, records, request_hash)), 4096)

    def add(self, project: str, records: Sequence[AnyRecord], size: int) -> Future[bool]:
        """Records of `size` bytes, none of which is here. The future is done after the commit. Raises `Busy`."""
        return self._enqueue(Submission(b"", "", Sent(project, None, int(time.time() * 1e6), records)), size)

    @property
    def is_alive(self) -> bool:
        """Whether what is submitted will be answered."""
        return not self._broken

    def close(self) -> None:
        """Commit what waits, then stop. Idempotent."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _enqueue(self, submission: Submission, size: int) -> Future[Any]:
        with self._changed:
            if self._broken:
                raise StoreError(_BROKEN)
            if self._closing:
                raise Busy("the server is closing")
            if not self.waiting.has_room(size):
                self.counters.refused += 1
                raise Busy(f"{self.waiting.bytes} bytes wait to be stored", retry_after=1.0)
            self.waiting.put(submission, size)
            self._changed.notify_all()
        return submission.future

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException:
            log.exception("ingest stopped")
            with self._changed:
                self._closing = self._broken = True
                self._ready = _END
                unanswered = self.waiting.give_up()
                self._changed.notify_all()
            for submission in unanswered:
                submission.fail(StoreError(_BROKEN))

    # --- decode ---

    def _decode_loop(self) -> None:
        group = Group()
        while True:
            submission = self._take(group)
            if submission is not None:
                self._decode_into(group, submission)
                if group.part_rows >= PART_ROWS:
                    build_part(group, self._book, self._pipelines)
            elif group.submissions:
                build_part(group, self._book, self._pipelines)
                self._hand_over(group)
                group = Group()
            else:
                self._hand_over(None)
                return

    def _take(self, group: Group) -> Submission | None:
        """The next submission for the group; None when it is to go, or when it is empty and all is done."""
        with self._changed:
            while True:
                idle = self._ready is None and not self._committing
                is_full = group.rows >= self._group_rows or group.bytes >= GROUP_BYTES
                if self.waiting and not is_full and not (idle and group.rows >= ENOUGH_ROWS):
                    return self.waiting.take()
                if is_full or self._closing or (idle and group.submissions):
                    return None
                self._changed.wait()

    def _hand_over(self, group: Group | None) -> None:
        """Give the commit thread its next group, when it has taken the one before; None is the end."""
        with self._changed:
            while self._ready is not None and not self._broken:
                self._changed.wait()
            self._ready = group if group is not None else _END
            self._changed.notify_all()

    def _decode_into(self, group: Group, submission: Submission) -> None:
        try:
            if submission.sent is not None:
                self._take_post(group, submission, submission.sent)
            else:
                self._take_batch(group, submission)
        except DxrayError as error:
            self._fail(submission, error)
        except Refused as error:
            self._fail(submission, Invalid(str(error)))
        except Exception as error:
            log.exception("a batch could not be decoded")
            self._fail(submission, error)

    def _take_batch(self, group: Group, submission: Submission) -> None:
        batch = unpacked(submission)
        self.counters.batches += 1
        if not batch.records:
            self.counters.heartbeats += 1
        elif self._is_known((batch.project, batch.producer, batch.seq), submission, batch):
            self.counters.duplicates += 1
            return
        else:
            submission.counts_once = True
        submission.key, submission.seq = (batch.project, batch.producer), batch.seq
        group.submissions.append(submission)
        group.bytes += sum(map(len, batch.records))
        try:
            for sent in records_of(submission, batch):
                if group.add(sent) >= PART_ROWS:
                    build_part(group, self._book, self._pipelines)
        except Exception:
            log.exception("a batch could not be decoded; it is tried again alone")
            group.sent.clear()
            group.parts.append(POISON)

    def _is_known(self, key: tuple[str, str, int], submission: Submission, batch: Batch) -> bool:
        """Whether the batch is committed, or on its way: then it gets its answer with the first one."""
        with self._changed:
            if self._known.begins(key):
                return False
        for _ in records_of(submission, batch):
            pass  # the answer that names records which cannot be stored may have been lost
        submission.receipt = Receipt(0, submission.receipt.rejected, duplicate=True)
        with self._changed:
            if self._known.is_committed(key):
                submission.resolve()
                return True
            return self._known.follows(key, submission) or not self._known.begins(key)

    def _take_post(self, group: Group, submission: Submission, sent: Sent) -> None:
        run_id, request_hash = sent.records[0].run_id, sent.request_hash or ""
        key = (sent.project, run_id)
        if sent.request_hash is None:
            _take_added(group, submission, sent)
            return
        with self._changed:
            posting = self._posting.get(key)
            if posting is not None:
                if posting[0] != request_hash:
                    raise _conflict(run_id)
                posting[1].append(submission)
                return
        for record in sent.records:
            check(record)
        stored = _stored(self._store, sent.project, run_id)
        if stored:
            if stored != [request_hash]:
                raise _conflict(run_id)
            settle(submission.future, False)
            return
        with self._changed:
            self._posting[key] = (request_hash, [])
        submission.counts_once = True
        self.counters.posted += 1
        submission.receipt = True
        group.submissions.append(submission)
        group.add(sent)

    # --- commit ---

    def _commit_loop(self) -> None:
        while True:
            with self._changed:
                self._committing = False
                self._changed.notify_all()
                while self._ready is None:
                    self._changed.wait()
                group, self._ready = self._ready, None
                self._committing = True
                self._changed.notify_all()
            if group is _END:
                return
            self._commit_group(group)

    def _commit_group(self, group: Group) -> None:
        try:
            if any(part is POISON for part in group.parts):
                raise StoreError("a batch could not be turned into tables")
            self._commit(group.submissions, group.parts)
        except Exception as error:  # noqa: BLE001 - it is given to everybody whose batch it was
            self.counters.failed += 1
            if len(group.submissions) == 1 and not any(part is POISON for part in group.parts):
                self._fail(group.submissions[0], error)
                return
            log.warning("a commit of %d batches failed (%s); committing one by one", len(group.submissions), error)
            for submission in group.submissions:
                self._commit_alone(submission)

    def _commit_alone(self, submission: Submission) -> None:
        """Decode and commit one submission of a group that failed, so that it fails by its own fault only."""
        try:
            self._commit([submission], [built_alone(submission, self._pipelines)])
        except Exception as error:
            self.counters.failed += 1
            log.exception("a batch could not be committed")
            self._fail(submission, error)

    def _commit(self, submissions: list[Submission], parts: list[Built]) -> None:
        """Commit, and only then remember and answer."""
        now = int(time.time() * 1e6)
        producers: dict[tuple[str, str], list[int]] = {}
        for s in submissions:
            if s.key is not None:
                producers.setdefault(s.key, []).extend([s.seq] if s.receipt.accepted or s.receipt.rejected else [])
        marks = [self._known.mark(producer, seqs, now) for producer, seqs in producers.items()]
        self._store.insert(Commit(joined(parts), marks))
        # failpoint: ingest.committed
        self.counters.commits += 1
        for part in parts:
            self.counters.rows += part.rows
            self._book.stored(part.shapes)
        with self._changed:
            for producer, seqs in producers.items():
                self._known.committed(producer, seqs)
            followers = [self._forget(s) for s in submissions]
            self._committing = False  # before anybody is answered, and sends the next: what is decoded goes first
            self._changed.notify_all()
        # failpoint: ingest.remembered
        for submission, following in zip(submissions, followers, strict=True):
            if isinstance(submission.receipt, Receipt):
                self.counters.records += submission.receipt.accepted
                self.counters.rejected += len(submission.receipt.rejected)
            submission.resolve()
            # failpoint: ingest.answered
            for other in following:
                settle(other.future, False if submission.sent is not None else other.receipt)

    def _forget(self, submission: Submission) -> list[Submission]:
        """It is on its way no longer. Returns those that wait for the same."""
        if not submission.counts_once:
            return []
        if submission.sent is not None:
            return self._posting.pop((submission.sent.project, submission.sent.records[0].run_id), ("", []))[1]
        if submission.key is None:
            return []
        return self._known.ends((*submission.key, submission.seq))

    def _fail(self, submission: Submission, error: Exception) -> None:
        with self._changed:
            following = self._forget(submission)
        shown = error if isinstance(error, DxrayError) else StoreError(f"the batch could not be stored: {error}")
        for one in (submission, *following):
            one.fail(shown)


def _share_the_interpreter() -> None:
    """One thread decodes without pause, another takes the interpreter for some hundred short moments in a commit, and
    waits up to a switch interval for each. And a decoded batch is 100,000 containers that are soon gone: the collector
    would look through them 150 times."""
    sys.setswitchinterval(min(sys.getswitchinterval(), 0.0005))
    gc.set_threshold(max(gc.get_threshold()[0], 50_000), *gc.get_threshold()[1:])


_BROKEN = "ingest has stopped; restart the server"
_END = Group()


def _take_added(group: Group, submission: Submission, sent: Sent) -> None:
    for record in sent.records:
        check(record)
    submission.receipt = True
    group.submissions.append(submission)
    group.add(sent)


def _stored(store: Store, project: str, run_id: str) -> list[str | None]:
    """What the run that is there was posted as; None for one that the SDK recorded."""
    found = store.project(project).select("runs", ["request_hash"], [Clause("run_id", "==", run_id)], limit=1)
    hashes: list[str | None] = found.column(0).to_pylist()
    return hashes


def _conflict(run_id: str) -> Conflict:
    return Conflict(
        f"there is another run under run_id {run_id!r}",
        field="run_id",
        fix="leave run_id out, or choose another",
    )
