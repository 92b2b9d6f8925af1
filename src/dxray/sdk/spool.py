"""The spool: the SDK's queue on disk. One folder for each server and project, one open segment for each process.

A segment is a file of frames, each `magic, length, crc32, seq` and then a compressed batch. Its owner
holds an flock on it while it lives, so a segment that can be locked belongs to nobody and may be
adopted. A segment whose frames are all acknowledged is emptied, or removed when it is full.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

HEADER = struct.Struct("<2sIIQ")
MAGIC = b"X1"
SEGMENT_BYTES = 8 * 1024 * 1024
SPOOL_BYTES = 512 * 1024 * 1024


class SpoolFull(Exception):
    """The spool has reached its cap."""


@dataclass(slots=True)
class Frame:
    """One batch in the spool, and where it lies. `data` is kept while there is room in memory."""

    seq: int
    segment: Segment | None
    offset: int
    length: int
    events: int
    data: bytes | None

    def read(self) -> bytes:
        """The batch. Raises OSError when its file is gone."""
        if self.data is not None:
            return self.data
        if self.segment is None:
            raise OSError("the batch was kept in memory only, and is gone")
        return self.segment.read(self.offset, self.length)


class Segment:
    """One file of frames, locked by whoever holds this object."""

    def __init__(self, path: Path, create: bool) -> None:
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT | os.O_EXCL if create else 0)
        self.path = path
        self.fd = os.open(path, flags, 0o600)
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self.fd)
            raise
        self.size = os.fstat(self.fd).st_size
        self.waiting = 0  # frames not acknowledged yet
        self.closed = False  # nothing more will be appended

    def append(self, seq: int, data: bytes) -> int:
        """Add a frame; returns where its batch begins."""
        header = HEADER.pack(MAGIC, len(data), zlib.crc32(data), seq)
        offset = self.size
        written = os.pwrite(self.fd, header + data, offset)
        if written != len(header) + len(data):
            os.ftruncate(self.fd, offset)
            raise OSError(28, "the spool's disk is full")
        self.size = offset + written
        self.waiting += 1
        return offset + HEADER.size

    def read(self, offset: int, length: int) -> bytes:
        """A batch's bytes."""
        return os.pread(self.fd, length, offset)

    def acknowledge(self) -> None:
        """One frame has been committed. An empty segment gives its bytes back."""
        self.waiting -= 1
        if self.waiting == 0:
            if self.closed:
                self.remove()
            else:
                os.ftruncate(self.fd, 0)
                self.size = 0

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """(seq, batch) of every sound frame; a torn end is where reading stops."""
        offset = 0
        while offset + HEADER.size <= self.size:
            magic, length, crc, seq = HEADER.unpack(self.read(offset, HEADER.size))
            data = self.read(offset + HEADER.size, length)
            if magic != MAGIC or len(data) != length:
                return
            if zlib.crc32(data) == crc:
                yield seq, data
            offset += HEADER.size + length

    def remove(self) -> None:
        """Unlink the file and let go of it."""
        self.path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Let go of the file, and leave it for others to adopt."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Spool:
    """A process's part of the spool. Not thread-safe: the channel's lock is held around it."""

    def __init__(self, folder: Path, producer: str) -> None:
        self.folder = folder
        self._producer = producer
        self._number = 0
        self._open: Segment | None = None
        self._bytes = 0

    def append(self, seq: int, data: bytes, events: int) -> Frame:
        """Write one batch. Raises OSError where the disk cannot take it, SpoolFull past the cap."""
        segment = self._segment(len(data))
        before = segment.size
        offset = segment.append(seq, data)
        self._bytes += segment.size - before
        return Frame(seq=seq, segment=segment, offset=offset, length=len(data), events=events, data=None)

    def acknowledge(self, frame: Frame) -> None:
        """A batch was committed, or given up."""
        if frame.segment is None:
            return
        before = frame.segment.size
        frame.segment.acknowledge()
        if frame.segment.waiting == 0:
            self._bytes -= before

    def close(self) -> None:
        """Let go of the open segment; removes it when nothing waits in it."""
        if self._open is not None:
            self._open.closed = True
            if self._open.waiting == 0:
                self._open.remove()
            self._open = None
            with suppress(OSError):  # others may have segments there
                self.folder.rmdir()

    def _segment(self, more: int) -> Segment:
        if self._bytes + more > SPOOL_BYTES:
            raise SpoolFull(f"the spool holds {SPOOL_BYTES} bytes already")
        segment = self._open
        if segment is not None and segment.size + more > SEGMENT_BYTES and segment.size > 0:
            segment.closed = True
            segment = None
        if segment is None:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._number += 1
            segment = Segment(self.folder / f"{self._producer}-{self._number}.seg", create=True)
            self._open = segment
        return segment


def folder_of(root: Path, api_url: str, project: str) -> Path:
    """The subfolder for one server and project: a process ships only what is bound for its own."""
    host = "".join(c if c.isalnum() else "-" for c in api_url.partition("//")[2])[:40].strip("-")
    digest = hashlib.blake2b(f"{api_url}\n{project}".encode(), digest_size=5).hexdigest()
    return root / f"{host or 'server'}-{digest}"


def adopt(folder: Path) -> Iterator[Segment]:
    """The segments in a folder that no living process owns, locked by us, oldest first."""
    try:
        paths = sorted(folder.glob("*.seg"), key=lambda path: path.stat().st_mtime)
    except OSError:
        return
    for path in paths:
        try:
            segment = Segment(path, create=False)
        except OSError:  # its process lives, or another one adopted it
            continue
        segment.closed = True
        if segment.size == 0:
            segment.remove()
            continue
        yield segment
