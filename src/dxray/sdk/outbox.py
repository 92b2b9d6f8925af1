"""Batches until they are committed: in the spool where there is one, else in memory. What is given up is counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dxray.sdk.contents import contents, runs_in
from dxray.sdk.guard import guard, logger
from dxray.sdk.losses import Losses, Slip
from dxray.sdk.settings import Settings
from dxray.sdk.spool import Frame, Spool, SpoolFull, folder_of
from dxray.wire.ids import uuid7_hex
from dxray.wire.records import Loss

if TYPE_CHECKING:
    from dxray.sdk.deliver import Delivery
    from dxray.sdk.segment import Segment

HELD_BYTES = 4 * 1024 * 1024  # of batches that are in the spool too: the server is seldom that far behind
MEMORY_BYTES = 32 * 1024 * 1024  # of batches that are in memory only
SPOOL_AGAIN_S = 5.0  # a disk that was full is tried again after that


@dataclass(slots=True, eq=False)
class Leaving:
    """A segment that gives way to new batches, and those of its own that nobody else has any more."""

    segment: Segment
    is_read: bool  # else a dead process's, that nobody has looked into
    frames: list[Frame] = field(default_factory=list)
    damaged: Slip = field(default_factory=Slip)


class Outbox:
    """Where a channel's batches lie. `lock` is the channel's, around all that is done here."""

    def __init__(self, settings: Settings, producer: str, lock: threading.RLock, losses: Losses) -> None:
        self.given_up = 0  # batches, which may hold no event
        self.mark: str | None = None
        # Takes a segment's batches from the shipper, into a list.
        self.withdraw: Callable[[Segment, list[Frame]], None] = lambda segment, into: None
        self._lock = lock
        self._losses = losses
        self._leaving: Leaving | None = None
        self._held_bytes = 0
        self._memory_bytes = 0
        self._spool_again_at = 0.0
        self._spool = self._make_spool(settings, producer)

    def _make_spool(self, settings: Settings, producer: str) -> Spool | None:
        if settings.offline_mode == "drop":
            return None
        try:
            folder = folder_of(settings.spool_root, settings.api_url, settings.project)
        except (RuntimeError, ValueError) as error:  # no home; a path that cannot be
            self._without_disk(str(error))
            return None
        return Spool(folder, producer, cap=settings.spool_bytes)

    # -- what comes in ---------------------------------------------------------------------------

    def keep(self, frame: Frame, data: bytes) -> bool:
        """Put a batch where it can wait; False where there is no such place, and it is lost.

        One that nobody sends yet may be put again, where somebody has interrupted this: it is kept and counted once.
        """
        full = False
        if frame.segment is None and frame.data is None and frame.slip is None:
            full = self._spool_frame(frame, data)
        size = len(data)
        if frame.segment is not None:
            if frame.data is None and self._held_bytes + size <= HELD_BYTES:
                frame.data, self._held_bytes = data, self._held_bytes + size
            return True
        if frame.slip is None:
            if frame.data is None:
                frame.data, self._memory_bytes = data, self._memory_bytes + size
            if self._memory_bytes <= MEMORY_BYTES:
                return True
        self._lose_frame(frame, "spool_full" if full else "memory_full")
        self._free(frame)
        return False

    def _spool_frame(self, frame: Frame, data: bytes) -> bool:
        """Write a batch to disk, if there is one that takes it. Whether the spool is full."""
        if self._spool is None or time.monotonic() < self._spool_again_at:
            return False
        try:
            self._finish_dropping()
            while not self._spool.has_room(len(data)) and self._drop_oldest():
                pass
            self._spool.append(frame, data)
        except SpoolFull:
            return True
        except Exception as error:  # of the disk, nearly always
            self._spool_again_at = time.monotonic() + SPOOL_AGAIN_S
            self._without_disk(getattr(error, "strerror", None) or type(error).__name__)
        return False

    def _without_disk(self, why: str) -> None:
        if self.mark is None:
            logger.warning("dxray cannot spool to disk (%s); it holds what it can in memory", why)
            self.mark = f"not spooled to disk ({why}): held in memory until it was sent"

    def _drop_oldest(self) -> bool:
        """Make room: the oldest segment goes, and what was in it is counted."""
        spool = self._spool
        segment = spool.oldest() if spool is not None else None
        if spool is None or segment is None:
            return False
        self._leaving = Leaving(segment, is_read=segment.waiting > 0)
        self._finish_dropping()
        return True

    def _finish_dropping(self) -> None:
        """Count what is in the segment that gives way, and remove it.

        All of it can be done again: where somebody interrupts, the next call goes on with it.
        """
        spool, leaving = self._spool, self._leaving
        if spool is None or leaving is None:
            return
        self.withdraw(leaving.segment, leaving.frames)
        if not leaving.is_read:
            try:
                frames, damaged = spool.frames_of(leaving.segment)
            except OSError:
                frames, damaged = [], [b""]
            slip = Slip([Loss(run_id="", cause="damaged", n=len(damaged))] if damaged else ())
            leaving.frames, leaving.damaged, leaving.is_read = frames, slip, True
        for frame in leaving.frames:
            self._lose_frame(frame, "spool_full")
            self._free(frame)
        self._losses.settle(leaving.damaged)
        try:
            spool.drop(leaving.segment)
        except OSError:  # what it held is counted; another segment may give way
            self._leaving = None
            raise
        self._leaving = None

    def sync(self) -> None:
        """See to it that what waits for long survives a loss of power."""
        with self._lock, suppress(OSError):
            if self._spool is not None:
                self._spool.sync(time.monotonic())

    # -- what became of batches --------------------------------------------------------------------

    def settle(self, frame: Frame, delivery: Delivery) -> None:
        """A batch is committed but for what `delivery` names, or, in drop mode, given up."""
        with self._lock:
            for held in delivery.rejected:
                self._losses.add("rejected_by_server", len(held.ops) or 1, held.run_id, held.step_id)
            if delivery.fate.name == "RETRY":
                for part in delivery.left:
                    self._lose_data(part, "server_away")
            for data, said in delivery.refused:
                self._refused(frame, data, said)
            self._free(frame)
            if self._spool is not None:
                with guard:
                    self._spool.acknowledge(frame)

    def _refused(self, frame: Frame, data: bytes, said: str) -> None:
        if self._spool is not None and data:
            self._spool.quarantine(data, f"refused {said}", uuid7_hex())
        if data:
            self._lose_data(data, "refused")
        else:
            self._lose_frame(frame, "spool_gone")

    def _free(self, frame: Frame) -> None:
        if frame.data is not None:
            size = len(frame.data)
            if frame.segment is not None:
                frame.data, self._held_bytes = None, self._held_bytes - size
            else:
                frame.data, self._memory_bytes = None, self._memory_bytes - size

    def _lose_frame(self, frame: Frame, cause: str) -> None:
        """A batch is lost, which counts once."""
        if frame.slip is None:
            frame.slip = self._slip_of(frame, cause)
            self.given_up += 1
        self._losses.settle(frame.slip)

    def _slip_of(self, frame: Frame, cause: str) -> Slip:
        """What a batch held. Of one that holds very much, or that a dead process left, only its bytes are known."""
        if frame.delivery is not None:  # divided, and some of it is committed
            return _slip_of(frame.delivery.left, cause)
        if frame.held is not None:
            lost = [Loss(run_id=run_id, step_id=step_id, cause=cause, n=n) for run_id, step_id, n in frame.held if n]
            return Slip(lost, again=frame.losses)
        try:
            return _slip_of([frame.read()], cause)
        except OSError:
            return Slip([Loss(run_id="", cause=cause, n=1)], again=frame.losses)

    def _lose_data(self, data: bytes, cause: str) -> None:
        """A batch of which nothing but its bytes is known is lost."""
        self.given_up += 1
        self._losses.settle(_slip_of([data], cause))

    def adopt(self) -> list[Frame]:
        """The batches of the next segment that a dead process left."""
        with self._lock:
            while self._spool is not None and (segment := self._spool.adopt()) is not None:
                frames, damaged = self._spool.frames_of(segment)
                for data in damaged:
                    self._losses.add("damaged", 1)
                    self._spool.quarantine(data, "damaged", uuid7_hex())
                if self._spool.is_too_old(segment):
                    for frame in frames:
                        self._lose_data(frame.read(), "expired_in_spool")
                        self._spool.quarantine(frame.read(), "expired", uuid7_hex())
                    frames = []
                if frames:
                    return frames
                self._spool.drop(segment)
        return []

    # -- the end ---------------------------------------------------------------------------------

    def runs_of(self, frame: Frame) -> set[str]:
        """The runs that a batch says something of."""
        if frame.held is not None:
            return {run_id for run_id, _, _ in frame.held if run_id}
        with suppress(OSError):
            return runs_in(frame.read())
        return set()

    def close(self, outstanding: Iterable[Frame]) -> None:
        """Leave what is in the spool to the next process; what is in memory only is lost."""
        with self._lock:
            with guard:
                self._finish_dropping()
            for frame in outstanding:
                if frame.segment is None:
                    self._lose_frame(frame, "memory_at_exit")
            if self._spool is not None:
                self._spool.close()

    def abandon(self) -> None:
        """In a forked child: the files are the parent's."""
        if self._leaving is not None:
            self._leaving.segment.release()
        if self._spool is not None:
            self._spool.abandon()


def _slip_of(parts: Iterable[bytes], cause: str) -> Slip:
    """What packed batches held, to be counted as lost."""
    lost: list[Loss] = []
    again: list[Loss] = []
    for data in parts:
        held = contents(data)
        if held is None:
            lost.append(Loss(run_id="", cause="damaged", n=1))
        for one in held or ():
            if one.loss is not None:
                again.append(one.loss)
            elif one.ops:
                lost.append(Loss(run_id=one.run_id, step_id=one.step_id, cause=cause, n=len(one.ops)))
    return Slip(lost, again)
