"""One file of the spool: batches one after another, each behind a header that says how long it is and what its sum is.

The header has a sum of its own. So a damaged batch costs itself only, and after a damaged header reading goes on at
the next one that is sound.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dxray.sdk.disk import Disk

MAGIC = b"DXS1"
_HEADER = struct.Struct("<4sIQII")  # magic, length, sequence number, sum of the batch, sum of the header before it
_SUMMED = _HEADER.size - 4
NO_SPACE = 28


class Found(NamedTuple):
    """A stretch of a segment: a batch (`seq` is its number), or, where `seq` is None, bytes that are none any more."""

    offset: int
    seq: int | None
    data: bytes


def framed(seq: int, data: bytes) -> bytes:
    """A batch behind its header."""
    head = _HEADER.pack(MAGIC, len(data), seq, zlib.crc32(data), 0)[:_SUMMED]
    return head + struct.pack("<I", zlib.crc32(head)) + data


def scan(content: bytes) -> Iterator[Found]:
    """Everything in a segment, in order."""
    at = 0
    while at < len(content):
        head = _head_at(content, at)
        if head is None:
            end = _next_head(content, at + 1)
            yield Found(at, None, content[at:end])
        else:
            length, seq, crc = head
            start, end = at + _HEADER.size, at + _HEADER.size + length
            data = content[start:end]
            sound = len(data) == length and zlib.crc32(data) == crc
            yield Found(start, seq, data) if sound else Found(at, None, content[at:end])
        at = end


def _head_at(content: bytes, at: int) -> tuple[int, int, int] | None:
    """Length, number and sum of the batch behind a sound header; None where there is none."""
    if not content.startswith(MAGIC, at) or at + _HEADER.size > len(content):
        return None
    _, length, seq, crc, head_crc = _HEADER.unpack_from(content, at)
    return (length, seq, crc) if zlib.crc32(content[at : at + _SUMMED]) == head_crc else None


def _next_head(content: bytes, at: int) -> int:
    while (at := content.find(MAGIC, at)) >= 0:
        if _head_at(content, at) is not None:
            return at
        at += 1
    return len(content)


class Segment:
    """An open file of the spool, locked by whoever holds this object."""

    def __init__(self, disk: Disk, path: Path, fd: int) -> None:
        self.path = path
        self.size = disk.size(fd)
        self.changed_at = disk.changed_at(fd)  # when it was opened here
        self.waiting = 0  # batches that are neither committed nor given up
        self.closed = False  # nothing more will be appended
        self.unsynced_since: float | None = None
        self._disk = disk
        self._fd = fd

    def write(self, seq: int, data: bytes) -> tuple[int, int]:
        """Write a batch at the end; returns where it begins and ends. Raises OSError, and then the file is as it was.

        It is overwritten by the next one unless `size` says that it is there.
        """
        frame = framed(seq, data)
        offset = self.size
        # failpoint: spool.before_write
        written = self._disk.write(self._fd, frame, offset)
        if written != len(frame):
            self._disk.truncate(self._fd, offset)
            raise OSError(NO_SPACE, "the spool's disk is full")
        return offset + _HEADER.size, offset + written

    def read(self, offset: int, length: int, crc: int) -> bytes:
        """A batch's bytes. Raises OSError where they are not there as they were."""
        if self._fd < 0:
            raise OSError("the segment is gone")
        data = self._disk.read(self._fd, length, offset)
        if len(data) != length or zlib.crc32(data) != crc:
            raise OSError("the segment is not as it was")
        return data

    def content(self) -> bytes:
        """The whole file."""
        return self._disk.read(self._fd, self.size, 0)

    def sync(self) -> None:
        """What was appended survives a loss of power."""
        self._disk.sync(self._fd)
        self.unsynced_since = None
        # failpoint: spool.synced

    def acknowledge(self) -> None:
        """One batch is done with. When all are, the file gives its bytes back, or goes when it is closed."""
        self.waiting -= 1
        if self.waiting > 0 or self._fd < 0:
            return
        if self.closed:
            self.remove()
        else:
            # failpoint: spool.before_truncate
            self._disk.truncate(self._fd, 0)
            # failpoint: spool.truncated
            self.size, self.unsynced_since = 0, None

    def remove(self) -> None:
        """Unlink the file and let go of it."""
        # failpoint: spool.before_unlink
        self._disk.unlink(self.path)
        # failpoint: spool.unlinked
        self.release()

    def move(self, to: Path) -> None:
        """Put the file elsewhere and let go of it."""
        self._disk.rename(self.path, to)
        self.release()

    def release(self) -> None:
        """Let go of the file, and leave it for others to adopt."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            self._disk.close(fd)
