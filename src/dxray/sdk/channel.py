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
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from dxray.sdk import context
from dxray.sdk.chunk import encode
from dxray.sdk.guard import guard, logger
from dxray.sdk.losses import Losses
from dxray.sdk.outbox import Outbox
from dxray.sdk.settings import Settings
from dxray.sdk.shipper import Shipper
from dxray.sdk.spool import LOOK_EVERY_S, Frame
from dxray.sdk.values import is_cut
from dxray.wire.codec import pack_batch
from dxray.wire.ids import uuid7_hex
from dxray.wire.records import AnyRecord, Events, Loss

if TYPE_CHECKING:
    from dxray.sdk.ledger import Ledger
    from dxray.sdk.run import Run

FLUSH_S = 0.2
HEARTBEAT_S = 10.0
BATCH_BYTES = 4 * 1024 * 1024  # of encoded records, before compression
WAKE_BYTES = 16 * 1024 * 1024  # of memory that waits to be flushed: more, and it is flushed at once
BEHIND_BYTES = 32 * 1024 * 1024  # and from here on a chunk of a caller's waits a moment
PENDING_BYTES = 64 * 1024 * 1024  # and from here on what comes is lost
YIELD_S = 0.005  # the interpreter's own switch interval
FEW = 32  # runs and steps of a batch that are remembered with it; of more, the batch itself is read should it be lost
EXIT_S = 1.7  # with the interpreter's own end, less than 2
SYNC_S = 60.0  # `sync_offline` waits so long for a server that answers


class DeliveryError(RuntimeError):
    """A run could not be delivered in time; raised only with `offline_mode="strict"`."""


Encoder = Callable[[Events], list[tuple[bytes, int]]]  # records, each with its number of events


class Pending(NamedTuple):
    """A record that waits to be flushed, and what matters of it should it be lost."""

    record: bytes | Events
    size: int  # about; of what is not encoded yet, in memory
    run_id: str
    step_id: str | None = None
    events: int = 0
    loss: Loss | None = None
    encoder: Encoder | None = None


class Channel:
    """The way from a process to one server and project."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._begin()

    def _begin(self) -> None:
        """A fresh start: at first use, and in a forked child, which owns nothing of its parent's."""
        self._pid = os.getpid()
        self.producer = uuid7_hex()
        self._seq = 0
        self._room = threading.Condition()  # pending bytes
        self._flushing = threading.RLock()  # one flush at a time; around the spool too
        self._collector: int | None = None  # the thread that collects
        self._once_more = False
        self._pending: deque[Pending] = deque()
        self._pending_bytes = 0
        self._ended: deque[Run | Ledger] = deque()
        self._open: dict[int, Run] = {}
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._lost = Losses()
        self._lost_before = 0  # at the last flush
        self._beat_at = 0.0
        self._looked_at = 0.0
        self._stopping = False
        self._outbox = Outbox(self.settings, self.producer, self._flushing, self._lost)
        self._shipper = Shipper(self.settings, self._outbox.settle, self._outbox.adopt)
        self._outbox.withdraw = self._shipper.withdraw

    def forked(self) -> None:
        """In a forked child: open runs belong to the parent, and what the child adds is its own."""
        runs = list(self._open.values())
        self._outbox.abandon()
        self._begin()
        for run in runs:
            run._forked()

    @property
    def mark(self) -> str | None:
        """What every run from now on should say of its delivery."""
        return self._outbox.mark

    @property
    def losses(self) -> Counter[str]:
        """What was lost in this process so far, by cause."""
        return self._lost.total

    # -- what callers do -------------------------------------------------------------------------

    def put(self, record: bytes, events: int, run_id: str, step_id: str | None = None) -> None:
        """Take one encoded record."""
        self._take(Pending(record, len(record), run_id, step_id, events))

    def put_later(self, event: Events, encoder: Encoder, n: int, size: int) -> None:
        """Take the columns of `n` events, about `size` bytes, to be encoded by `encoder` when they are flushed."""
        self._take(Pending(event, size, event.run_id, event.step_id, n, None, encoder))

    def lose(self, cause: str, n: int, run_id: str, step_id: str | None = None) -> None:
        """Count what could not be recorded; the run says so."""
        self._lost.add(cause, n, run_id, step_id)

    def _take(self, one: Pending) -> None:
        if self._pid != os.getpid():  # a server may fork behind Python's hooks
            self.forked()
        if self._pending_bytes > BEHIND_BYTES and threading.get_ident() != self._collector:
            self._wake.set()
            with self._room:
                self._room.wait(YIELD_S)  # the flusher needs the interpreter more than the caller does
        with self._room:
            if self._pending_bytes + one.size > PENDING_BYTES:
                self._lost.add("queue_full", one.events, one.run_id, one.step_id)
                return
            self._pending.append(one)
            self._pending_bytes += one.size
        if self._pending_bytes > WAKE_BYTES:
            self._wake.set()

    def opened(self, run: Run) -> None:
        """A run begins: it is shown as running from the next flush on."""
        if self._pid != os.getpid():
            self.forked()
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
        self.collect(all_losses=True)
        done = self._shipper.wait(max(0.0, deadline - time.monotonic()))
        before, self._lost_before = self._lost_before, self._outbox.given_up + self._lost.events()
        return done and before == self._lost_before

    def sync_offline(self) -> dict[str, Any]:
        """Send what waits here and what dead processes left for this server."""
        from dxray.sdk.offline import sync_spool

        self.collect(all_losses=True)
        waiting = {frame: self._outbox.runs_of(frame) for frame in self._shipper.outstanding()}
        self._shipper.wait(SYNC_S, patient=False)
        left = set(self._shipper.outstanding())
        failed = {run_id for frame, runs in waiting.items() if frame in left for run_id in runs}
        synced = {run_id for runs in waiting.values() for run_id in runs} - failed
        settings = self.settings
        found = sync_spool(settings.spool_root, settings.api_url, project=settings.project, api_key=settings.api_key)
        return {**found, "synced": found["synced"] + len(synced), "failed": found["failed"] + len(failed)}

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
            thread = threading.Thread(target=self._work, name="dxray-flusher", daemon=True)
            with context.entered(None, None):  # the thread is no part of the run that happens to start it
                thread.start()
            self._thread = thread

    def _work(self) -> None:
        while not self._stopping:
            self._wake.wait(FLUSH_S)
            self._wake.clear()
            with guard:
                self.collect()
                self._outbox.sync()
                if time.monotonic() - self._looked_at > LOOK_EVERY_S:
                    self._looked_at = time.monotonic()
                    self._shipper.look_for_more()

    def collect(self, all_losses: bool = False) -> None:
        """Turn all that waits into batches, and hand them to the shipper.

        `all_losses`: tell of losses also where there is nothing else to send.
        """
        with self._flushing:
            if self._collector is not None:  # a signal's handler came in between: what is at work will do it
                self._once_more = True
                return
            self._collector, self._once_more = threading.get_ident(), True
            try:
                while self._once_more:
                    self._once_more = False
                    self._collect(all_losses)
            finally:
                self._collector = None

    def _collect(self, all_losses: bool) -> None:
        for thing in self._take_ended():
            with guard:
                if self._open.get(id(thing)) is thing:
                    del self._open[id(thing)]
                    self._shipper.announce(thing)
            with guard:
                if hasattr(thing, "_spill_all"):
                    thing._spill_all()
            with guard:
                self._put_all(thing._records())
            while self._pending_bytes > BATCH_BYTES:
                self._pack_one()
        for run in list(self._open.values()):
            with guard:
                self._put_all(run._progress())
            while self._pending_bytes > BATCH_BYTES:
                self._pack_one()
        while self._pending:
            self._pack_one()
        self._beat(all_losses)

    def _put_all(self, records: list[AnyRecord]) -> None:
        for record in records:
            step_id = getattr(record, "step_id", None)
            try:
                self.put(encode(record), 0, record.run_id, step_id)
            except Exception as error:
                guard.caught(error)
                self._lost.add("not_encoded", 1, record.run_id, step_id)

    def _take_ended(self) -> list[Any]:
        taken = []
        with suppress(IndexError):
            while True:
                taken.append(self._ended.popleft())
        return taken

    def _pack_one(self) -> None:
        """One batch of what waits, and of what was lost meanwhile."""
        parts: list[tuple[bytes, Pending]] = []
        size = 0
        while self._pending and size < BATCH_BYTES:
            one = self._pending.popleft()
            try:
                encoded = self._encoded(one)
                size += sum(len(record) for record, _ in encoded)
                parts += encoded
            except Exception as error:
                guard.caught(error)
                self._lost.add("not_encoded", one.events, one.run_id, one.step_id)
            with self._room:
                self._pending_bytes -= one.size
                self._room.notify_all()
        if parts:
            self._emit([*parts, *self._untold()])

    def _encoded(self, one: Pending) -> list[tuple[bytes, Pending]]:
        event = one.record
        if isinstance(event, bytes):
            return [(event, one)]
        assert one.encoder is not None  # `put_later` was given it
        records = one.encoder(event)
        self._lost.add("truncated", sum(map(is_cut, event.marks.values())), one.run_id, one.step_id)
        return [(record, one._replace(record=b"", events=n)) for record, n in records]

    def _untold(self) -> list[tuple[bytes, Pending]]:
        losses = self._lost.take()
        return [(encode(loss), Pending(b"", 0, loss.run_id, loss.step_id, 0, loss)) for loss in losses]

    def _beat(self, all_losses: bool) -> None:
        """Tell the server that the runs here are alive, and what was lost, where nothing else was sent."""
        now = time.monotonic()
        due = now - self._beat_at > HEARTBEAT_S
        if (all_losses or due) and (untold := self._untold()):
            self._emit(untold)
        elif due and self._open and not self._shipper.is_away:
            self._emit([])

    def _emit(self, parts: list[tuple[bytes, Pending]]) -> None:
        """Make a batch of records, and put it into the spool and on its way."""
        self._beat_at = time.monotonic()
        self._seq = seq = self._seq + 1
        data = pack_batch(self.producer, seq, self.settings.project, [record for record, _ in parts])
        held: Counter[tuple[str, str | None]] = Counter()
        for _, one in parts:
            held[one.run_id, one.step_id] += one.events
        frame = Frame(
            seq=seq,
            length=len(data),
            held=tuple((*key, n) for key, n in held.items()) if len(held) <= FEW else None,
            losses=tuple(one.loss for _, one in parts if one.loss is not None),
        )
        # failpoint: channel.packed
        kept = self._outbox.keep(frame, data)
        # failpoint: spool.appended
        if kept:
            self._shipper.submit(frame)

    # -- the end ---------------------------------------------------------------------------------

    def close(self, timeout: float = EXIT_S) -> None:
        """Ship what can be shipped in `timeout`; the rest stays in the spool."""
        if self._pid != os.getpid():
            return
        with guard:
            # failpoint: exit.begun
            deadline = time.monotonic() + timeout
            self._stopping = True
            self._wake.set()
            if not self._flushing.acquire(timeout=timeout):
                return  # the disk does not answer: what the flusher holds is lost
            try:
                self.collect(all_losses=True)
            finally:
                self._flushing.release()
            # failpoint: exit.collected
            self._shipper.finish(max(0.0, deadline - time.monotonic()))
            self._outbox.close(self._shipper.outstanding())
            if self._lost.events():
                logger.warning("dxray lost %d events: %s", self._lost.events(), dict(self.losses))


_channels: dict[tuple[Any, ...], Channel] = {}
_channels_lock = threading.Lock()


def channel_for(settings: Settings) -> Channel:
    """The process's channel for a server, project and mode."""
    key = (
        settings.api_url,
        settings.api_key,
        settings.project,
        settings.offline_mode,
        settings.spool_dir,
        settings.spool_bytes,
    )
    channel = _channels.get(key)
    if channel is None:
        with _channels_lock:
            channel = _channels.get(key) or Channel(settings)
            _channels[key] = channel
    return channel


def _close_all() -> None:
    deadline = time.monotonic() + EXIT_S
    with suppress(KeyboardInterrupt):  # somebody cannot wait: what is spooled is sent by another process
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
