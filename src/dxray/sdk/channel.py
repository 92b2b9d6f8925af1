"""Where records wait: one channel for each server and project in a process, shared by every `XRay`.

Callers put encoded chunks and ended runs and steps here and go on. A flusher thread turns what has
gathered into a batch every 200 ms, or sooner when much has, writes it to the spool, and shipper
threads post it. The bounds are in bytes, and whatever does not fit is counted.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dxray.sdk import context, wide
from dxray.sdk.chunk import encode
from dxray.sdk.guard import guard, logger
from dxray.sdk.settings import Settings
from dxray.sdk.shipper import Shipper
from dxray.sdk.spool import Frame, Spool, SpoolFull, folder_of
from dxray.wire.codec import pack_batch
from dxray.wire.ids import uuid7_hex
from dxray.wire.records import AnyRecord, Events

if TYPE_CHECKING:
    from dxray.sdk.ledger import Ledger
    from dxray.sdk.run import Run

FLUSH_S = 0.2
HEARTBEAT_S = 10.0
BATCH_BYTES = 4 * 1024 * 1024  # of encoded records, before compression
BEHIND_BYTES = 16 * 1024 * 1024  # encoded, not flushed yet: from here on callers help
PENDING_BYTES = 64 * 1024 * 1024  # and from here on what comes is lost
PATIENCE_S = 0.25  # that a caller leaves the interpreter to a flusher at work, once until it gets on
BYTES_PER_ITEM = 64  # a guess for columns that are not encoded yet
MEMORY_BYTES = 32 * 1024 * 1024  # flushed, and held besides the spool (or instead of it)
EXIT_S = 2.0
SYNC_S = 60.0  # `sync_offline` waits so long for a server that answers


class DeliveryError(RuntimeError):
    """A run could not be delivered in time; raised only with `offline_mode="strict"`."""


class Channel:
    """The way from a process to one server and project."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.losses: Counter[str] = Counter()
        self._begin()

    def _begin(self) -> None:
        """A fresh start: at first use, and in a forked child, which owns nothing of its parent's."""
        self._pid = os.getpid()
        self.producer = uuid7_hex()
        self._seq = 0
        self._room = threading.Condition(threading.Lock())  # pending bytes
        self._flushing = threading.RLock()  # one flush at a time
        self._stuck = False  # the flusher did not get on while a caller waited
        self._pending: deque[tuple[bytes | Events, int, int]] = deque()
        self._pending_bytes = 0
        self._ended: deque[Run | Ledger] = deque()
        self._open: dict[int, Run] = {}
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._spool = self._make_spool()
        self._memory_bytes = 0
        self._beat_at = 0.0
        self._shipper = Shipper(self.settings, self._settled)
        self._stopping = False
        self._given_up = 0  # batches, which may hold no event
        self._lost_before = self._lost()  # at the last flush
        self._adopted = False  # whether what dead processes left was looked for
        self.mark: str | None = None  # what every run from now on should say of its delivery

    def forked(self) -> None:
        """In a forked child: open runs belong to the parent, and what the child adds is its own."""
        runs = list(self._open.values())
        self._begin()
        for run in runs:
            run._forked()

    def _make_spool(self) -> Spool | None:
        if self.settings.offline_mode == "drop":
            return None
        return Spool(folder_of(self.settings.spool_root, self.settings.api_url, self.settings.project), self.producer)

    # -- what callers do -------------------------------------------------------------------------

    def put(self, record: bytes, events: int, step: Ledger | None = None) -> None:
        """Take one encoded record."""
        self._take(record, len(record), events, step)

    def put_later(self, event: Events, n: int, step: Ledger) -> None:
        """Take the columns of `n` events, to be encoded when they are flushed."""
        self._take(event, n * BYTES_PER_ITEM, n, step)

    def _take(self, record: bytes | Events, size: int, events: int, step: Ledger | None) -> None:
        if self._pending_bytes > BEHIND_BYTES:
            self._help()
        with self._room:
            if self._pending_bytes + size > PENDING_BYTES:
                self.losses["queue_full"] += events
                if step is not None:
                    step._lost("queue_full", events)
                return
            self._pending.append((record, size, events))
            self._pending_bytes += size
        if self._pending_bytes > BATCH_BYTES:
            self._wake.set()

    def _help(self) -> None:
        """The flusher is behind. Do a part of its work, or, where it is at it, let it have the interpreter."""
        if self._flushing.acquire(blocking=False):
            try:
                self._pack_one()
            finally:
                self._flushing.release()
        elif not self._stuck:
            with self._room:
                self._stuck = not self._room.wait_for(lambda: self._pending_bytes <= BEHIND_BYTES, PATIENCE_S)

    def opened(self, run: Run) -> None:
        """A run begins: it is shown as running from the next flush on."""
        self._open[id(run)] = run
        if self._thread is None:
            self._start()

    def ended(self, thing: Run | Ledger) -> None:
        """A run or a step has ended: its last version is made in the background."""
        self._ended.append(thing)
        if self._thread is None:
            self._start()

    def flush(self, timeout: float = 5.0) -> bool:
        """Ship all that was recorded so far; True when the server has committed it, and nothing was lost meanwhile."""
        deadline = time.monotonic() + timeout
        self.collect()
        done = self._shipper.wait(max(0.0, deadline - time.monotonic()))
        before, self._lost_before = self._lost_before, self._lost()
        return done and before == self._lost_before

    def _lost(self) -> int:
        return self._given_up + sum(self.losses.values())

    def sync_offline(self) -> dict[str, int]:
        """Send what waits here and what dead processes left for this server."""
        from dxray.sdk.offline import runs_of, sync_spool

        self.collect()
        waiting = {frame.seq: runs_of(frame) for frame in self._shipper.outstanding()}
        self._shipper.wait(SYNC_S, patient=False)
        left = {frame.seq for frame in self._shipper.outstanding()}
        failed = {run_id for seq, runs in waiting.items() if seq in left for run_id in runs}
        synced = {run_id for runs in waiting.values() for run_id in runs} - failed
        found = sync_spool(
            self.settings.spool_root,
            self.settings.api_url,
            project=self.settings.project,
            api_key=self.settings.api_key,
        )
        return {"synced": found["synced"] + len(synced), "failed": found["failed"] + len(failed)}

    def _adopt(self) -> None:
        """What dead processes left goes to the server once it is known to be there."""
        from dxray.sdk.offline import sync_spool

        with guard:
            sync_spool(
                self.settings.spool_root,
                self.settings.api_url,
                project=self.settings.project,
                api_key=self.settings.api_key,
            )

    def insist(self, timeout: float, run_id: str, masks: bool) -> None:
        """Strict mode: raises DeliveryError unless all is committed; only logs where that would mask another."""
        if self.flush(timeout):
            return
        message = (
            f"run {run_id} was not acknowledged by {self.settings.api_url} within {timeout:g} s; it waits in the spool"
        )
        if masks:
            logger.error("dxray: %s", message)
            return
        raise DeliveryError(message)

    # -- the flusher -----------------------------------------------------------------------------

    def _start(self) -> None:
        with guard:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="dxray-flusher", daemon=True)
                with context.entered(None, None):  # the thread is no part of the run that happens to start it
                    self._thread.start()

    def _work(self) -> None:
        while not self._stopping:
            self._wake.wait(FLUSH_S)
            self._wake.clear()
            with guard:
                self.collect()

    def collect(self) -> None:
        """Turn all that waits into batches, and hand them to the shipper."""
        with self._flushing:
            for thing in self._take_ended():
                with guard:
                    if self._open.get(id(thing)) is thing:
                        del self._open[id(thing)]
                        self._shipper.announce(thing)
                    if hasattr(thing, "_spill_all"):
                        thing._spill_all()
                    self._put_all(thing._records())
            for run in list(self._open.values()):
                with guard:
                    self._put_all(run._progress())
            self._pack()

    def _put_all(self, records: list[AnyRecord]) -> None:
        for record in records:
            try:
                self.put(encode(record), 0)
            except Exception:
                self.losses["not_encoded"] += 1
                raise

    def _take_ended(self) -> list[Any]:
        taken = []
        with suppress(IndexError):
            while True:
                taken.append(self._ended.popleft())
        return taken

    def _pack(self) -> None:
        now = time.monotonic()
        while self._pending:
            self._pack_one()
            self._beat_at = now
        if self._open and now - self._beat_at > HEARTBEAT_S:
            self._beat_at = now
            self._emit([], 0)

    def _pack_one(self) -> None:
        parts, size, events = [], 0, 0
        while self._pending and size < BATCH_BYTES:
            record, held, n = self._pending.popleft()
            parts.append(record if isinstance(record, bytes) else wide.encoded(record))
            size += held
            events += n
        if parts:
            self._emit(parts, events)
        with self._room:
            self._pending_bytes -= size
            self._stuck = False
            self._room.notify_all()

    def _emit(self, parts: list[bytes], events: int) -> None:
        self._seq += 1
        data = pack_batch(self.producer, self._seq, self.settings.project, parts)
        frame = Frame(seq=self._seq, segment=None, offset=0, length=len(data), events=events, data=data)
        if self._spool is not None:
            try:
                frame = self._spool.append(self._seq, data, events)
            except SpoolFull:
                self.losses["spool_full"] += events
                return
            except OSError as error:
                logger.warning("dxray cannot spool to disk (%s); it holds what it can in memory", error.strerror)
                self._spool = None
                self.mark = f"not spooled to disk ({error.strerror}): held in memory until it was sent"
        if frame.segment is None and self._memory_bytes + len(data) > MEMORY_BYTES:
            self.losses["memory_full"] += events
            return
        if self._memory_bytes + len(data) <= MEMORY_BYTES:
            frame.data = data
            self._memory_bytes += len(data)
        self._shipper.submit(frame)

    def _settled(self, frame: Frame, cause: str | None, rejected: int) -> None:
        """A batch is committed (`cause` None) but for so many rejected records, or lost for `cause`."""
        with self._flushing:
            if rejected:
                self.losses["rejected_by_server"] += rejected
            if cause is not None:
                self._given_up += 1
                self.losses[cause] += frame.events
            elif not self._adopted:
                self._adopted = True
                if self._spool is not None:
                    threading.Thread(target=self._adopt, name="dxray-adopter", daemon=True).start()
            if frame.data is not None:
                self._memory_bytes -= len(frame.data)
                frame.data = None
            if self._spool is not None:
                with guard:
                    self._spool.acknowledge(frame)

    # -- the end ---------------------------------------------------------------------------------

    def close(self, timeout: float = EXIT_S) -> None:
        """Ship what can be shipped in `timeout`; the rest stays in the spool."""
        if self._pid != os.getpid():
            return
        with guard:
            self._stopping = True
            self._wake.set()
            done = self.flush(timeout)
            self._shipper.stop()
            with self._flushing:
                if self._spool is not None and done:
                    self._spool.close()
            lost = sum(self.losses.values())
            if lost:
                logger.warning("dxray lost %d events: %s", lost, dict(self.losses))


_channels: dict[tuple[Any, ...], Channel] = {}
_channels_lock = threading.Lock()


def channel_for(settings: Settings) -> Channel:
    """The process's channel for a server, project and mode."""
    key = (settings.api_url, settings.api_key, settings.project, settings.offline_mode, settings.spool_dir)
    channel = _channels.get(key)
    if channel is None:
        with _channels_lock:
            channel = _channels.get(key) or Channel(settings)
            _channels[key] = channel
    return channel


def _close_all() -> None:
    deadline = time.monotonic() + EXIT_S
    for channel in list(_channels.values()):
        channel.close(max(0.1, deadline - time.monotonic()))


def _after_fork() -> None:
    global _channels_lock
    _channels_lock = threading.Lock()
    for channel in _channels.values():
        channel.forked()


atexit.register(_close_all)
if sys.platform != "win32":
    os.register_at_fork(after_in_child=_after_fork)
