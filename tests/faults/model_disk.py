"""A disk in memory: what a process sees of a file, and what a loss of power would leave of it.

Writes go to the file and to a list of what is not written back. A crash takes each of them sector by sector, in any
order, so that every mixture of old, new and zero sectors can be found afterwards. A file that was synced keeps its
name, as on ext4, XFS and btrfs; one that was not may be gone, and one that was removed may be back.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from dxray.sdk.disk import Disk, Entry

SECTOR = 512
PLENTY = 1 << 40


class Killed(BaseException):
    """The process is dead: nothing of it runs any more."""


@dataclass(slots=True, eq=False)
class Inode:
    """A file, whatever it is called."""

    content: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    unwritten: list[tuple[int, bytes | None]] = field(default_factory=list)  # offset and data, or a size and None
    durable_name: Path | None = None
    changed_at: float = 0.0

    def write_back(self, random: Random) -> None:
        """What a loss of power leaves: some of the sectors that were not written back, in any order."""
        content = bytearray(self.durable)
        # Sectors of different writes overlap only where a truncation came between, which may be lost as well.
        for offset, data in (
            sorted(self.unwritten, key=lambda _: random.random()) if random.random() < 0.5 else (self.unwritten)
        ):
            if data is None:
                if random.random() < 0.5:
                    _resize(content, offset)
                continue
            for start, part in _sectors(offset, data):
                if random.random() < 0.5:
                    if len(content) < start:
                        _resize(content, start)
                    content[start : start + len(part)] = part
            if random.random() < 0.3:  # the size was written back, and some of the data was not
                _resize(content, max(len(content), offset + len(data)))
        self.content, self.durable, self.unwritten = content, bytes(content), []


class Platter:
    """The disk of one machine, with all its processes."""

    def __init__(self) -> None:
        self.names: dict[Path, Inode] = {}
        self.removed: dict[Path, Inode] = {}  # not written back: a crash may undo it
        self.folders: set[Path] = set()
        self.space = PLENTY
        self.clock = 1_000.0
        self._open: dict[int, tuple[int, Inode]] = {}  # by descriptor: process and file
        self._next_fd = 3

    def opened(self, process: int, inode: Inode) -> int:
        """A descriptor that holds the file's lock."""
        if any(held is inode for _, held in self._open.values()):
            raise BlockingIOError(errno.EWOULDBLOCK, "somebody holds it")
        self._next_fd += 1
        self._open[self._next_fd] = process, inode
        return self._next_fd

    def closed(self, process: int, fd: int) -> None:
        self.file(process, fd)
        del self._open[fd]

    def file(self, process: int, fd: int) -> Inode:
        owner, inode = self._open.get(fd, (None, None))
        if owner != process or inode is None:
            raise OSError(errno.EBADF, "not a descriptor of this process")
        return inode

    def holders(self) -> list[tuple[int, Inode]]:
        """Each open file and its process."""
        return list(self._open.values())

    def is_held(self, inode: Inode) -> bool:
        return any(held is inode for _, held in self._open.values())

    def kill(self, process: int) -> None:
        """A process dies: its locks go, and all that it wrote stays."""
        self._open = {fd: held for fd, held in self._open.items() if held[0] != process}

    def crash(self, random: Random) -> None:
        """Power is lost: what was not synced is there in part, or not at all."""
        self._open = {}
        found: dict[Path, Inode] = {}
        undone = {path: inode for path, inode in self.removed.items() if inode.durable_name == path}
        found.update({path: inode for path, inode in undone.items() if random.random() < 0.5})
        for path, inode in self.names.items():
            if inode.durable_name == path or random.random() < 0.5:
                found[path] = inode
            elif inode.durable_name is not None:
                found[inode.durable_name] = inode
        self.names, self.removed = found, {}
        for path, inode in found.items():
            inode.write_back(random)
            inode.durable_name = path


class ModelDisk(Disk):
    """The disk as one process sees it. `dies_after`: so many operations are done, and the next one kills it."""

    def __init__(self, platter: Platter, process: int) -> None:
        self.platter = platter
        self.process = process
        self.dies_after: int | None = None
        self.is_dead = False

    def _begin(self) -> None:
        if self.dies_after is not None:
            self.dies_after -= 1
            self.is_dead = self.is_dead or self.dies_after < 0
        if self.is_dead:
            raise Killed

    def make_folder(self, path: Path) -> None:
        self._begin()
        self.platter.folders.add(path)

    def create(self, path: Path) -> int:
        self._begin()
        if self.platter.space <= 0:
            raise OSError(errno.ENOSPC, "no space")
        if path.parent not in self.platter.folders:
            raise FileNotFoundError(errno.ENOENT, "no folder")
        inode = Inode(changed_at=self._tick())
        self.platter.names[path] = inode
        return self.platter.opened(self.process, inode)

    def open(self, path: Path) -> int:
        self._begin()
        if path not in self.platter.names:
            raise FileNotFoundError(errno.ENOENT, "no file")
        return self.platter.opened(self.process, self.platter.names[path])

    def size(self, fd: int) -> int:
        self._begin()
        return len(self._file(fd).content)

    def changed_at(self, fd: int) -> float:
        self._begin()
        return self._file(fd).changed_at

    def write(self, fd: int, data: bytes, offset: int) -> int:
        self._begin()
        inode = self._file(fd)
        room = max(0, self.platter.space)
        if room == 0 and data:
            raise OSError(errno.ENOSPC, "no space")
        part = data[:room]
        self.platter.space -= len(part)
        if len(inode.content) < offset:
            _resize(inode.content, offset)
        inode.content[offset : offset + len(part)] = part
        inode.unwritten.append((offset, part))
        inode.changed_at = self._tick()
        return len(part)

    def read(self, fd: int, length: int, offset: int) -> bytes:
        self._begin()
        return bytes(self._file(fd).content[offset : offset + length])

    def truncate(self, fd: int, size: int) -> None:
        self._begin()
        inode = self._file(fd)
        _resize(inode.content, size)
        inode.unwritten.append((size, None))
        inode.changed_at = self._tick()

    def sync(self, fd: int) -> None:
        self._begin()
        inode = self._file(fd)
        inode.durable, inode.unwritten = bytes(inode.content), []
        for path, named in self.platter.names.items():
            if named is inode:
                inode.durable_name = path

    def close(self, fd: int) -> None:
        self._begin()
        self.platter.closed(self.process, fd)

    def unlink(self, path: Path) -> None:
        self._begin()
        inode = self.platter.names.pop(path, None)
        if inode is not None:
            self.platter.removed[path] = inode

    def rename(self, path: Path, to: Path) -> None:
        self._begin()
        if path not in self.platter.names:
            raise FileNotFoundError(errno.ENOENT, "no file")
        self.platter.names[to] = self.platter.names.pop(path)

    def entries(self, folder: Path) -> Iterator[Entry]:
        self._begin()
        for path, inode in list(self.platter.names.items()):
            if path.parent == folder:
                yield Entry(path.name, len(inode.content), inode.changed_at)

    def remove_folder(self, path: Path) -> None:
        self._begin()
        if any(path in name.parents for name in self.platter.names):
            raise OSError(errno.ENOTEMPTY, "not empty")
        self.platter.folders.discard(path)

    def _file(self, fd: int) -> Inode:
        return self.platter.file(self.process, fd)

    def _tick(self) -> float:
        self.platter.clock += 1.0
        return self.platter.clock


def _resize(content: bytearray, size: int) -> None:
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


def _sectors(offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    """A write as the sectors of the disk take it."""
    at = 0
    while at < len(data):
        end = min(len(data), (offset + at) // SECTOR * SECTOR + SECTOR - offset)
        yield offset + at, data[at:end]
        at = end
