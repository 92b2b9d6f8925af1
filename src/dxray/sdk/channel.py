"""Where records wait: one channel for each server and project in a process, shared by every `XRay`.

Callers put encoded chunks and ended runs and steps here and go on. A flusher thread turns what has
gathered into a batch every 200 ms, or sooner when much has, writes it to the spool, and shipper
threads post it. The bounds are in bytes, and whatever does not fit is counted.
"""

from __future__ import annotations

import atexit
import math
import os
import sys
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dxray.sdk import context
from dxray.sdk.chunk import encode
from dxray.sdk.guard import guard, logger
from dxray.sdk.losses import Losses, Slip
from dxray.sdk.memory import BEHIND_BYTES, WAKE_BYTES, Encoder, Memory, Pending
from dxray.sdk.outbox import Outbox
from dxray.sdk.packing import Load, Parcel, gather
from dxray.sdk.settings import Settings
from dxray.sdk.shipper import Shipper
from dxray.sdk.spool import LOOK_EVERY_S, Frame
from dxray.wire.codec import pack_batch
from dxray.wire.ids import uuid7_hex
from dxray.wire.records import AnyRecord, Events

if TYPE_CHECKING:
    from dxray.sdk.ledger import Ledger
    from dxray.sdk.run import Run

FLUSH_S = 0.2
HEARTBEAT_S = 10.0
BATCH_BYTES = 4 * 1024 * 1024  # of encoded records, before compression
FEW = 32  # runs and steps of a batch that are remembered with it; of more, the batch itself is read should it be lost
MOST_ENDED = 4_096  # runs and steps whose last version is not made yet: of more, their own thread makes it
EXIT_S = 1.5  # with the interpreter's own end, less than 2
SYNC_S = 60.0  # `sync_offline` waits so long for a server that answers


class DeliveryError(RuntimeError):
    """A run could not be delivered in time; raised only with `offline_mode="strict"`."""


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
        self._parcel: Parcel | None = None  # the batch that is being placed
        self._collecting = threading.RLock()  # one collects at a time
        self._emitting = threading.RLock()  # around the spool; held for one batch, so that answers are not kept waiting
        self._collector: int | None = None  # the thread that collects
        self._once_more = False
        self._pending = Memory()
        self._ended: deque[Run | Ledger] = deque()
        self._open: dict[int, Run] = {}
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._lost = Losses()
        self._lost_before = 0  # at the last flush
        self._beat_at = 0.0
        self._looked_at = 0.0
        self._stopping = False
        self._outbox = Outbox(self.settings, self.producer, self._emitting, self._lost)
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
        self._take(Pending(event, size, event.run_id, event.step_id, n, encoder))

    def lose(self, cause: str, n: int, run_id: str, step_id: str | None = None) -> None:
        """Count what could not be recorded."""
        self._lost.add(cause, n, run_id, step_id)

    def _take(self, one: Pending) -> None:
        if self._pid != os.getpid():  # a server may fork behind Python's hooks
            self.forked()
        collects = threading.get_ident() == self._collector  # and packs at once what it turns up itself
        if self._pending.bytes > BEHIND_BYTES and not collects:
            self._wake.set()
            self._pending.pause(one.size)
        if not self._pending.put(one, whatever=collects):
            self._lost.add("queue_full", max(1, one.events), one.run_id, one.step_id)
        if self._pending.bytes > WAKE_BYTES:
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
        if len(self._ended) > MOST_ENDED:  # each holds rows, and nobody counts them
            self._finish_next()

    def flush(self, timeout: float = 5.0) -> bool:
        """Ship all that was recorded so far; True when the server has committed it, and nothing was lost meanwhile."""
        deadline = time.monotonic() + timeout
        self.collect(all_losses=True, until=deadline)
        done = time.monotonic() < deadline and self._shipper.wait(max(0.0, deadline - time.monotonic()))
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

    def collect(self, all_losses: bool = False, until: float = math.inf) -> None:
        """Turn what waits now into batches, until then; tell of `all_losses` also where nothing else is to be sent."""
        with self._collecting:
            if self._collector is not None:  # a signal's handler came in between: what is at work will do it
                self._once_more = True
                return
            try:
                self._collector, self._once_more = threading.get_ident(), True
                while self._once_more:
                    self._once_more = False
                    self._collect(all_losses, until)
            finally:
                self._collector = None

    def _collect(self, all_losses: bool, until: float) -> None:
        self._place()  # what somebody interrupted
        # So many and no more: a pipeline may record faster than this, and would never let it end.
        for _ in range(len(self._ended)):
            self._finish_next()
            self._pack_down_to(BATCH_BYTES, until)
        for run in list(self._open.values()):
            with guard:
                self._put_all(run._progress())
        self._pack_down_to(0, until)
        self._beat(all_losses)

    def _pack_down_to(self, size: int, until: float) -> None:
        left = len(self._pending)
        while left > 0 and self._pending and self._pending.bytes > size and not self._is_over(until):
            left -= self._pack_one(until)

    def _is_over(self, until: float) -> bool:
        """Whether the time is up, or the process ends and who ends it waits to collect."""
        return time.monotonic() > until or (self._stopping and threading.current_thread() is self._thread)

    def _finish_next(self) -> None:
        try:
            thing = self._ended.popleft()
        except IndexError:  # another thread has taken it
            return
        try:
            self._finish(thing)
        except BaseException:  # somebody interrupts: its last version is made once more, and the later one counts
            self._ended.appendleft(thing)
            raise

    def _finish(self, thing: Any) -> None:
        """The last rows and the last version of a run or step that has ended."""
        with guard:
            if self._open.get(id(thing)) is thing:
                del self._open[id(thing)]
                self._shipper.announce(thing)
        with guard:
            if hasattr(thing, "_spill_all"):
                thing._spill_all()
        with guard:
            self._put_all(thing._records())

    def _put_all(self, records: list[AnyRecord]) -> None:
        for record in records:
            step_id = getattr(record, "step_id", None)
            try:
                self.put(encode(record), 0, record.run_id, step_id)
            except Exception as error:
                guard.caught(error)
                self._lost.add("not_encoded", 1, record.run_id, step_id)

    def _pack_one(self, until: float) -> int:
        """One batch of what waits, and how much less waits then."""
        load = gather(self._pending.waiting(), BATCH_BYTES, lambda: self._is_over(until))
        self._emit(load)
        return load.n - len(load.rest)

    def _beat(self, all_losses: bool) -> None:
        """Tell the server that the runs here are alive, and what was lost, where nothing else was sent."""
        due = time.monotonic() - self._beat_at > HEARTBEAT_S
        if ((all_losses or due) and self._lost.untold()) or (due and self._open and not self._shipper.is_away):
            self._emit(Load())

    def _emit(self, load: Load) -> None:
        """Make a batch of what was gathered and of what was lost meanwhile, and see it on its way."""
        self._beat_at = time.monotonic()
        told = [*self._lost.untold(), *load.lost]
        seq = self._seq + 1
        records = [*(record for record, _ in load.parts), *map(encode, told)]
        data = pack_batch(self.producer, seq, self.settings.project, records)
        held = load.held(told)
        frame = Frame(seq, len(data), held=held if len(held) <= FEW else None, losses=tuple(told))
        parcel = Parcel(frame, data, load.n, load.rest, Slip(load.lost, told=told))
        # failpoint: channel.packed
        # Until here nothing has changed; from here on the batch is finished, whoever interrupts.
        self._parcel, self._seq = parcel, seq
        self._place()

    def _place(self) -> None:
        """The batch that is made goes into the spool and on its way, and what it holds waits no more.

        All of it can be done again: where somebody interrupts, the next one to collect goes on with it.
        """
        parcel = self._parcel
        if parcel is None:
            return
        frame, data = parcel.frame, parcel.data
        with self._emitting:
            if parcel.kept is None:
                parcel.kept = self._outbox.keep(frame, data)
            # failpoint: spool.appended
            if parcel.kept:
                self._shipper.submit(frame)
            self._pending.placed(frame.seq, parcel.n, parcel.rest)
            self._lost.settle(parcel.slip)
            self._parcel = None

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
            if self._collecting.acquire(timeout=timeout):  # else the disk does not answer
                try:
                    self.collect(all_losses=True, until=deadline)
                finally:
                    self._collecting.release()
            for one in self._pending.clear():
                self._lost.add("memory_at_exit", max(1, one.events), one.run_id, one.step_id)
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
