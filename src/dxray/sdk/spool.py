"""The spool: the SDK's queue on disk. One folder for each server and project, one open segment for each process.

A segment is locked by its process while that lives, so one that can be locked belongs to nobody, and may be adopted.
What is damaged, refused or too old goes to the folder `quarantine`, to be looked at.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

from dxray.sdk.disk import Disk
from dxray.sdk.losses import Slip
from dxray.sdk.segment import Segment, framed, scan
from dxray.wire.records import Loss

if TYPE_CHECKING:
    from dxray.sdk.deliver import Delivery

SEGMENT_BYTES = 8 * 1024 * 1024
SYNC_AFTER_S = 1.0  # a server that takes a batch within that time saves the disk the work
TOO_OLD_S = 60 * 86_400.0  # the server remembers for 90 days what it has
LOOK_EVERY_S = 30.0
UNBORN_S = 60.0  # a process that takes longer to name its new file is dead
QUARANTINE_BYTES = 64 * 1024 * 1024


class SpoolFull(Exception):
    """The spool has reached its cap, and holds nothing that could make room."""


@dataclass(slots=True, eq=False)
class Frame:
    """One batch on its way, and where it lies. `data` is kept while there is room in memory."""

    seq: int
    length: int
    held: tuple[tuple[str, str | None, int], ...] | None = None  # run, step and number of events, where they are few
    losses: tuple[Loss, ...] = ()  # that it tells of
    segment: Segment | None = None
    offset: int = 0
    crc: int = 0
    data: bytes | None = None
    delivery: Delivery | None = None  # of one that is too large, and sent in parts
    taken: bool = False  # a thread has begun to send it
    slip: Slip | None = None  # of its loss

    def read(self) -> bytes:
        """The batch. Raises OSError when its file is gone."""
        if self.data is not None:
            return self.data
        if self.segment is None:
            raise OSError("the batch was kept in memory only, and is gone")
        return self.segment.read(self.offset, self.length, self.crc)


class Spool:
    """A process's part of the spool. Not thread-safe: the channel holds a lock around it."""

    def __init__(self, folder: Path, producer: str, *, cap: int, disk: Disk | None = None) -> None:
        self.folder = folder
        self.quarantine_folder = folder / "quarantine"
        self._producer = producer
        self._cap = cap
        self._disk = disk or Disk()
        self._number = 0
        self._open: Segment | None = None
        self._closed: deque[Segment] = deque()  # oldest first, with batches that wait
        self._left: deque[Path] = deque()  # by others, oldest first; perhaps by dead ones
        self._left_bytes = 0
        self._looked_at = -LOOK_EVERY_S

    # -- what is appended ------------------------------------------------------------------------

    def append(self, frame: Frame, data: bytes) -> None:
        """Write a batch. Raises OSError where the disk cannot take it, SpoolFull past the cap."""
        if not self.has_room(len(data)):
            raise SpoolFull(f"the spool holds {self.held_bytes()} bytes already")
        segment = self._segment(len(data))
        frame.crc = crc32(data)
        frame.offset, end = segment.write(frame.seq, data)
        if segment.unsynced_since is None:
            segment.unsynced_since = time.monotonic()
        # In one line: no interrupt comes between, and what it comes before is written once more, to the same place.
        frame.segment, segment.size, segment.waiting = segment, end, segment.waiting + 1

    def has_room(self, more: int) -> bool:
        """Whether a batch of so many bytes fits under the cap."""
        return self.held_bytes() + more <= self._cap

    def held_bytes(self) -> int:
        """Of all segments in the folder, as far as they are known."""
        own = sum(segment.size for segment in self._closed) + (self._open.size if self._open else 0)
        return own + self._left_bytes

    def acknowledge(self, frame: Frame) -> None:
        """A batch is done with."""
        segment = frame.segment
        if segment is None:
            return
        frame.segment = None
        segment.acknowledge()
        if segment.waiting <= 0 and segment in self._closed:
            self._closed.remove(segment)

    def sync(self, now: float) -> None:
        """See to it that what has waited for a while survives a loss of power."""
        for segment in (*self._closed, *((self._open,) if self._open else ())):
            if segment.unsynced_since is not None and now - segment.unsynced_since >= SYNC_AFTER_S:
                with suppress(OSError):  # it is tried again
                    segment.sync()

    def _segment(self, more: int) -> Segment:
        if self._open is not None and self._open.size and self._open.size + more > SEGMENT_BYTES:
            self._close_open()
        if self._open is None:
            self._disk.make_folder(self.folder.parent)
            self._disk.make_folder(self.folder)
            self._number += 1
            path = self.folder / f"{self._producer}-{self._number}.seg"
            self._open = Segment(self._disk, path, self._disk.create(path))
            # failpoint: spool.segment_opened
        return self._open

    def _close_open(self) -> None:
        segment = self._open
        if segment is None:
            return
        segment.closed = True
        # failpoint: spool.segment_closed
        if segment.waiting:
            closed = deque((*self._closed, segment))
            self._closed, self._open = closed, None  # in one line: no interrupt comes between
        else:
            self._open = None
            segment.remove()

    # -- what gives way --------------------------------------------------------------------------

    def oldest(self) -> Segment | None:
        """The oldest segment that may be dropped for room: a dead process's, else one of our own."""
        for segment in self._adoptable():
            return segment
        if not self._closed:
            self._close_open()
        return self._closed[0] if self._closed else None

    def drop(self, segment: Segment) -> None:
        """Remove a segment with all that is in it."""
        if segment in self._closed:
            self._closed.remove(segment)
        segment.remove()

    # -- what dead processes left ----------------------------------------------------------------

    def adopt(self) -> Segment | None:
        """The oldest segment that no living process holds, now ours."""
        for segment in self._adoptable():
            segment.closed = True
            self._closed.append(segment)
            # failpoint: spool.adopted
            return segment
        return None

    def frames_of(self, segment: Segment) -> tuple[list[Frame], list[bytes]]:
        """The batches of an adopted segment, all waiting, and the damaged stretches between them."""
        frames: list[Frame] = []
        damaged: list[bytes] = []
        for found in scan(segment.content()):
            if found.seq is None:
                damaged.append(found.data)
                continue
            crc = crc32(found.data)
            one = Frame(seq=found.seq, length=len(found.data), segment=segment, offset=found.offset, crc=crc)
            frames.append(one)
        segment.waiting = len(frames)
        return frames, damaged

    def is_too_old(self, segment: Segment) -> bool:
        """Whether the server may have forgotten what it has of a segment."""
        return time.time() - segment.changed_at > TOO_OLD_S

    def quarantine(self, data: bytes, why: str, name: str) -> None:
        """Keep bytes that cannot be delivered where a person can look at them."""
        with suppress(OSError):  # they are counted, wherever they are
            self._disk.make_folder(self.quarantine_folder)
            entries = sorted(self._disk.entries(self.quarantine_folder), key=lambda entry: entry.changed_at)
            total = sum(entry.size for entry in entries) + len(data)
            while entries and total > QUARANTINE_BYTES:
                oldest = entries.pop(0)
                self._disk.unlink(self.quarantine_folder / oldest.name)
                total -= oldest.size
            shown = "".join(c if c.isalnum() else "-" for c in why)[:60]
            fd = self._disk.create(self.quarantine_folder / f"{name}.{shown}.bad")
            try:
                self._disk.write(fd, framed(0, data), 0)
                # failpoint: spool.quarantined
            finally:
                self._disk.close(fd)

    def _adoptable(self) -> Iterator[Segment]:
        now = time.monotonic()
        if not self._left and now - self._looked_at >= LOOK_EVERY_S:
            self.look()
        while self._left:
            path = self._left.popleft()
            try:
                segment = Segment(self._disk, path, self._disk.open(path))
            except OSError:  # its process lives, or another one adopted it
                continue
            self._left_bytes -= min(segment.size, self._left_bytes)
            if segment.size == 0:
                segment.remove()
                continue
            yield segment

    @property
    def left(self) -> int:
        """How many segments of others have not been looked into."""
        return len(self._left)

    def look(self) -> None:
        """See what is in the folder."""
        self._looked_at = time.monotonic()
        own = {segment.path.name for segment in self._closed}
        if self._open is not None:
            own.add(self._open.path.name)
        found = []
        with suppress(OSError):
            there = list(self._disk.entries(self.folder))
            found = [entry for entry in there if entry.name.endswith(".seg") and entry.name not in own]
            for entry in there:
                if entry.name.endswith(".new") and time.time() - entry.changed_at > UNBORN_S:
                    self._disk.unlink(self.folder / entry.name)
        found.sort(key=lambda entry: entry.changed_at)
        self._left = deque(self.folder / entry.name for entry in found)
        self._left_bytes = sum(entry.size for entry in found)

    # -- the end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of all segments; those in which nothing waits are removed."""
        self._close_open()
        self.abandon()
        with suppress(OSError):  # others may have segments there
            self._disk.remove_folder(self.folder)

    def abandon(self) -> None:
        """Let go of all segments as they are: in a forked child they are its parent's."""
        for segment in (*self._closed, *((self._open,) if self._open else ())):
            segment.release()
        self._closed.clear()
        self._open = None


def folder_of(root: Path, api_url: str, project: str) -> Path:
    """The subfolder for one server and project: a process ships only what is bound for its own."""
    api_url = api_url.replace("://localhost", "://127.0.0.1", 1)  # two names of one machine
    host = "".join(c if c.isalnum() else "-" for c in api_url.partition("//")[2])[:40].strip("-")
    digest = hashlib.blake2b(f"{api_url}\n{project}".encode("utf-8", "replace"), digest_size=5).hexdigest()
    return root / f"{host or 'server'}-{digest}"
